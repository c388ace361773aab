"""The atlas of a study is made before images are run, and only then."""

from dataclasses import replace
from pathlib import Path

import pytest
from nipype.pipeline.engine import Node, Workflow
from nodes import Step
from rich.console import Console

from bids_utils.errors import DatasetError
from bids_utils.plan import ParticipantPlan, Plan
from configs.atlases import find_atlas
from configs.settings import Settings
from workflows import run
from workflows.run import Options, run_participants, study_atlas

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


def test_an_atlas_is_carried_in_a_folder_that_is_gone_afterwards(options, monkeypatch):
    monkeypatch.setattr(run, "standard_atlas", carried_by("live"))
    atlas = study_atlas(options, Settings(), CONSOLE)
    assert atlas.file == options.output_dir / "carried.nii.gz"
    assert list(options.work_dir.iterdir()) == []


def test_an_atlas_that_cannot_be_carried_ends_the_call_with_its_own_error(options, monkeypatch):
    monkeypatch.setattr(run, "standard_atlas", carried_by("fail"))
    with pytest.raises(DatasetError, match=r"carry: a\.nii\.gz: broken; copy it again"):
        study_atlas(options, Settings(), CONSOLE)
    assert len(list(options.output_dir.glob("logs/atlas/*/crash-*carry*.txt"))) == 1
    assert list(options.work_dir.iterdir()) == []


@pytest.fixture
def calls(monkeypatch):
    """What a call of the participant level does, for one person who is not done."""
    done = []
    plan = Plan((ParticipantPlan("01", ()),), run.pd.DataFrame({"participant_id": ["sub-01"]}))
    atlas = replace(find_atlas("DesikanKilliany"), file=Path("carried.nii.gz"))
    stand_ins = {
        "make_cohort_plan": lambda *_: plan,
        "study_atlas": lambda *_: done.append("atlas") or atlas,
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
