from dataclasses import replace
from pathlib import Path

import pytest
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node, Workflow

from bids_utils.errors import SettingsError
from bids_utils.plan import BoldRun, ParticipantPlan, SessionPlan
from configs.atlases import HOME_SPACE, Atlas
from configs.settings import FuncSettings, Settings, TaskSettings
from workflows.bold_tasks import (
    SessionTask,
    add_connectivity_change,
    check_tasks,
    modelled_runs,
    session_tasks,
    task_notes,
)
from workflows.saving import Study

FACES = TaskSettings(task="faces", contrasts={"reactivity": "fear - neutral"})


def settings_of(*tasks):
    return Settings(func=FuncSettings(tasks=tasks))


def run_of(session, task, number, events=None):
    entities = (("sub", "01"), ("ses", session), ("task", task), ("run", str(number)))
    name = f"sub-01_ses-{session}_task-{task}_run-{number}_bold.nii.gz"
    return BoldRun(Path("/data") / name, entities, 2.0, 100, events_file=events)


def person(*sessions):
    plans = tuple(SessionPlan(label, None, None, runs) for label, runs in sessions)
    return ParticipantPlan("01", plans)


def test_runs_are_grouped_by_session_and_task_in_the_order_of_time():
    rest, more, faces = (run_of("pre", t, n) for t, n in (("rest", 2), ("rest", 1), ("faces", 1)))
    later = run_of("fu", "rest", 1)
    found = session_tasks(person(("pre", (rest, faces, more)), ("fu", (later,))))
    assert [(scan.session, scan.task) for scan in found] == [
        ("pre", "rest"),
        ("pre", "faces"),
        ("fu", "rest"),
    ]
    assert found[0].runs == (rest, more)
    assert found[0].name == "bold_ses_pre_task_rest"


def test_a_run_of_a_modelled_task_without_events_is_told():
    runs = (run_of("pre", "faces", 1, Path("/data/e.tsv")), run_of("pre", "faces", 2))
    notes = task_notes([person(("pre", runs))], settings_of(FACES))
    assert [(where, todo) for _, where, todo in notes] == [
        (
            "sub-01_ses-pre_task-faces_run-2_bold.nii.gz",
            "add sub-01_ses-pre_task-faces_run-2_events.tsv",
        )
    ]


def test_a_model_of_a_task_that_nobody_has_is_told():
    plan = person(("pre", (run_of("pre", "rest", 1),)))
    notes = task_notes([plan], settings_of(FACES))
    assert [where for _, where, _ in notes] == ["func.tasks, task 'faces'"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contrasts": {}}, "needs contrasts or a stats_model"),
        ({"contrasts": {"x": "fear -"}}, "x"),
        ({"ppi_seeds": ("rh_amygdal",)}, "no region 'rh_amygdal'.*rh_amygdala"),
    ],
)
def test_a_wrong_model_is_refused_before_anything_is_computed(change, message):
    task = FACES.model_copy(update=change)
    with pytest.raises(SettingsError, match=message):
        check_tasks(settings_of(task), ["lh_amygdala", "rh_amygdala"])


def test_two_models_of_one_task_are_refused():
    with pytest.raises(ValueError, match="'faces' has two models"):
        settings_of(FACES, replace_contrasts(FACES))


def replace_contrasts(task):
    return task.model_copy(update={"contrasts": {"other": "neutral"}})


def test_a_run_keeps_its_task_only_from_its_own_name():
    bare = replace(run_of("pre", "rest", 1), entities=(("sub", "01"), ("ses", "pre")))
    assert [scan.name for scan in session_tasks(person(("pre", (bare,))))] == ["bold_ses_pre"]


def test_the_advice_names_the_events_of_the_dataset_also_for_derived_runs():
    name = "sub-01_ses-pre_task-faces_run-1_space-MNI152NLin6Asym_res-2_desc-preproc_bold.nii.gz"
    run = replace(run_of("pre", "faces", 1), file=Path("/prep") / name)
    ((_, where, todo),) = task_notes([person(("pre", (run,)))], settings_of(FACES))
    assert (where, todo) == (name, "add sub-01_ses-pre_task-faces_run-1_events.tsv")


def test_a_run_whose_events_cannot_be_read_is_left_out_of_the_model_alone_and_told():
    events = Path("/data/e.tsv")
    good, bad = (run_of("pre", "faces", number, events) for number in (1, 2))
    bad = replace(bad, events_problem="e.tsv, row 3: onset is 'x'")
    (scan,) = session_tasks(person(("pre", (bad, good))))
    assert scan.runs == (bad, good)
    assert modelled_runs(scan, settings_of(FACES)) == (good,)
    notes = task_notes([person(("pre", (bad, good)))], settings_of(FACES))
    assert [(what, where) for what, where, _ in notes] == [
        ("e.tsv, row 3: onset is 'x'", bad.file.name)
    ]
    assert "not modelled in this run" in notes[0][2]


@pytest.mark.parametrize(("space", "is_drawn"), [(HOME_SPACE, True), ("MNI152NLin6Asym", False)])
def test_a_connectome_is_drawn_on_the_brain_of_its_own_space_only(tmp_path, space, is_drawn):
    for name in ("atlas.nii.gz", "atlas.tsv"):
        (tmp_path / name).touch()
    atlas = Atlas("A", space, tmp_path / "atlas.nii.gz", tmp_path / "atlas.tsv", "", "", "")
    workflow, waves = Workflow("all"), []
    for session in ("pre", "post"):
        own = Workflow(f"{session}_wf")
        own.add_nodes([Node(IdentityInterface(["relmat_file"]), "outputnode")])
        waves.append((session, own, SessionTask(session, "rest", (run_of(session, "rest", 1),))))
    add_connectivity_change(workflow, waves, Study(Path("/data"), tmp_path, Settings(), atlas))
    save = workflow.get_node("save_bold_task_rest_change_wf_later_session")
    saved = save.inputs.copyable_trait_names()
    assert "connectivity_change_figures" in saved
    assert ("connectome_change_figures" in saved) == is_drawn
