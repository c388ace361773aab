"""A new wave of scans: only those who have it are done again, and the group sees it."""

import nibabel as nib
import numpy as np
import pytest

from bids_utils.derivatives import write_json
from configs.settings import Settings
from workflows.completion import current_records, is_done, saved_files, without_unfinished
from workflows.options import Options
from workflows.participant import expected_files
from workflows.records import fingerprint, write_record
from workflows.run import make_cohort_plan
from workflows.saving import Study

DATES = {"pre": "2024-03-04", "post": "2024-06-06", "fu": "2024-12-06"}
PEOPLE = ("01", "02", "03")


@pytest.fixture
def options(tmp_path):
    places = {"bids_dir": tmp_path / "bids", "output_dir": tmp_path / "out"}
    made = Options(**places, level="participant", work_dir=tmp_path / "work")
    write_json(
        {"Name": "waves", "BIDSVersion": "1.10.0"}, made.bids_dir / "dataset_description.json"
    )
    for label in PEOPLE:
        write_person(made.bids_dir, label, ("pre", "post"))
    return made


def write_person(bids_dir, label, sessions):
    """Tiny images of the sessions that are not there yet, and the dates of all."""
    folder = bids_dir / f"sub-{label}"
    for session in sessions:
        file = folder / f"ses-{session}" / "anat" / f"sub-{label}_ses-{session}_T1w.nii"
        if not file.exists():
            file.parent.mkdir(parents=True)
            nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.int16), np.eye(4)), file)
    rows = [f"ses-{session}\t{DATES[session]}" for session in sessions]
    table = "\n".join(["session_id\tacq_time", *rows]) + "\n"
    (folder / f"sub-{label}_sessions.tsv").write_text(table, encoding="utf-8")


def finish(participant, study):
    """Files and record of somebody whose images were run."""
    for file in expected_files(participant, study.settings):
        (study.output_dir / file).parent.mkdir(parents=True, exist_ok=True)
        (study.output_dir / file).write_text("made", encoding="utf-8")
    print_ = fingerprint(participant, study.settings)
    write_record(study.output_dir, participant.label, print_, [], saved_files(participant, study))


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def to_do(plan, study):
    return [person for person in plan.participants if not is_done(person, study)]


def used(plan, study):
    """Participant and session of the scans that the group level uses."""
    ledger = without_unfinished(plan, current_records(plan, study), study)
    rows = ledger[ledger["status"] == "used"]
    return set(zip(rows["participant_id"], rows["session_id"], strict=True))


def test_a_later_wave_is_done_for_those_who_have_it_and_the_others_keep_their_files(options):
    study = Study(options.bids_dir, options.output_dir, Settings())
    plan = make_cohort_plan(options, study.settings)
    for person in plan.participants:
        finish(person, study)
    assert to_do(plan, study) == []
    before = used(plan, study)
    assert len(before) == 6
    kept = [times(options.output_dir / f"sub-{label}") for label in ("01", "03")]

    write_person(options.bids_dir, "02", ("pre", "post", "fu"))
    plan = make_cohort_plan(options, study.settings)
    (again,) = to_do(plan, study)
    assert again.label == "02"
    assert [session.label for session in again.sessions] == ["pre", "post", "fu"]
    assert used(plan, study) == {scan for scan in before if scan[0] != "sub-02"}
    finish(again, study)
    assert used(plan, study) == before | {("sub-02", "ses-fu")}
    assert [times(options.output_dir / f"sub-{label}") for label in ("01", "03")] == kept


def test_a_person_who_comes_in_later_does_not_touch_those_who_are_done(options):
    study = Study(options.bids_dir, options.output_dir, Settings())
    for person in make_cohort_plan(options, study.settings).participants:
        finish(person, study)
    write_person(options.bids_dir, "04", ("pre", "post"))
    (new,) = to_do(make_cohort_plan(options, study.settings), study)
    assert new.label == "04"
