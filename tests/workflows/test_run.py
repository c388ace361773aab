"""What a call plans and gives to the levels; the atlas is made only before images are run."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace as Namespace

import pandas as pd
import pytest
from rich.console import Console

from bids_utils.derivatives import read_table, write_table
from bids_utils.errors import DatasetError
from bids_utils.plan import ParticipantPlan, Plan
from configs.atlases import find_atlas
from configs.settings import FuncSettings, Settings, TaskSettings
from workflows import run
from workflows.execution import group_locks
from workflows.locks import LockedError, locked
from workflows.options import Options
from workflows.records import Record, lock_file
from workflows.run import run_participants

CONSOLE = Console(record=True, width=200, force_terminal=False)


@pytest.fixture
def options(tmp_path):
    places = {"bids_dir": tmp_path / "bids", "output_dir": tmp_path / "out"}
    return Options(**places, level="participant", work_dir=tmp_path / "work")


@pytest.fixture
def calls(monkeypatch):
    """What a call of the participant level does, for one person who is not done."""
    done = []
    plan = Plan((ParticipantPlan("01", ()),), pd.DataFrame({"participant_id": ["sub-01"]}))
    atlas = replace(find_atlas("DesikanKilliany"), file=Path("carried.nii.gz"))
    stand_ins = {
        "make_cohort_plan": lambda *_: plan,
        "with_atlases": lambda study, *_: done.append("atlas") or replace(study, atlas=atlas),
        "run_images": lambda todo, study, *_: done.append(study.atlas.file.name),
        "write_participant_report": lambda *_: done.append("report"),
    }
    for name in ("check_dataset", "prepare_output", "write_table", "show_failures"):
        stand_ins[name] = lambda *_: None
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(run, name, stand_in)
    monkeypatch.setattr(run, "plan_table", lambda plan: "")
    monkeypatch.setattr(run, "exit_code", lambda *_: 0)
    return done


def test_the_images_get_the_atlas_as_it_was_carried(options, calls):
    run_participants(options, Settings(), CONSOLE)
    assert calls == ["atlas", "carried.nii.gz", "report"]


@pytest.mark.parametrize(
    ("option", "done"),
    [("dry_run", []), ("boilerplate_only", []), ("reports_only", ["report"])],
)
def test_no_atlas_is_made_where_no_image_is_run(options, calls, option, done):
    run_participants(replace(options, **{option: True}), Settings(), CONSOLE)
    assert calls == done


def test_the_plan_asks_for_the_volumes_and_events_that_the_images_will_need(options, monkeypatch):
    asked = []
    empty = Plan((), pd.DataFrame())
    monkeypatch.setattr(run, "make_plan", lambda request, read: asked.append(request) or empty)
    task = TaskSettings(task="faces", contrasts={"x": "fear - neutral"})
    run.make_cohort_plan(options, Settings(func=FuncSettings(tasks=(task,))))
    assert (asked[0].min_volumes, asked[0].modelled_tasks) == (10, ("faces",))


@pytest.fixture
def group_calls(options, monkeypatch):
    """Return a function that runs the group level for two people, and what it was given."""
    given = {}

    def with_records(records, ledger):
        people = tuple(ParticipantPlan(label, ()) for label in records)
        stand_ins = {
            "make_cohort_plan": lambda *_: Plan(people, ledger),
            "intake_of": lambda *_: Namespace(derivatives=True),
            "current_records": lambda *_: records,
            "without_unfinished": lambda plan, *_: plan.ledger,
            "prepare_output": lambda *args: given.update(ledger=args[2]),
            "flagged_ledger": lambda ledger, folder: ledger,
            "read_table": lambda *_: pd.DataFrame({"kind": []}),
        }
        for name in ("run_models", "write_table", "write_group_report"):
            stand_ins[name] = lambda *_: None
        for name, stand_in in stand_ins.items():
            monkeypatch.setattr(run, name, stand_in)
        return run.run_group(options, Settings(), CONSOLE), given["ledger"]

    return with_records


def test_the_group_goes_on_with_what_failed_people_have_and_still_tells_it(group_calls):
    records = {"01": Record("failed", causes=("dark",)), "02": Record("failed", causes=("dark",))}
    ledger = pd.DataFrame({"status": ["used", "excluded"]})
    code, used = group_calls(records, ledger)
    assert (code, used["status"].tolist()) == (10, ["used", "excluded"])
    with pytest.raises(DatasetError, match="nobody is done"):
        group_calls(records, ledger.assign(status="excluded"))


@pytest.fixture
def of_one(options, monkeypatch):
    """Options of a group level of one of two people, and what its models read of the ledger."""
    some = replace(options, participant_label=("01",), level="group")
    rows = {"participant_id": ["sub-01"], "session_id": ["ses-pre"], "status": ["used"]}
    plan = Plan((ParticipantPlan("01", ()),), pd.DataFrame(rows))
    ledger, read = some.output_dir / "ledger.tsv", []
    stand_ins = {
        "make_cohort_plan": lambda *_: plan,
        "current_records": lambda *_: {"01": Record("done")},
        "without_unfinished": lambda plan, *_: plan.ledger,
        "write_group": lambda *_: read.extend(read_table(ledger)["participant_id"]),
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(run, name, stand_in)
    write_table(pd.DataFrame({"kind": []}), some.output_dir / "group" / "problems.tsv")
    write_table(pd.DataFrame({"participant_id": ["sub-01", "sub-02"]}), ledger)
    return some, read


def test_the_group_level_of_some_people_reads_a_ledger_of_them_alone(of_one):
    some, read = of_one
    assert run.run_group(some, Settings(), CONSOLE) == 0
    assert read == ["sub-01"]


def test_a_group_level_that_is_refused_leaves_the_ledger_to_the_one_that_runs(of_one):
    some, read = of_one
    with locked(group_locks(some)[0]), pytest.raises(LockedError, match="another run works"):
        run.run_group(some, Settings(), CONSOLE)
    assert read == []
    assert len(read_table(some.output_dir / "ledger.tsv")) == 2


def test_a_page_that_a_killed_run_did_not_write_is_written_by_the_next_one(options, monkeypatch):
    people = tuple(ParticipantPlan(label, ()) for label in ("01", "02", "03", "04"))
    plan = Plan(people, pd.DataFrame({"participant_id": [f"sub-{p.label}" for p in people]}))
    root, written = options.output_dir, []
    root.mkdir()
    (root / "sub-01.html").touch()
    (root / "sub-02.html").touch()
    monkeypatch.setattr(run, "write_participant_report", lambda _, label: written.append(label))
    with locked(lock_file(root, "04")):
        run.write_pages(plan, [people[1]], options)
    assert written == ["02", "03"]
