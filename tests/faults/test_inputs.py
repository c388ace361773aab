"""Inputs that cannot be read, and memory that runs out: told, and made good by the next run."""

import os
import resource
import shutil
import subprocess

import pytest
import undisturbed

pytestmark = pytest.mark.faults


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


def empty(image):
    image.write_bytes(b"")


@pytest.mark.parametrize("harm", [cut, lead_nowhere, empty])
def test_an_input_that_cannot_be_read_fails_its_person_only_and_can_be_mended(
    cohort, spoiled, harm
):
    kept = cohort.root / "image_kept"
    harm(spoiled)
    code, text = cohort.run()
    assert code in (0, 10)
    assert spoiled.name in text.replace(" ", "")
    assert "unexpected" not in text
    assert undisturbed.statuses(cohort.out)["sub-01"] == "done"
    spoiled.unlink(missing_ok=True)
    shutil.copy2(kept, spoiled)
    assert cohort.run()[0] == 0
    cohort.check()


def test_memory_that_runs_out_is_told_as_such(cohort):
    cohort.forget_steps("01", "anat_wf/regions_wf", "anat_wf/deform")
    limit = 1_300_000_000
    child = subprocess.run(
        cohort.command("--participant-label", "01"),
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    text = " ".join(f"{child.stdout} {child.stderr}".split())
    assert child.returncode in (1, 4)
    assert "memory" in text
    assert cohort.run("--participant-label", "01")[0] == 0
    cohort.check(["01"])
