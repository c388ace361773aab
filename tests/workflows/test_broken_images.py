"""A whole run of the command on a cohort with broken files: who fails, what is told and kept."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from small_trial import write_small_trial
from watched_calls import python

from bids_utils.derivatives import read_table
from workflows.cli import main as braindelta

pytestmark = pytest.mark.slow
RUN = "import sys; from workflows.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Four people: one scanned once and copied, three with a broken file."""
    root = tmp_path_factory.mktemp("broken")
    write_small_trial(root, n_participants=5, with_bold=("01", "03"))
    shutil.rmtree(root / "bids" / "sub-05")  # has no second session
    copy_session(root / "bids" / "sub-01")
    truncate(session_file(root, "02", "post", "anat", "T1w.nii.gz"))
    corrupt(session_file(root, "03", "pre", "func", "task-rest_bold.nii.gz"))
    flatten(session_file(root, "04", "post", "anat", "T1w.nii.gz"))
    words = [str(root / "bids"), str(root / "derivatives"), "participant", "--nprocs", "2"]
    words += ["--settings", str(root / "settings.yaml"), "--skip-bids-validation"]
    done, found, n_processes = python(root / "watched", "-c", RUN, *words)
    return root, done.returncode, (found, n_processes)


def session_file(root, participant, session, datatype, ending):
    stem = f"sub-{participant}_ses-{session}"
    folder = root / "bids" / f"sub-{participant}" / f"ses-{session}"
    return folder / datatype / f"{stem}_{ending}"


def copy_session(folder):
    """Give the first session to the second one, file by file."""
    for file in (folder / "ses-pre").rglob("*.*"):
        name = file.name.replace("ses-pre", "ses-post")
        shutil.copyfile(file, folder / "ses-post" / file.parent.name / name)


def truncate(file):
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def corrupt(file):
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    file.write_bytes(content)


def flatten(file):
    image = nib.load(file)
    nib.save(nib.Nifti1Image(np.full(image.shape, 7, np.int16), image.affine), file)


def record(root, participant):
    path = root / "derivatives" / "logs" / f"sub-{participant}" / "status.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_broken_files_fail_their_participant_only(broken):
    root, code, _ = broken
    assert code == 10
    assert record(root, "01")["status"] == "done"
    assert {record(root, label)["status"] for label in ("02", "03", "04")} == {"failed"}


def test_images_are_processed_without_reaching_anybody(broken):
    """Template, registration, tissue, BOLD, pictures and pages."""
    root, _, (found, n_processes) = broken
    assert found == []
    assert n_processes > 10
    assert (root / "derivatives" / "sub-01.html").is_file()


@pytest.mark.parametrize(
    ("participant", "file", "words"),
    [
        ("02", "sub-02_ses-post_T1w.nii.gz", "truncated|ends|cut|copy"),
        ("03", "sub-03_ses-pre_task-rest_bold.nii.gz", "corrupt|damaged|copy"),
        ("04", "sub-04_ses-post_T1w.nii.gz", "all voxels are 7"),
    ],
)
def test_the_cause_names_the_file_and_what_is_wrong(broken, participant, file, words):
    root, *_ = broken
    causes = " ".join(record(root, participant)["causes"])
    assert file in causes
    assert any(word in causes for word in words.split("|")), causes
    assert "unexpected" not in causes


def test_what_was_done_before_a_failure_is_kept(broken):
    root, *_ = broken
    folder = root / "derivatives" / "sub-03" / "ses-post"
    assert list(folder.glob("anat/*_desc-volume_morph.tsv"))
    assert list(folder.glob("func/*_relmat.tsv"))


def test_the_same_scan_twice_gives_no_change(broken):
    root, *_ = broken
    places = [str(root / "bids"), str(root / "derivatives"), "group", "--nprocs", "2"]
    settings = ["--settings", str(root / "settings.yaml")]
    assert braindelta([*places, *settings, "--skip-bids-validation"]) == 10
    change = read_table(root / "derivatives" / "group" / "change.tsv")
    change = change[change["participant_id"] == "sub-01"]
    folder = root / "derivatives" / "sub-01" / "ses-pre" / "anat"
    lines = read_table(next(folder.glob("*_desc-thickness_morph.tsv")))
    n_thick = int(lines["thickness"].notna().sum())
    for measure, n_regions in (("volume", 83), ("deformation", 83), ("thickness", n_thick)):
        own = change[(change["measure"] == measure) & (change["baseline_value"] > 0)]
        assert len(own) == n_regions > 20, measure
        assert own["percent_change"].abs().max() <= 0.01, measure
    edges = np.load(next((root / "derivatives" / "group").glob("*_change.npy")))
    assert np.nanmax(np.abs(edges)) == 0
