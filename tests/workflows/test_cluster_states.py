"""Answers of schedulers, as they were recorded from real ones, in one set of words."""

import os
import sys
from pathlib import Path

import pytest

from workflows.cluster_jobs import Task
from workflows.cluster_states import (
    SLURM_STATES,
    read_accounting,
    read_qstat,
    read_scontrol,
    task_numbers,
    task_states,
)

SCONTROL = """\
JobId=2 ArrayJobId=2 ArrayTaskId=7-8,12%2 JobName=braindelta UserId=a(1) Priority=1 JobState=PENDING Reason=Resources Dependency=(null) ExitCode=0:0 RunTime=00:00:00 Command=/d/JobState=FAILED/participants1.sh
JobId=4 ArrayJobId=2 ArrayTaskId=2 JobName=braindelta UserId=a(1) JobState=RUNNING Reason=None ExitCode=0:0
JobId=3 ArrayJobId=2 ArrayTaskId=1 JobName=braindelta UserId=a(1) JobState=COMPLETING Reason=None ExitCode=0:0
JobId=9 ArrayJobId=2 ArrayTaskId=3 JobName=braindelta UserId=a(1) JobState=OUT_OF_MEMORY Reason=OutOfMemory ExitCode=0:125
JobId=10 ArrayJobId=2 ArrayTaskId=4 JobName=braindelta UserId=a(1) JobState=TIMEOUT Reason=TimeLimit ExitCode=0:15
JobId=11 ArrayJobId=2 ArrayTaskId=5 JobName=braindelta UserId=a(1) JobState=CANCELLED Reason=Resources ExitCode=0:0
JobId=13 JobName=braindelta UserId=a(1) JobState=PENDING Reason=PartitionTimeLimit ExitCode=0:0
JobId=12 JobName=braindelta UserId=a(1) JobState=COMPLETED Reason=None ExitCode=0:0
"""  # noqa: E501 - as SLURM 22.05 writes it, columns between left out
SACCT = """\
2|PENDING
1_1|COMPLETED
1_2|FAILED
1_3|OUT_OF_MEMORY
1_4|CANCELLED by 0
1_5|TIMEOUT
1_6|RUNNING
1_[6-8%3]|PENDING
"""
"""Here task 8 was cancelled while it waited, and the accounting did not notice."""
QSTAT = """\
job-ID  prior   name       user         state submit/start at     queue                          slots ja-task-ID
-----------------------------------------------------------------------------------------------------------------
      5 0.55500 braindelta root         r     11/22/2026 18:40:11 all.q@vm                           1 1
      5 0.55500 braindelta root         dr    11/22/2026 18:40:11 all.q@vm                           1 2
      5 0.55500 braindelta root         qw    11/22/2026 18:40:08                                    1 3-8:1
      6 0.00000 braindelta root         hqw   11/22/2026 18:40:08                                    1
      7 0.55500 braindelta root         Eqw   11/22/2026 18:40:08                                    1 1
"""  # noqa: E501 - as Grid Engine 8.1.9 writes it


def test_scontrol_tells_of_waiting_running_and_ended_tasks():
    assert read_scontrol(SCONTROL) == {
        ("2", 7): "waiting",
        ("2", 8): "waiting",
        ("2", 12): "waiting",
        ("2", 2): "running",
        ("2", 1): "running",
        ("2", 3): "out of memory",
        ("2", 4): "time limit",
        ("2", 5): "cancelled",
        ("13", None): "blocked",
        ("12", None): "completed",
    }


def test_the_accounting_tells_how_tasks_ended_and_not_who_waits():
    assert read_accounting(SACCT) == {
        ("1", 1): "completed",
        ("1", 2): "failed",
        ("1", 3): "out of memory",
        ("1", 4): "cancelled",
        ("1", 5): "time limit",
    }


def test_qstat_tells_of_tasks_that_wait_run_or_are_stuck():
    states = read_qstat(QSTAT)
    assert [states["5", index] for index in (1, 2, 3, 8)] == (
        ["running", "running", "waiting", "waiting"]
    )
    assert ("5", 9) not in states
    assert states["6", None] == "waiting"
    assert states["7", 1] == "blocked"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("4", [4]),
        ("2,5-8%3", [2, 5, 6, 7, 8]),
        ("1-7:2", [1, 3, 5, 7]),
        ("N/A", []),
        ("", []),
    ],
)
def test_short_forms_of_tasks_are_read(text, numbers):
    assert task_numbers(text) == numbers


def test_every_end_of_slurm_that_is_bad_has_a_word():
    assert SLURM_STATES["DEADLINE"] == "time limit"
    assert "unknown" not in SLURM_STATES.values()


@pytest.fixture
def scheduler(tmp_path, monkeypatch):
    """Return a function that puts a command of a scheduler with a fixed answer on the path."""
    python = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}:{python}")

    def answer(name, text="", error="", code=0):
        for suffix, content in (("out", text), ("err", error)):
            (tmp_path / f"{name}.{suffix}").write_text(content, encoding="utf-8")
        script = (
            f"#!/bin/sh\ncat {tmp_path}/{name}.out\ncat {tmp_path}/{name}.err >&2\nexit {code}\n"
        )
        (tmp_path / name).write_text(script, encoding="utf-8")
        (tmp_path / name).chmod(0o755)

    return answer


def task(job_id, index=1, name="slurm"):
    place = Path("/out/logs/jobs/0001")
    return Task("01", place, place / "x.log", name, job_id, index, 4.0, 4.0)


UNKNOWN = "slurm_load_jobs error: Invalid job id specified\n"


def test_scontrol_is_believed_before_the_accounting(scheduler):
    scheduler("sacct", "2_3|FAILED\n2_6|COMPLETED\n2_[9-10]|PENDING\n")
    scheduler("scontrol", SCONTROL)
    states = task_states([task("2", 3), task("2", 6)])
    assert states["2", 3] == "out of memory"
    assert states["2", 6] == "completed"
    assert ("2", 9) not in states


def test_without_accounting_jobs_that_slurm_forgot_are_in_no_answer(scheduler):
    scheduler("sacct", error="Slurm accounting storage is disabled\n", code=1)
    scheduler("scontrol", error=UNKNOWN, code=1)
    assert task_states([task("2")]) == {}


def test_a_controller_that_does_not_answer_is_not_taken_for_an_empty_queue(scheduler):
    scheduler("sacct", "2_1|FAILED\n")
    scheduler("scontrol", error="Unable to contact slurm controller (connect failure)\n", code=1)
    assert task_states([task("2")]) is None


def test_a_machine_without_the_scheduler_cannot_ask(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert task_states([task("2")]) is None
    assert task_states([task("2", name="sge")]) is None


def test_pbs_is_not_asked_and_without_jobs_nobody_is(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert task_states([task("2[].host", name="pbs")]) is None
    assert task_states([]) == {}


def test_jobs_of_others_are_left_out_of_the_answer_of_grid_engine(scheduler):
    scheduler("qstat", QSTAT)
    assert set(task_states([task("7", 1, "sge")])) == {("7", 1), ("7", None)}
