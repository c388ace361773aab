"""What is done, what leaves the group, and the code that says how a call ended."""

from dataclasses import replace

import pandas as pd
import pytest

from bids_utils.plan import BoldRun, ParticipantPlan, Plan, SessionPlan
from bids_utils.sidecars import file_sidecar
from configs.settings import Settings
from workflows.completion import (
    exit_code,
    forget_results,
    is_done,
    missing_files,
    saved_files,
    unfinished_scans,
    without_unfinished,
)
from workflows.participant import expected_files
from workflows.records import Record, fingerprint, write_record
from workflows.saving import Study

LEDGER = pd.DataFrame(
    {
        "participant_id": ["sub-01", "sub-01", "sub-02", "sub-03"],
        "status": ["used", "missing", "used", "used"],
        "reason": [None, "no images", None, None],
    }
)


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ({"01": Record("done"), "02": Record("done")}, 0),
        ({"01": Record("done"), "02": Record("failed", exit_code=3)}, 10),
        ({"01": Record("failed", exit_code=3), "02": Record("failed", exit_code=3)}, 3),
        ({"01": Record("failed", exit_code=3), "02": Record("failed", exit_code=4)}, 1),
        ({"01": Record("not started")}, 1),
    ],
)
def test_the_exit_code_says_who_failed(records, code):
    assert exit_code(records, Plan((), LEDGER), was_run=True) == code


def test_a_participant_without_any_usable_image_is_a_failure_too():
    ledger = LEDGER.assign(status=["used", "used", "excluded", "used"])
    assert exit_code({"01": Record("done")}, Plan((), ledger), was_run=True) == 10


def test_nothing_to_do_has_its_own_code():
    assert exit_code({"01": Record("done")}, Plan((), LEDGER), was_run=False) == 11


def three_scans(tmp_path):
    """A person with T1w and two tasks, one of two runs, before, and T1w and one task after."""
    sessions = []
    for session, tasks in (("pre", ("rest", "rest", "faces")), ("post", ("rest",))):
        runs = []
        for number, task in enumerate(tasks, start=1):
            entities = (("sub", "01"), ("ses", session), ("task", task), ("run", str(number)))
            name = "_".join("-".join(pair) for pair in entities)
            runs.append(BoldRun(tmp_path / f"{name}_bold.nii.gz", entities, 2.0, 100))
        t1w = tmp_path / f"sub-01_ses-{session}_T1w.nii.gz"
        sessions.append(SessionPlan(session, None, t1w, tuple(runs)))
    for file in [s.t1w_file for s in sessions] + [r.file for s in sessions for r in s.bold_runs]:
        file.touch()
    return ParticipantPlan("01", tuple(sessions))


def made(participant, tmp_path, without):
    """Study in which all files of a person were made but those with a text in their name."""
    study = Study(tmp_path, tmp_path / "out", Settings())
    for file in expected_files(participant, study.settings):
        if without is None or without not in file.name:
            (study.output_dir / file).parent.mkdir(parents=True, exist_ok=True)
            (study.output_dir / file).touch()
    return study


def ledger_of(participant):
    rows = []
    for session in participant.sessions:
        names = [("T1w", session.t1w_file)] + [("bold", run.file) for run in session.bold_runs]
        rows += [("sub-01", f"ses-{session.label}", kind, file.name[:-7]) for kind, file in names]
    columns = ["participant_id", "session_id", "modality", "run"]
    return pd.DataFrame(rows, columns=columns).assign(status="used", reason=None)


