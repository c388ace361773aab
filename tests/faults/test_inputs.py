"""Inputs that cannot be read, and memory that runs out: told, and made good by the next run."""

import resource
import shutil
import time
from contextlib import suppress

import pytest
import undisturbed

pytestmark = pytest.mark.faults
rare = pytest.mark.rare
LITTLE = 300 * 2**20


@pytest.fixture
def spoiled(cohort):
    """Return a function that gives the first image of a person another content for a while."""
    image, kept = cohort.image("02", "pre"), cohort.root / "image_kept"
    shutil.copy2(image, kept)
    yield image
    image.unlink(missing_ok=True)
    shutil.copy2(kept, image)


def cut(image):
    image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])


def lead_nowhere(image):
    image.unlink()
    image.symlink_to("/annex/objects/not-here")


@pytest.mark.parametrize("harm", [cut, pytest.param(lead_nowhere, marks=rare)])
def test_an_input_that_cannot_be_read_fails_its_person_only_and_can_be_mended(
    cohort, spoiled, harm
):
    kept = cohort.root / "image_kept"
    harm(spoiled)
    code, text = cohort.run()
    assert code in (0, 10)
    told = text + (cohort.out / "ledger.tsv").read_text(encoding="utf-8")
    assert spoiled.name.removesuffix(".nii.gz") in told
    assert "unexpected" not in text
    assert undisturbed.statuses(cohort.out)["sub-01"] == "done"
    spoiled.unlink(missing_ok=True)
    shutil.copy2(kept, spoiled)
    assert cohort.run()[0] == 0
    cohort.check(same_pages=False)


@rare
def test_memory_that_runs_out_is_told_as_such(cohort):
    cohort.forget_steps("01", "anat_wf/regions_wf", "anat_wf/deform")
    process = cohort.start("--participant-label", "01")
    while "sub-01: anat" not in (cohort.text() if cohort.log.is_file() else ""):
        time.sleep(0.02)
    while process.poll() is None:
        for worker in set(cohort.processes()) - {process.pid}:
            with suppress(ProcessLookupError):
                resource.prlimit(worker, resource.RLIMIT_AS, (LITTLE, LITTLE))
        time.sleep(0.02)
    assert process.returncode in (1, 4)
    assert "memory" in cohort.text()
    assert cohort.run("--participant-label", "01")[0] == 0
    cohort.check(["01"])
