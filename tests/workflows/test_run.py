"""What a call plans and gives to the levels; the atlas is made before images are run, only then."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace as Namespace

import pytest
from nipype.pipeline.engine import Node, Workflow
from nodes import Step
from rich.console import Console

from bids_utils.errors import DatasetError
from bids_utils.plan import BoldRun, DerivedBold, ParticipantPlan, Plan, SessionPlan
from configs.atlases import find_atlas
from configs.settings import FuncSettings, Settings, TaskSettings
from workflows import run
from workflows.records import Record
from workflows.run import Options, run_participants, with_atlases
from workflows.saving import Study

CONSOLE = Console(record=True, width=200, force_terminal=False)


@pytest.fixture
def options(tmp_path):
    places = {"bids_dir": tmp_path / "bids", "output_dir": tmp_path / "out"}
    return Options(**places, level="participant", work_dir=tmp_path / "work")


def carried_by(fate):
    """Stand-in for `standard_atlas` that runs one step with a fate."""

    def standard_atlas(atlas, output_dir, run_it):
        workflow = Workflow("atlas_wf")
        workflow.add_nodes([Node(Step(value=1, fate=fate), "carry")])
        run_it(workflow)
        return replace(atlas, file=output_dir / "carried.nii.gz")

    return standard_atlas


def with_run(space=None):
    """Plan of a person with a T1w image, or with BOLD that fMRIPrep left in a space."""
    file = Path("x.nii.gz")
    derived = DerivedBold(Path(), "bids:fmriprep:x", file, file, space or "")
    run_ = BoldRun(file, (), 2.0, 9, derived=derived)
    session = SessionPlan("pre", 0.0, None, (run_,)) if space else SessionPlan("pre", 0.0, file, ())
    return [ParticipantPlan("01", (session,))]


def study_of(options, **more):
    return Study(options.bids_dir, options.output_dir, Settings(), **more)


def test_an_atlas_is_carried_in_a_folder_that_is_gone_afterwards(options, monkeypatch):
    monkeypatch.setattr(run, "standard_atlas", carried_by("live"))
    atlas = with_atlases(study_of(options), with_run(), options, CONSOLE).atlas
    assert atlas.file == options.output_dir / "carried.nii.gz"
    assert list(options.work_dir.iterdir()) == []


def test_an_atlas_that_cannot_be_carried_ends_the_call_with_its_own_error(options, monkeypatch):
    monkeypatch.setattr(run, "standard_atlas", carried_by("fail"))
    with pytest.raises(DatasetError, match=r"carry: a\.nii\.gz: broken; copy it again"):
        with_atlases(study_of(options), with_run(), options, CONSOLE)
    assert len(list(options.output_dir.glob("logs/atlas/*/crash-*carry*.txt"))) == 1
    assert list(options.work_dir.iterdir()) == []


def test_bold_of_fmriprep_gets_the_atlas_of_its_own_space_alone(options, monkeypatch):
    monkeypatch.setattr(run, "standard_atlas", carried_by("fail"))
    asked = []

    def space_atlas(chosen, ready, space, how):
        asked.append(space)
        return replace(ready, space=space)

    monkeypatch.setattr(run, "space_atlas", space_atlas)
    people = [*with_run("MNI152NLin6Asym"), *with_run("MNI152NLin6Asym")]
    study = with_atlases(study_of(options), people, options, CONSOLE)
    assert asked == ["MNI152NLin6Asym"]
    assert [atlas.space for atlas in study.space_atlases] == asked
    with pytest.raises(DatasetError):
        with_atlases(study_of(options), with_run("MNI152NLin2009aSym"), options, CONSOLE)


@pytest.fixture
def calls(monkeypatch):
    """What a call of the participant level does, for one person who is not done."""
    done = []
    plan = Plan((ParticipantPlan("01", ()),), run.pd.DataFrame({"participant_id": ["sub-01"]}))
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
    empty = Plan((), run.pd.DataFrame())
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
            "read_table": lambda *_: run.pd.DataFrame({"kind": []}),
        }
        for name in ("run_models", "write_table", "write_group_report"):
            stand_ins[name] = lambda *_: None
        for name, stand_in in stand_ins.items():
            monkeypatch.setattr(run, name, stand_in)
        return run.run_group(options, Settings(), CONSOLE), given["ledger"]

    return with_records


def test_the_group_goes_on_with_what_failed_people_have_and_still_tells_it(group_calls):
    records = {"01": Record("failed", causes=("dark",)), "02": Record("failed", causes=("dark",))}
    ledger = run.pd.DataFrame({"status": ["used", "excluded"]})
    code, used = group_calls(records, ledger)
    assert (code, used["status"].tolist()) == (10, ["used", "excluded"])
    with pytest.raises(DatasetError, match="nobody is done"):
        group_calls(records, ledger.assign(status="excluded"))
