"""Records of what is done: they must not outlive the inputs, settings and timing they are about."""

from dataclasses import replace

import pandas as pd
import pytest

from bids_utils.plan import BoldRun, ParticipantPlan, Plan, SessionPlan
from configs.settings import AnatSettings, AtlasSettings, GroupSettings, Settings
from workflows.failures import Failure
from workflows.records import Record, fingerprint, forget_record, read_record, write_record
from workflows.run import exit_code, without_unfinished

LEDGER = pd.DataFrame(
    {
        "participant_id": ["sub-01", "sub-01", "sub-02", "sub-03"],
        "status": ["used", "missing", "used", "used"],
        "reason": [None, "no images", None, None],
    }
)


@pytest.fixture
def participant(tmp_path):
    for name in ("t1w", "bold"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    run = BoldRun(tmp_path / "bold", (("sub", "01"), ("ses", "pre"), ("task", "rest")), 2.0, 100)
    first = SessionPlan("pre", 0.0, tmp_path / "t1w", (run,))
    return ParticipantPlan("01", (first, SessionPlan("post", 80.0, None, ())))


def with_run(participant, **changes):
    first, *others = participant.sessions
    runs = tuple(replace(run, **changes) for run in first.bold_runs)
    return replace(participant, sessions=(replace(first, bold_runs=runs), *others))


def test_the_fingerprint_changes_with_settings_timing_and_files(participant, tmp_path):
    first = fingerprint(participant, Settings())
    assert fingerprint(participant, Settings()) == first
    others = [
        fingerprint(participant, Settings(anat=AnatSettings(n4_resolution_mm=3.0))),
        fingerprint(with_run(participant, repetition_time_s=0.8), Settings()),
        fingerprint(with_run(participant, n_volumes=99), Settings()),
    ]
    (tmp_path / "t1w").write_text("another image", encoding="utf-8")
    others.append(fingerprint(participant, Settings()))
    assert len({first, *others}) == 5


def test_the_order_of_sessions_and_the_group_settings_do_not_ask_for_new_images(participant):
    swapped = replace(participant, sessions=participant.sessions[::-1])
    settings = Settings(group=GroupSettings(arm_column="group"))
    assert fingerprint(swapped, settings) == fingerprint(participant, Settings())


def test_the_fingerprint_follows_the_labels_of_an_own_atlas_and_not_their_place(
    participant, tmp_path
):
    for name in ("labels.nii.gz", "moved.nii.gz", "labels.tsv"):
        (tmp_path / name).write_text("some", encoding="utf-8")

    def print_of(name, labels):
        own = AtlasSettings(
            name=name,
            file=tmp_path / labels,
            labels=tmp_path / "labels.tsv",
            space="MNI152NLin2009aSym",
        )
        return fingerprint(participant, Settings(atlas=own))

    first = print_of("Mine", "labels.nii.gz")
    assert print_of("Mine", "moved.nii.gz") == first
    others = [print_of("Yours", "labels.nii.gz"), fingerprint(participant, Settings())]
    (tmp_path / "labels.nii.gz").write_text("other", encoding="utf-8")
    others.append(print_of("Mine", "labels.nii.gz"))
    (tmp_path / "labels.tsv").write_text("names", encoding="utf-8")
    others.append(print_of("Mine", "labels.nii.gz"))
    assert len({first, *others}) == 5


def test_a_record_is_read_as_it_was_written(tmp_path):
    failure = Failure("anat, n4", "ToolError", "a.nii.gz: too dark", "c.txt")
    written = write_record(tmp_path, "01", "print", [failure])
    assert read_record(tmp_path, "01") == written
    assert written == Record("failed", "print", ("anat, n4: a.nii.gz: too dark",), 4)


def test_a_run_that_begins_forgets_that_it_was_done(tmp_path):
    write_record(tmp_path, "01", "print", [])
    assert read_record(tmp_path, "01").status == "done"
    forget_record(tmp_path, "01")
    assert read_record(tmp_path, "01") == Record("not started")


def test_a_damaged_record_counts_as_not_started(tmp_path):
    write_record(tmp_path, "01", "print", [])
    (tmp_path / "logs" / "sub-01" / "status.json").write_text("{", encoding="utf-8")
    assert read_record(tmp_path, "01") == Record("not started")


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


def test_images_of_unfinished_participants_are_excluded_from_the_group_with_the_reason():
    records = {"01": Record("failed", causes=("n4: dark",)), "02": Record("done")}
    ledger = without_unfinished(LEDGER, records | {"03": Record("not started")})
    assert ledger["status"].tolist() == ["excluded", "missing", "used", "excluded"]
    assert ledger["reason"][0] == "failed: n4: dark"
    assert "run the level participant" in ledger["reason"][3]
    assert LEDGER["status"].tolist()[0] == "used"


@pytest.mark.parametrize(("reason", "code"), [("on the exclude list: asleep", 0), ("empty", 10)])
def test_people_on_the_list_of_exclusions_have_not_failed(reason, code):
    rows = [("sub-01", "used", None), ("sub-02", "excluded", reason)]
    ledger = pd.DataFrame(rows, columns=["participant_id", "status", "reason"])
    assert exit_code({"01": Record("done")}, Plan((), ledger), was_run=True) == code
