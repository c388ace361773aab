"""What runs graphs: the atlas is made before images are run, in the spaces that are used."""

import os
import shutil
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
from workflows.execution import clean_work, remove_old, run_images, with_atlases
from workflows.failures import Failure
from workflows.locks import locked
from workflows.options import Options
from workflows.processes import Stopped
from workflows.records import (
    Record,
    fingerprint,
    is_running,
    lock_file,
    read_record,
    write_record,
)
from workflows.saving import Study

CONSOLE = Console(record=True, width=200, force_terminal=False)


@pytest.fixture
def options(tmp_path):
    places = {"bids_dir": tmp_path / "bids", "output_dir": tmp_path / "out"}
    places["output_dir"].mkdir()
    (places["output_dir"] / "dataset_description.json").touch()
    return Options(**places, level="participant", work_dir=tmp_path / "work")


def test_folders_that_killed_runs_left_go_and_those_in_use_stay(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name / "step").mkdir(parents=True)
    os.utime(tmp_path / "old", (1e9, 1e9))
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")  # as a folder that another job removed
    remove_old(tmp_path)
    assert (tmp_path / "new" / "step").is_dir()
    assert not (tmp_path / "old").exists()


def test_folders_of_others_in_the_work_folder_stay(options, monkeypatch):
    own = options.work_dir / "atlas-Schaefer2018"
    own.mkdir(parents=True)
    os.utime(own, (1e9, 1e9))
    monkeypatch.setattr(execution, "standard_atlas", carried_by("live"))
    with_atlases(study_of(options), with_run(), options, CONSOLE)
    assert own.is_dir()


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
    assert list(options.work_dir.glob("*/atlas/*")) == []


def test_an_atlas_that_cannot_be_carried_ends_the_call_with_its_own_error(options, monkeypatch):
    monkeypatch.setattr(execution, "standard_atlas", carried_by("fail"))
    with pytest.raises(DatasetError, match=r"carry: a\.nii\.gz: broken; copy it again"):
        with_atlases(study_of(options), with_run(), options, CONSOLE)
    assert len(list(options.output_dir.glob("logs/atlas/*/crash-*carry*.txt"))) == 1
    assert list(options.work_dir.glob("*/atlas/*")) == []


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


@pytest.fixture
def people(tmp_path):
    """Two people with a T1w image each."""
    plans = []
    for label in ("01", "02"):
        file = tmp_path / f"sub-{label}_T1w.nii.gz"
        file.touch()
        plans.append(ParticipantPlan(label, (SessionPlan("pre", 0.0, file, ()),)))
    return plans


@pytest.fixture
def asked(monkeypatch):
    """Participants whose workflows were asked for; they take no time and give nothing."""
    labels = []

    def init_participant_wf(participant, study):
        labels.append(participant.label)
        return Workflow(f"sub_{participant.label}_wf")

    monkeypatch.setattr(execution, "init_participant_wf", init_participant_wf)
    return labels


def stop(*_):
    raise Stopped(15)


def test_whoever_another_run_works_on_is_left_alone_and_named(options, people, asked, monkeypatch):
    monkeypatch.setattr(execution, "run_graph", lambda *_: None)
    console = Console(record=True, width=200, force_terminal=False)
    with locked(lock_file(options.output_dir, "01")):
        run_images(people, study_of(options), options, console)
    assert asked == ["02"]
    assert "sub-01: left alone: another run works on it (process " in console.export_text()
    assert read_record(options.output_dir, "01").status == "not started"
    assert read_record(options.output_dir, "02").status == "failed"


def test_two_outputs_do_not_share_the_work_of_a_participant_at_once(
    options, people, asked, monkeypatch
):
    monkeypatch.setattr(execution, "run_graph", lambda *_: None)
    other = replace(options, output_dir=options.output_dir.with_name("other"))
    with locked(execution.participant_work("02", other).with_name("sub_02_wf.lock")):
        run_images(people, study_of(options), options, CONSOLE)
    assert asked == ["01"]


def test_whoever_was_finished_meanwhile_is_not_run_again(options, people, asked, monkeypatch):
    monkeypatch.setattr(execution, "run_graph", lambda *_: None)
    monkeypatch.setattr(execution, "is_done", lambda participant, _: participant.label == "01")
    run_images(people, study_of(options), options, CONSOLE)
    assert asked == ["02"]


def test_a_signal_is_written_into_the_records_of_all_who_were_not_finished(
    options, people, asked, monkeypatch
):
    monkeypatch.setattr(execution, "run_graph", stop)
    found = [Failure("n4", "ToolError", "too dark", "")]
    monkeypatch.setattr(
        execution, "read_failures", lambda folder: list(found) if "sub-02" in str(folder) else []
    )
    with pytest.raises(Stopped):
        run_images(people, study_of(options), options, CONSOLE)
    text = "stopped by signal TERM; run the same command again"
    first, second = (read_record(options.output_dir, label) for label in ("01", "02"))
    assert (first.status, first.causes, first.exit_code) == ("failed", (text,), 1)
    assert second.causes == ("n4: too dark", text)


