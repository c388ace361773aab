"""Causes: what became of a task, from the scheduler, its own words, the record and the lock."""

import json
import os
from pathlib import Path

import pytest

from workflows import standing
from workflows.cluster_jobs import GROUP, Task, TaskNote
from workflows.failures import Failure
from workflows.locks import locked
from workflows.records import Record, lock_file, write_record
from workflows.standing import (
    Evidence,
    Standing,
    group_standing,
    participant_standing,
    standings,
    task_fate,
)

PLACE = Path("/out/logs/jobs/0001")
TASK = Task("01", PLACE, PLACE / "participants1_1.log", "slurm", "40", 1, 2.5, 1.0)
NOTHING = Record("not started")
STOPPED = Record("failed", causes=("stopped by signal TERM; run the same command again",))
BROKEN = Record("failed", causes=("anat, n4: a.nii.gz: too dark",))


def note(ended_s=None, exit_code=None, signal="", left_s=None):
    return TaskNote(1000, ended_s, exit_code, signal, left_s, 5)


def known(state=None, own=None, was_asked=True, is_young=False, task=TASK):
    return Evidence(task, own, state, was_asked, is_young)


@pytest.mark.parametrize(
    ("evidence", "fate"),
    [
        (known("waiting"), "waiting"),
        (known("waiting", note()), "waiting"),  # it began, and was put back into the queue
        (known("blocked"), "blocked"),
        (known("running", note()), "running"),
        (known("out of memory", note(1060, 1)), "out of memory"),
        (known("cancelled", note(1060, 1, "TERM", 20)), "cancelled"),
        (known("time limit", note()), "time limit"),
        (known("failed", note(1060, 1)), "failed"),
        (known("failed", note(1060, 137)), "killed"),
        (known("failed", note()), "killed"),
        (known("failed", note(1060, 1, "TERM", 100)), "time limit"),
        (known("failed", note(1060, 1, "TERM", 1000)), "cancelled"),
        (known("completed", note(1060, 0)), "completed"),
        (known("completed", note(1060, 0, "TERM", 10)), "completed"),
        (known("failed"), "gone"),
        (known(None), "gone"),
        (known(None, note()), "killed"),
        (known(None, note(4550, 1, "TERM")), "time limit"),  # 50 s before the limit of an hour
        (known(None, note(2800, 1, "TERM")), "cancelled"),
        (known(None, note(1060, 1, "USR1")), "time limit"),
        (known(None, note(1060, 1, "USR2")), "cancelled"),
        (known(None, None, was_asked=False), "waiting"),
        (known(None, note(), was_asked=False, is_young=True), "running"),
        (known(None, note(), was_asked=False), "killed"),
        (known("unknown", note(1060, 0)), "completed"),
    ],
)
def test_the_fate_of_a_task(evidence, fate):
    assert task_fate(evidence) == fate


def standing_of(record, evidence, is_locked=False, is_newer=False):
    return participant_standing(record, evidence, is_locked, is_newer)


@pytest.mark.parametrize(
    ("record", "evidence", "words"),
    [
        (NOTHING, known("out of memory", note()), "out of memory: 2.5 GiB were not enough"),
        (NOTHING, known("time limit", note()), "time limit: 1 h were not enough"),
        (NOTHING, known("cancelled"), "cancelled: the job was told to stop"),
        (NOTHING, known("node failed", note()), "the computer that it ran on failed"),
        (NOTHING, known(None, note()), "killed, most often because memory ran out (2.5 GiB"),
        (NOTHING, known(None), "the job left the queue before it began"),
        (NOTHING, known("failed", note(1060, 127)), "exit code 127 before its work; see the log"),
    ],
)
def test_a_task_that_ended_badly_has_failed_with_its_cause(record, evidence, words):
    found = standing_of(record, evidence)
    assert found.status == "failed"
    assert words in found.causes[0]
    assert found.task is TASK


def test_a_step_that_failed_is_told_as_without_a_cluster():
    found = standing_of(BROKEN, known("failed", note(1060, 1)))
    assert (found.status, found.causes) == ("failed", BROKEN.causes)


def test_the_cause_of_the_job_stands_before_the_step_it_stopped():
    found = standing_of(BROKEN, known("out of memory", note(1060, 1)))
    assert found.causes[0].startswith("out of memory")
    assert found.causes[1:] == BROKEN.causes


def test_that_a_signal_came_is_not_told_twice():
    found = standing_of(STOPPED, known("cancelled", note(1060, 1, "TERM", 1000)))
    assert found.causes == ("cancelled: the job was told to stop",)


