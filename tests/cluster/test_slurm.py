"""A whole cohort as an array on a real SLURM: what goes wrong, what status says, what is redone."""

import time
from dataclasses import dataclass, field

import pytest
from patience import printed, until

from workflows.records import is_running

pytestmark = pytest.mark.cluster
CLUSTER = """\
participant: {cpus: 1, memory_gb: 3, time_hours: 0.5}
group: {cpus: 2, memory_gb: 4, time_hours: 0.5}
setup:
  - echo "setup in $PWD"
"""
START_S, ALL_S = 240, 1800
REQUEUED, CANCELLED, TOO_LARGE, TOO_SLOW = 1, 2, 4, 5
"""Tasks of the array that meet with something; their numbers are the labels of the people."""


@dataclass
class Seen:
    """What was seen at one moment."""

    code: int
    text: str
    rows: dict[str, list[str]]
    people: list[str]
    times: dict = field(default_factory=dict)

    @property
    def statuses(self):
        """Status of each participant and of the group level."""
        return {name: row[0] for name, row in self.rows.items()}

    @property
    def planned(self):
        """All participants."""
        return self.rows.keys() - {"group level"}


def look(cohort):
    """What status says now, who is in the group level, and when each file was written."""
    files = [file for file in cohort.output.glob("sub-*/**/*") if file.is_file()]
    measures = cohort.output / "group" / "measures.tsv"
    lines = measures.read_text(encoding="utf-8").splitlines()[1:] if measures.is_file() else []
    people = sorted({line.split("\t")[0] for line in lines})
    return Seen(*cohort.status(), people, {file: file.stat().st_mtime_ns for file in files})


def wait_for(tasks):
    """Wait until no job of a submission is in the queue."""
    jobs = {task.job_id for task in tasks}
    ask = ("squeue", "-h", "-o", "%F")
    until(lambda: not jobs & set(printed(*ask).split()), ALL_S, "all jobs have ended")


def wait_for_lock(cohort, label):
    """Wait until the program works on somebody."""
    until(lambda: is_running(cohort.output, label), START_S, f"sub-{label} is worked on")


@pytest.fixture(scope="module")
def story(slurm, plain, make_cohort):
    """The cohort as an array in which four tasks meet with something, and a second submission."""
    cohort, seen = make_cohort(CLUSTER), {}
    tasks, _ = cohort.submit("slurm")
    array = tasks[0].job_id
    for number in (REQUEUED, CANCELLED):
        wait_for_lock(cohort, tasks[number - 1].label)
    printed("scontrol", "update", f"JobId={array}_{TOO_LARGE}", "MinMemoryNode=200")
    # SLURM looks every 30 s who is within a minute of the limit and gets its signal
    printed("scontrol", "update", f"JobId={array}_{TOO_SLOW}", "TimeLimit=1")
    time.sleep(5)
    seen["working"] = look(cohort)
    printed("scancel", f"{array}_{CANCELLED}")
    printed("scontrol", "requeue", f"{array}_{REQUEUED}")
    wait_for(tasks)
    seen["ended"] = look(cohort)
    again, said = cohort.submit("slurm", "--failed")
    wait_for(again)
    seen["all"] = look(cohort)
    rest = cohort.command("submit", "--scheduler", "slurm", "--failed")
    return cohort, seen, (again, said, rest)


def names(*tasks):
    return {f"sub-{number:02d}" for number in tasks}


FAILED = names(CANCELLED, TOO_LARGE, TOO_SLOW)


def test_while_jobs_work_status_tells_who_runs_and_who_waits(story):
    seen = story[1]["working"]
    running = {name for name, status in seen.statuses.items() if status == "running"}
    assert seen.code == 0
    assert running == names(REQUEUED, CANCELLED)
    assert seen.statuses["group level"] == "waiting"
    n_people = len(seen.planned)
    assert f"{n_people} planned: 2 running, {n_people - 2} waiting" in seen.text


def test_status_tells_each_cause_with_its_job_and_log(story):
    cohort, seen = story[0], story[1]["ended"]
    failed = {name: row for name, row in seen.rows.items() if row[0] == "failed"}
    assert seen.code == 10
    assert set(failed) == FAILED
    starts = {CANCELLED: "cancelled", TOO_LARGE: "out of memory", TOO_SLOW: "time limit"}
    for task, start in starts.items():
        _, cause, job, log = failed[f"sub-{task:02d}"]
        assert cause.startswith(start), cause
        assert job.endswith(f"_{task}")
        assert "setup in" in (cohort.output / log).read_text(encoding="utf-8")
    n_people = len(seen.planned)
    assert f"{n_people} planned: {n_people - 3} done, 3 failed" in seen.text


def test_the_group_level_ran_without_those_who_failed(story):
    seen = story[1]["ended"]
    assert seen.statuses["group level"] == "done"
    assert seen.people == sorted(seen.planned - FAILED)


def test_a_task_that_was_put_back_into_the_queue_is_done_in_the_end(story):
    assert story[1]["ended"].statuses[f"sub-{REQUEUED:02d}"] == "done"


def test_exactly_those_who_failed_are_submitted_again(story):
    again, said, _ = story[2]
    assert "3 to submit" in said
    assert {f"sub-{task.label}" for task in again if task.label} == FAILED


def test_after_the_second_submission_all_are_done_and_nothing_is_left_to_submit(story):
    seen, rest = story[1]["all"], story[2][2]
    assert seen.code == 0
    assert set(seen.statuses.values()) == {"done"}
    assert seen.people == sorted(seen.planned)
    assert rest[0] == 11


def test_nothing_of_those_who_were_done_is_written_again(story):
    cohort, seen, _ = story
    before = {
        file: time_ns
        for file, time_ns in seen["ended"].times.items()
        if file.relative_to(cohort.output).parts[0] not in FAILED
    }
    people = {file.relative_to(cohort.output).parts[0] for file in before}
    assert people == seen["all"].planned - FAILED
    assert {file: seen["all"].times[file] for file in before} == before


def test_all_tables_are_the_same_bytes_as_those_of_a_plain_run(story, plain):
    def tables(root):
        found = [*root.glob("*.tsv"), *root.glob("sub-*/**/*.tsv"), *root.glob("group/**/*.tsv")]
        return {file.relative_to(root): file.read_bytes() for file in found}

    expected, array = tables(plain.result()), tables(story[0].output)
    assert len(expected) >= 100
    assert set(array) == set(expected)
    assert [str(name) for name in expected if array[name] != expected[name]] == []
