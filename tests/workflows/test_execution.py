"""What runs graphs: the atlas is made before images are run, in the spaces that are used."""

from dataclasses import replace
from pathlib import Path

import pytest
from nipype.pipeline.engine import Node, Workflow
from nodes import Step
from rich.console import Console

from bids_utils.errors import DatasetError
from bids_utils.plan import BoldRun, DerivedBold, ParticipantPlan, SessionPlan
from configs.settings import Settings
from workflows import execution
from workflows.execution import with_atlases
from workflows.options import Options
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
    monkeypatch.setattr(execution, "standard_atlas", carried_by("live"))
    atlas = with_atlases(study_of(options), with_run(), options, CONSOLE).atlas
    assert atlas.file == options.output_dir / "carried.nii.gz"
    assert list(options.work_dir.iterdir()) == []


def test_an_atlas_that_cannot_be_carried_ends_the_call_with_its_own_error(options, monkeypatch):
    monkeypatch.setattr(execution, "standard_atlas", carried_by("fail"))
    with pytest.raises(DatasetError, match=r"carry: a\.nii\.gz: broken; copy it again"):
        with_atlases(study_of(options), with_run(), options, CONSOLE)
    assert len(list(options.output_dir.glob("logs/atlas/*/crash-*carry*.txt"))) == 1
    assert list(options.work_dir.iterdir()) == []


def test_bold_of_fmriprep_gets_the_atlas_of_its_own_space_alone(options, monkeypatch):
    monkeypatch.setattr(execution, "standard_atlas", carried_by("fail"))
    asked = []

    def space_atlas(chosen, ready, space, how):
        asked.append(space)
        return replace(ready, space=space)

    monkeypatch.setattr(execution, "space_atlas", space_atlas)
    people = [*with_run("MNI152NLin6Asym"), *with_run("MNI152NLin6Asym")]
    study = with_atlases(study_of(options), people, options, CONSOLE)
    assert asked == ["MNI152NLin6Asym"]
    assert [atlas.space for atlas in study.space_atlases] == asked
    with pytest.raises(DatasetError):
        with_atlases(study_of(options), with_run("MNI152NLin2009aSym"), options, CONSOLE)