def test_whoever_holds_the_lock_is_running_whatever_the_job_says():
    assert standing_of(NOTHING, known("cancelled", note()), is_locked=True).status == "running"


def test_a_later_run_by_hand_counts_more_than_the_job():
    found = standing_of(BROKEN, known("cancelled", note(1060, 1, "TERM", 90)), is_newer=True)
    assert found.causes == BROKEN.causes


def test_results_of_other_settings_are_not_started_after_a_job_that_ended_well():
    outdated = Record("not started", causes=("made with other settings",))
    found = standing_of(outdated, known("completed", note(1060, 0)))
    assert (found.status, found.causes) == ("not started", outdated.causes)


def test_where_the_scheduler_cannot_be_asked_a_waiting_task_says_so():
    found = standing_of(NOTHING, known(None, None, was_asked=False))
    assert found.status == "waiting"
    assert "cannot be asked" in found.causes[0]


def test_a_job_that_will_never_start_waits_and_says_so():
    for found in (standing_of(NOTHING, known("blocked")), group_standing(known("blocked"))):
        assert found.status == "waiting"
        assert "will not start it as it is" in found.causes[0]


@pytest.mark.parametrize(
    ("evidence", "status", "words"),
    [
        (known("completed", note(1060, 0)), "done", ""),
        (known("failed", note(1060, 10)), "done", "some participants or models failed"),
        (known("failed", note(1060, 3)), "failed", "exit code 3"),
        (known("out of memory", note(1060, 137)), "failed", "out of memory"),
        (known("running", note()), "running", ""),
        (known("waiting"), "waiting", ""),
    ],
)
def test_the_group_level_stands_as_its_job(evidence, status, words):
    found = group_standing(evidence)
    assert found.status == status
    assert words in " ".join(found.causes)


@pytest.fixture
def cohort(tmp_path, monkeypatch):
    """Four people in one array of job 40, and the group job 41; nothing has begun."""
    folder = tmp_path / "logs" / "jobs" / "0001"
    folder.mkdir(parents=True)
    columns = ["job_id", "script", "index", "participant_id", "log", "scheduler"]
    rows = [
        ["40", "participants1.sh", str(n), f"sub-0{n}", f"participants1_{n}.log", "slurm"]
        for n in range(1, 5)
    ]
    rows.append(["41", "group.sh", "n/a", "n/a", "group.log", "slurm"])
    table = [[*columns, "memory_gb", "time_hours"], *([*row, "2.5", "1"] for row in rows)]
    text = "".join("\t".join(row) + "\n" for row in table)
    (folder / "manifest.tsv").write_text(text, encoding="utf-8")
    states = {("40", n): "waiting" for n in range(1, 5)}
    monkeypatch.setattr(standing, "task_states", lambda tasks: states)
    return tmp_path, states


def test_everybody_is_found_with_the_own_job_and_the_done_without_one(cohort):
    output_dir, states = cohort
    states["40", 2] = "cancelled"
    records = {"01": Record("done"), "02": NOTHING, "03": NOTHING, "09": NOTHING}
    found = standings(records, output_dir)
    assert found["01"] == Standing("done")
    assert (found["02"].status, found["02"].task.title) == ("failed", "40_2")
    assert found["03"].status == "waiting"
    assert found["09"] == Standing("not started")
    assert found[GROUP].status == "failed"  # job 41 is in no answer and never began
    assert list(found) == ["01", "02", "03", "09", GROUP]


def test_a_lock_that_is_held_is_seen_with_and_without_a_job(cohort):
    output_dir, _ = cohort
    records = {"03": NOTHING, "09": NOTHING}
    with locked(lock_file(output_dir, "03")), locked(lock_file(output_dir, "09")):
        found = standings(records, output_dir)
    assert (found["03"].status, found["09"].status) == ("running", "running")


def test_records_count_by_whether_they_are_younger_than_the_end_of_the_job(cohort):
    output_dir, states = cohort
    states["40", 1] = "failed"
    content = {"started": 1, "ended": 9, "exit_code": 1, "signal": "USR2", "left": ""}
    file = output_dir / "logs" / "jobs" / "0001" / "sub-01.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    record = write_record(output_dir, "01", "", [Failure("n4", "ToolError", "too dark", "")])
    os.utime(file, (1000, 1000))
    assert standings({"01": record}, output_dir)["01"].causes == ("n4: too dark",)
    os.utime(file, (2**33, 2**33))
    causes = standings({"01": record}, output_dir)["01"].causes
    assert causes == ("cancelled: the job was told to stop", "n4: too dark")
