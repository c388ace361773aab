"""Jobs on disk: numbered folders, a manifest that survives, and what tasks wrote of themselves."""

import json

import pytest

from bids_utils.derivatives import read_table
from workflows.cluster import ClusterSettings, JobSettings
from workflows.cluster_jobs import (
    GROUP,
    duration_s,
    latest_tasks,
    new_folder,
    read_manifest,
    read_note,
    write_manifest,
)
from workflows.cluster_scripts import Job

CLUSTER = ClusterSettings(
    participant=JobSettings(memory_gb=1.5, time_hours=0.5), command="braindelta"
)


def submitted(output_dir, labels, job_id=None, scheduler="slurm"):
    """Folder of a submission; the job has a number if it was submitted."""
    folder = new_folder(output_dir)
    words = ("/a b", str(output_dir), "participant")
    jobs = [
        Job("participants1", tuple(labels), CLUSTER.participant, words),
        Job("group", None, CLUSTER.group, words),
    ]
    write_manifest(jobs, folder, scheduler, CLUSTER)
    if job_id:
        manifest = folder / "manifest.tsv"
        text = manifest.read_text(encoding="utf-8")
        manifest.write_text(text.replace("n/a\tpart", f"{job_id}\tpart"), encoding="utf-8")
    return folder


def test_each_submission_has_its_own_numbered_folder(tmp_path):
    assert [new_folder(tmp_path).name for _ in range(3)] == ["0001", "0002", "0003"]
    (tmp_path / "logs" / "jobs" / "0007").mkdir()
    (tmp_path / "logs" / "jobs" / "0009_old").mkdir()
    assert new_folder(tmp_path).name == "0008"


def test_the_manifest_says_of_each_task_who_what_and_where(tmp_path):
    folder = submitted(tmp_path, ["007", "A"], "40")
    table = read_table(folder / "manifest.tsv", ("log",))
    assert table["participant_id"].tolist()[:2] == ["sub-007", "sub-A"]
    assert table["job_id"].tolist()[:2] == ["40", "40"]
    assert table.loc[1, ["index", "log", "cpus", "memory_gb", "time_hours"]].tolist() == (
        [2, "participants1_2.log", 2, 1.5, 0.5]
    )
    command = f"braindelta '/a b' {tmp_path} participant --participant-label A"
    assert table.loc[1, "command"] == command
    dictionary = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert list(dictionary) == list(table.columns)


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    folder = submitted(tmp_path, ["007", "A"], "40")
    first, second, group = read_manifest(folder)
    assert (first.label, first.job_id, first.index) == ("007", "40", 1)
    assert second.log_file == folder / "participants1_2.log"
    assert (group.label, group.job_id, group.index) == (GROUP, None, None)
    assert (second.memory_gb, second.time_hours) == (1.5, 0.5)


@pytest.mark.parametrize(
    ("scheduler", "job_id", "title"),
    [("slurm", "40", "40_2"), ("sge", "40", "40.2"), ("pbs", "40[].host", "40.host[2]")],
)
def test_a_task_is_called_as_its_scheduler_calls_it(tmp_path, scheduler, job_id, title):
    task = read_manifest(submitted(tmp_path, ["1", "2"], job_id, scheduler))[1]
    assert task.title == title


def test_the_last_submission_of_somebody_counts(tmp_path):
    submitted(tmp_path, ["01", "02"], "40")
    submitted(tmp_path, ["02"], "41")
    tasks = latest_tasks(tmp_path)
    assert {label: task.job_id for label, task in tasks.items()} == {"01": "40", "02": "41"}


def test_jobs_that_were_written_and_not_submitted_do_not_count_until_they_begin(tmp_path):
    submitted(tmp_path, ["01", "02"], "40")
    folder = submitted(tmp_path, ["01", "02"])
    assert latest_tasks(tmp_path)["02"].job_id == "40"
    write_note(folder / "sub-02.json")
    tasks = latest_tasks(tmp_path)
    assert (tasks["01"].job_id, tasks["02"].job_id) == ("40", None)


def test_a_damaged_manifest_is_left_out_with_a_warning(tmp_path, caplog):
    folder = submitted(tmp_path, ["01"], "40")
    (folder / "manifest.tsv").write_text("job_id\tscript\n1\tx\n", encoding="utf-8")
    assert latest_tasks(tmp_path) == {}
    assert str(folder / "manifest.tsv") in caplog.text


def write_note(file, **changes):
    content = {"job": "40_2", "host": "n1", "started": 100, "ended": None, "exit_code": None}
    content |= {"signal": "", "left": "", **changes}
    file.write_text(json.dumps(content), encoding="utf-8")


def test_what_a_task_wrote_is_read(tmp_path):
    folder = submitted(tmp_path, ["01"], "40")
    task, group = read_manifest(folder)
    assert read_note(task) is None
    write_note(folder / "sub-01.json", ended=160, exit_code=1, signal="TERM", left="1:30")
    note = read_note(task)
    assert (note.started_s, note.ended_s, note.exit_code) == (100, 160, 1)
    assert (note.signal, note.left_s) == ("TERM", 90)
    write_note(folder / "group.json", started=7)
    assert read_note(group).started_s == 7


def test_a_damaged_note_is_none(tmp_path):
    folder = submitted(tmp_path, ["01"], "40")
    (folder / "sub-01.json").write_text('{"started": 1', encoding="utf-8")
    assert read_note(read_manifest(folder)[0]) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0:07", 7),
        ("4:30", 270),
        ("2:00:01", 7201),
        ("1-02:00:00", 93600),
        ("UNLIMITED", None),
        ("", None),
    ],
)
def test_durations_of_schedulers_are_read(text, seconds):
    assert duration_s(text) == seconds