def test_a_new_run_begins_without_traces_of_a_killed_one(options, people, asked, monkeypatch):
    study = study_of(options)
    root, work = options.output_dir, execution.participant_work("01", options)
    half = f".tmp{'0a' * 16}_x.tsv"
    gone = [
        root / "sub-01.html",
        root / "sub-01" / "ses-pre" / half,
        root / "logs" / "sub-01" / half,
        root / "logs" / "sub-01" / "crash" / "crash-1.txt",
        work / "n4" / "half.nii.gz",
    ]
    kept = [root / "sub-02.html", root / "sub-01" / "notes.txt", work.with_name("sub_03_wf") / "x"]
    for file in (*gone, *kept):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    write_record(root, "01", "print", [])
    execution.forget_run(people[0], study, options)
    assert [file for file in gone if file.exists()] == []
    assert [file for file in kept if not file.exists()] == []
    assert read_record(root, "01").status == "not started"


def test_the_record_is_about_the_inputs_as_they_were_when_the_run_began(
    options, people, asked, monkeypatch
):
    def replace_input(*_):
        people[0].sessions[0].t1w_file.unlink()

    before = [fingerprint(person, Settings()) for person in people]
    monkeypatch.setattr(execution, "run_graph", replace_input)
    run_images(people, study_of(options), options, CONSOLE)
    records = [read_record(options.output_dir, person.label) for person in people]
    assert [record.fingerprint for record in records] == before
    after = [fingerprint(person, Settings()) for person in people]
    assert [new == old for new, old in zip(after, before, strict=True)] == [False, True]


def crowd(tmp_path, n_people):
    people = []
    for number in range(n_people):
        file = tmp_path / f"sub-{number:03d}_T1w.nii.gz"
        file.touch()
        people.append(ParticipantPlan(f"{number:03d}", (SessionPlan("pre", 0.0, file, ()),)))
    return people


def test_a_large_cohort_is_run_some_people_at_a_time_and_nobody_twice(
    options, asked, tmp_path, monkeypatch
):
    sizes, n_locked = [], []

    def run_graph(workflow, titles, *_):
        sizes.append(len(titles))
        n_locked.append(sum(is_running(options.output_dir, one.label) for one in people))

    monkeypatch.setattr(execution, "run_graph", run_graph)
    people = crowd(tmp_path, 40)
    run_images(people, study_of(options), options, CONSOLE)
    assert sizes == n_locked == [16, 16, 8]
    assert asked == [one.label for one in people]


def test_more_cores_get_more_people_and_never_more_locks_than_files_may_be_open():
    people = list(range(1000))
    assert [len(part) for part in execution.batches(people, 10)] == [40] * 25
    assert [len(part) for part in execution.batches(people, 128)] == [200] * 5
    assert sum(execution.batches(people, 3), []) == people
    assert execution.batches([], 3) == []


def test_after_the_first_failure_nobody_else_is_begun_if_so_asked(
    options, asked, tmp_path, monkeypatch
):
    monkeypatch.setattr(execution, "run_graph", lambda *_: None)
    people = crowd(tmp_path, 20)
    first = replace(options, stop_on_first_crash=True)
    run_images(people, study_of(options), first, CONSOLE)
    assert len(asked) == 16
    assert read_record(options.output_dir, "019").status == "not started"


def work_of(label, options):
    folder = execution.participant_work(label, options)
    folder.mkdir(parents=True)
    (folder / "result.pklz").touch()
    return folder


def test_the_work_of_all_who_are_done_is_removed_and_of_nobody_else(options):
    folders = {label: work_of(label, options) for label in ("01", "02", "03")}
    records = {"01": Record("done"), "02": Record("failed"), "03": Record("done")}
    with locked(lock_file(options.output_dir, "03")):
        clean_work({**records, "04": Record("done")}, options)
    assert [label for label, folder in folders.items() if folder.is_dir()] == ["02", "03"]


def test_work_that_cannot_be_removed_is_named(options, monkeypatch):
    folder = work_of("01", options)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(execution.shutil, "rmtree", refuse)
    with pytest.raises(DatasetError, match=f"{folder.name}: cannot be removed .Permission"):
        clean_work({"01": Record("done")}, options)


def test_an_output_folder_that_is_gone_ends_the_call_and_is_not_made_again(
    options, people, asked, monkeypatch
):
    monkeypatch.setattr(execution, "run_graph", lambda *_: shutil.rmtree(options.output_dir))
    with pytest.raises(DatasetError, match="out: the output folder or its dataset_description"):
        run_images(people, study_of(options), options, CONSOLE)
    assert not options.output_dir.exists()
