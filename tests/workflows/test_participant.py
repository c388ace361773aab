"""A participant gets the regions of the study; all files carry their name."""

from dataclasses import replace
from pathlib import Path

import pytest

from bids_utils.plan import BoldRun, ParticipantPlan, SessionPlan
from configs.atlases import Atlas
from configs.settings import AtlasSettings, FuncSettings, Settings, TaskSettings
from workflows.participant import expected_files, init_participant_wf
from workflows.saving import Study


@pytest.fixture
def participant(tmp_path):
    for name in ("pre.nii.gz", "post.nii.gz", "bold.nii.gz"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    entities = (("sub", "01"), ("ses", "pre"), ("task", "rest"))
    run = BoldRun(tmp_path / "bold.nii.gz", entities, 2.0, 100)
    first = SessionPlan("pre", 0.0, tmp_path / "pre.nii.gz", (run,))
    return ParticipantPlan("01", (first, SessionPlan("post", 80.0, tmp_path / "post.nii.gz", ())))


@pytest.fixture
def study(tmp_path):
    """Settings name an own atlas elsewhere; the study has it as it was carried."""
    for name in ("carried.nii.gz", "carried.tsv"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    own = AtlasSettings(
        name="Mine", file=Path("/far/x.nii.gz"), labels=Path("/far/x.tsv"), space="Colin27"
    )
    carried = (tmp_path / "carried.nii.gz", tmp_path / "carried.tsv")
    atlas = Atlas("Mine", "MNI152NLin2009aSym", *carried, "", "", "")
    return Study(tmp_path, tmp_path / "out", Settings(atlas=own), atlas)


def test_anatomy_and_each_run_get_the_labels_that_were_carried(participant, study):
    workflow = init_participant_wf(participant, study)
    for name in ("anat_wf", "bold_ses_pre_task_rest_wf"):
        inputs = workflow.get_node(name).inputs.inputnode
        assert inputs.atlas_file == str(study.atlas.file), name
        assert inputs.atlas_labels_file == str(study.atlas.labels_file), name


def test_saved_files_have_the_name_of_the_own_atlas(participant, study):
    names = [file.name for file in expected_files(participant, study.settings)]
    assert "sub-01_ses-post_atlas-Mine_desc-volume_morph.tsv" in names
    assert "sub-01_ses-pre_task-rest_atlas-Mine_stat-pearsoncorrelation_relmat.tsv" in names
    assert not [name for name in names if "DesikanKilliany" in name or "{" in name]


def test_images_without_an_atlas_are_refused(participant, study):
    with pytest.raises(ValueError, match="has no atlas"):
        init_participant_wf(participant, replace(study, atlas=None))


def run_of(tmp_path, session, number, task="rest", events=None):
    entities = (("sub", "01"), ("ses", session), ("task", task), ("run", str(number)))
    file = tmp_path / f"{session}_{task}_{number}.nii.gz"
    return BoldRun(file, entities, 2.0, 100, events_file=events)


def with_runs(participant, pre, post):
    first, second = participant.sessions
    sessions = (replace(first, bold_runs=pre), replace(second, bold_runs=post))
    return replace(participant, sessions=sessions)


def test_all_runs_of_a_task_in_a_session_make_one_matrix(participant, study, tmp_path):
    pre = (run_of(tmp_path, "pre", 2), run_of(tmp_path, "pre", 1))
    post = (run_of(tmp_path, "post", 1),)
    person = with_runs(participant, pre, post)
    names = [file.name for file in expected_files(person, study.settings)]
    matrices = [name for name in names if name.endswith("pearsoncorrelation_relmat.tsv")]
    assert matrices == [
        f"sub-01_ses-{session}_task-rest_atlas-Mine_stat-pearsoncorrelation_relmat.tsv"
        for session in ("pre", "post")
    ]
    workflow = init_participant_wf(person, study)
    merge = workflow.get_node("bold_ses_pre_task_rest_connectivity_wf_clean_files")
    sources = [node.fullname for node, _ in workflow._graph.in_edges(merge)]
    wanted = [f"sub_01_wf.bold_ses_pre_task_rest_run_{run}_wf" for run in (2, 1)]
    assert sources == wanted
    save = workflow.get_node("save_bold_ses_pre_task_rest_connectivity_wf_task").inputs
    assert save.places[0].sources == tuple(f"bids:raw:{run.file.name}" for run in pre)


def test_change_of_connectivity_is_drawn_in_the_order_of_time(participant, study, tmp_path):
    person = with_runs(participant, (run_of(tmp_path, "pre", 1),), (run_of(tmp_path, "post", 1),))
    workflow = init_participant_wf(person, study)
    figures = workflow.get_node("bold_task_rest_change_wf.change_figures").inputs
    assert figures.session_labels == ["pre", "post"]
    merge = workflow.get_node("bold_task_rest_change_wf_relmat_files")
    assert [node.name for node, _ in workflow._graph.in_edges(merge)] == [
        "bold_ses_pre_task_rest_connectivity_wf",
        "bold_ses_post_task_rest_connectivity_wf",
    ]
    save = workflow.get_node("save_bold_task_rest_change_wf_later_session").inputs
    assert [dict(place.entities)["ses"] for place in save.places] == ["post"]


def test_only_runs_with_events_of_a_task_in_the_settings_are_modelled(participant, study, tmp_path):
    events = tmp_path / "events.tsv"
    events.write_text("onset\tduration\ttrial_type\n", encoding="utf-8")
    pre = (
        run_of(tmp_path, "pre", 1, "faces", events),
        run_of(tmp_path, "pre", 2, "faces"),
        run_of(tmp_path, "pre", 1, "rest", events),
    )
    person = with_runs(participant, pre, ())
    task = TaskSettings(task="faces", contrasts={"reactivity": "fear - neutral"})
    settings = study.settings.model_copy(update={"func": FuncSettings(tasks=(task,))})
    names = [file.name for file in expected_files(person, settings)]
    designs = [name for name in names if name.endswith("desc-design_timeseries.tsv")]
    assert designs == ["sub-01_ses-pre_task-faces_run-1_desc-design_timeseries.tsv"]
    assert "sub-01_ses-pre_task-faces_atlas-Mine_desc-contrasts_bold.tsv" in names
    workflow = init_participant_wf(person, replace(study, settings=settings))
    models = [name for name in workflow.list_node_names() if name.endswith(".design")]
    assert models == ["bold_ses_pre_task_faces_model_1_wf.design"]
    assert workflow.get_node(models[0]).inputs.events_file == str(events)


def test_a_run_is_told_where_the_t1w_image_of_its_own_session_lies(participant, study, tmp_path):
    person = with_runs(participant, (), (run_of(tmp_path, "post", 1),))
    workflow = init_participant_wf(person, study)
    assert workflow.get_node("bold_ses_post_task_rest_run_1_wf_scanner").inputs.index == [1]
