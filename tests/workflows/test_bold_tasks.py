from dataclasses import replace
from pathlib import Path

import pytest

from bids_utils.errors import SettingsError
from bids_utils.plan import BoldRun, ParticipantPlan, SessionPlan
from configs.settings import FuncSettings, Settings, TaskSettings
from workflows.bold_tasks import check_tasks, session_tasks, task_notes

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