@pytest.mark.parametrize(
    ("without", "excluded"),
    [
        ("ses-pre_task-rest_run-2_desc-qc", ["pre rest 1", "pre rest 2"]),
        ("ses-pre_task-faces", ["pre faces 3"]),
        ("ses-post_desc-quality_T1w", ["post T1w"]),
        ("sub-01_desc-mask_T1w.png", ["pre T1w", "post T1w"]),
        (None, []),
    ],
)
def test_only_scans_whose_own_files_are_missing_leave_the_group(tmp_path, without, excluded):
    participant = three_scans(tmp_path)
    study = made(participant, tmp_path, without)
    causes = ("bold ses pre task rest run 2, realign: too few", "bold ses pre task faces: dark")
    print_ = fingerprint(participant, study.settings)
    plan = Plan((participant,), ledger_of(participant))
    ledger = without_unfinished(plan, {"01": Record("failed", print_, causes)}, study)
    words = ["pre T1w", "pre rest 1", "pre rest 2", "pre faces 3", "post T1w", "post rest 1"]
    lost = (ledger["status"] == "excluded").tolist()
    assert [word for word, is_lost in zip(words, lost, strict=True) if is_lost] == excluded
    assert all(text.startswith("failed: ") for text in ledger.loc[lost, "reason"])
    if excluded == ["pre faces 3"]:
        assert "bold ses pre task faces: dark" in ledger["reason"][3]
        assert "realign" not in ledger["reason"][3]
    assert plan.ledger["status"].eq("used").all()


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Record("failed", "another print", ("n4: dark",)), "failed: n4: dark"),
        (Record("not started"), "not started: not processed; run the level participant"),
    ],
)
def test_nothing_of_an_older_run_with_other_settings_is_used(tmp_path, record, reason):
    participant = three_scans(tmp_path)
    study = made(participant, tmp_path, None)
    ledger = without_unfinished(Plan((participant,), ledger_of(participant)), {"01": record}, study)
    assert ledger["status"].eq("excluded").all()
    assert set(ledger["reason"]) == {reason}


def test_what_is_not_used_keeps_its_own_reason(tmp_path):
    participant = three_scans(tmp_path)
    ledger = ledger_of(participant)
    ledger.loc[1, ["status", "reason"]] = ["found", "not asked for"]
    study = made(participant, tmp_path, None)
    plan = Plan((participant,), ledger)
    found = without_unfinished(plan, {"01": Record("not started")}, study)
    assert found.loc[1, ["status", "reason"]].tolist() == ["found", "not asked for"]


def test_results_of_an_older_run_are_gone_before_a_new_one_begins(tmp_path):
    participant = three_scans(tmp_path)
    study = made(participant, tmp_path, None)
    (study.output_dir / "dataset_description.json").touch()
    assert missing_files(participant, study) == []
    forget_results(participant, study)
    expected = list(expected_files(participant, study.settings))
    assert missing_files(participant, study) == expected
    assert (study.output_dir / "dataset_description.json").is_file()


@pytest.mark.parametrize(("reason", "code"), [("on the exclude list: asleep", 0), ("empty", 10)])
def test_people_on_the_list_of_exclusions_have_not_failed(reason, code):
    rows = [("sub-01", "used", None), ("sub-02", "excluded", reason)]
    ledger = pd.DataFrame(rows, columns=["participant_id", "status", "reason"])
    assert exit_code({"01": Record("done")}, Plan((), ledger), was_run=True) == code


def harmed(file, how):
    if how == "gone":
        file.unlink()
    elif how == "cut":
        file.write_text("")
    else:
        file.write_text(how)


@pytest.mark.parametrize("how", ["gone", "cut", "what"])
@pytest.mark.parametrize("ending", ["pre_desc-quality_T1w.tsv", "pre_desc-quality_T1w.json"])
def test_whoever_has_a_file_that_is_not_as_it_was_saved_is_not_done(tmp_path, how, ending):
    participant = three_scans(tmp_path)
    study = made(participant, tmp_path, None)
    for file in list(saved_files(participant, study)):
        (study.output_dir / file).write_text("that")
        file_sidecar(study.output_dir / file).write_text("that")
    print_, files = fingerprint(participant, study.settings), saved_files(participant, study)
    record = write_record(study.output_dir, "01", print_, [], files)
    assert is_done(participant, study)
    harmed(study.output_dir / "sub-01/ses-pre/anat" / f"sub-01_ses-{ending}", how)
    assert not is_done(participant, study)
    [missing] = missing_files(participant, study, record)
    assert missing.name == f"sub-01_ses-{ending}"
    failed = replace(record, status="failed")
    assert list(unfinished_scans(participant, failed, study)) == [("pre", "T1w", "")]


def test_a_file_whose_sidecar_was_never_there_is_not_missing(tmp_path):
    participant = three_scans(tmp_path)
    study = made(participant, tmp_path, None)
    print_, files = fingerprint(participant, study.settings), saved_files(participant, study)
    record = write_record(study.output_dir, "01", print_, [], files)
    assert missing_files(participant, study, record) == []
