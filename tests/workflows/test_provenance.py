"""What is written down about where results came from."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_utils.plan import BoldRun, DerivedBold, ParticipantPlan, SessionPlan
from configs.atlases import find_atlas
from configs.settings import Settings, dump_settings
from workflows.options import Options
from workflows.provenance import (
    Steps,
    group_file,
    is_group_of,
    participant_file,
    planned_steps,
    read_steps,
    rerun_command,
    software,
    write_group_provenance,
    write_participant_provenance,
)
from workflows.saving import Study

ENTITIES = (("sub", "01"), ("ses", "pre"), ("task", "rest"))


@pytest.fixture
def options(tmp_path):
    places = {"bids_dir": tmp_path / "bids", "output_dir": tmp_path / "out"}
    return Options(**places, level="participant", work_dir=tmp_path / "work")


def file_of(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def participant(options):
    t1w = file_of(options.bids_dir, "sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz", "t1w")
    bold = file_of(options.bids_dir, "sub-01/ses-pre/func/bold.nii.gz", "bold")
    run = BoldRun(bold, ENTITIES, 2.0, 100, slice_times_s=(0.0, 1.0))
    return ParticipantPlan("01", (SessionPlan("pre", 0.0, t1w, (run,)),))


def study_of(options, settings=None):
    atlas = find_atlas("DesikanKilliany")
    return Study(options.bids_dir, options.output_dir, settings or Settings(), atlas)


def test_a_finished_participant_has_versions_settings_atlas_and_the_hash_of_each_image(
    participant, options
):
    study = study_of(options)
    write_participant_provenance(participant, study, options)
    file = participant_file(options.output_dir, "01")
    told = json.loads(file.read_text(encoding="utf-8"))
    assert told["inputs"] == {
        "bids:raw:sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz": sha("t1w"),
        "bids:raw:sub-01/ses-pre/func/bold.nii.gz": sha("bold"),
    }
    assert told["settings"]["func"]["high_pass_hz"] == 0.008
    assert told["atlas"]["name"] == "DesikanKilliany"
    labels = hashlib.sha256(study.atlas.file.read_bytes()).hexdigest()
    assert told["atlas"]["labels"] == {study.atlas.space: labels}
    assert told["software"].keys() >= {"braindelta", "numpy", "python", "blas", "platform"}
    assert str(options.bids_dir) not in file.read_text(encoding="utf-8")


def test_the_same_run_writes_the_same_words(participant, options):
    texts = []
    for _ in range(2):
        write_participant_provenance(participant, study_of(options), options)
        texts.append(participant_file(options.output_dir, "01").read_bytes())
    assert texts[0] == texts[1]


def test_results_of_fmriprep_are_named_by_their_address(participant, options, tmp_path):
    root = tmp_path / "fp"
    series = file_of(root, "sub-01/bold.nii.gz", "series")
    table = file_of(root, "sub-01/confounds.tsv", "table")
    source = "bids:fmriprep:sub-01/bold.nii.gz"
    derived = DerivedBold(root, source, series, table, "MNI152NLin6Asym", "23.2.1")
    (session,) = participant.sessions
    run = replace(session.bold_runs[0], file=series, derived=derived)
    person = ParticipantPlan("01", (replace(session, bold_runs=(run,)),))
    write_participant_provenance(person, study_of(options), options)
    told = json.loads(participant_file(options.output_dir, "01").read_text(encoding="utf-8"))
    assert told["inputs"]["bids:fmriprep:sub-01/bold.nii.gz"] == sha("series")
    assert told["inputs"]["bids:fmriprep:sub-01/confounds.tsv"] == sha("table")
    steps = planned_steps(person, Settings()).bold[0]
    assert (steps.fmriprep, steps.slice_timing) == ("23.2.1", False)


def test_steps_count_only_for_those_done_with_the_same_settings(participant, options):
    study = study_of(options)
    write_participant_provenance(participant, study, options)
    file_of(options.output_dir, "logs/sub-02/provenance.json", "{broken")
    (steps,) = read_steps(options.output_dir, study.settings)
    assert isinstance(steps, Steps)
    assert steps.anatomy == ("pre",)
    assert steps.bold[0].run == "sub-01_ses-pre_task-rest"
    assert steps.bold[0].slice_timing
    other = Settings.model_validate({"func": {"strategy": "6P"}})
    assert read_steps(options.output_dir, other) == []
    of_the_group = Settings.model_validate({"group": {"alpha": 0.01}, "random_seed": 9})
    assert read_steps(options.output_dir, of_the_group) == [steps]


def test_the_command_can_be_called_again_in_the_output_folder(options, tmp_path):
    asked = replace(
        options,
        level="group",
        participant_label=("01",),
        task_id=("rest",),
        bids_filter_file=tmp_path / "filter.json",
        derivatives=(f"fmriprep={tmp_path / 'fp'}", f"FreeSurfer={tmp_path / 'fs'}"),
        measures=(tmp_path / "m.tsv",),
        random_seed=7,
    )
    words = " ".join(rerun_command(asked))
    assert words == (
        "braindelta ../bids . group --settings settings.yaml --task-id rest "
        "--bids-filter-file ../filter.json --derivatives fmriprep=../fp "
        "--derivatives FreeSurfer=../fs --measures ../m.tsv"
    )


def test_the_group_has_the_hash_of_each_table_and_one_for_each_person(options):
    file_of(options.bids_dir, "participants.tsv", "participant_id\nsub-01\n")
    name = "sub-01/ses-pre/anat/sub-01_ses-pre_desc-tissue_morph.tsv"
    table = file_of(options.output_dir, name, "measure\tvalue\n")
    group = replace(options, level="group")
    found = []
    for text in ("1", "2"):
        table.write_text(text, encoding="utf-8")
        write_group_provenance(group, Settings())
        found.append(json.loads(group_file(options.output_dir).read_text(encoding="utf-8")))
    assert found[0]["inputs"] == {"participants.tsv": sha("participant_id\nsub-01\n")}
    assert found[0]["participants"] == {"sub-01": sha(f"{name} {sha('1')}")}
    assert found[1]["participants"] != found[0]["participants"]
    text = dump_settings(Settings(), options.output_dir)
    assert found[0]["settings_sha256"] == sha(text)


def test_results_of_a_group_with_other_settings_are_not_of_this_study(options):
    assert not is_group_of(options.output_dir, Settings())
    write_group_provenance(replace(options, level="group"), Settings())
    assert is_group_of(options.output_dir, Settings())
    assert not is_group_of(options.output_dir, Settings(random_seed=2))


def test_versions_are_those_that_are_installed():
    assert software()["numpy"] == np.__version__
    assert Path("/") not in map(Path, software().values())
