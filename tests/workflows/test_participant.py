"""A participant gets the regions of the study; all files carry their name."""

from dataclasses import replace
from pathlib import Path

import pytest

from bids_utils.plan import BoldRun, ParticipantPlan, SessionPlan
from configs.atlases import Atlas
from configs.settings import AtlasSettings, Settings
from workflows.participant import Study, expected_files, init_participant_wf


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
