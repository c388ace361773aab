"""An array on a real Grid Engine: one task with the program, one cancelled, one over its time."""

import sys

import pytest
from patience import printed, until

from workflows.cluster_jobs import read_note

pytestmark = pytest.mark.cluster
CLUSTER = """\
participant: {{cpus: 1, memory_gb: 2, time_hours: 1}}
group: {{cpus: 2, memory_gb: 2, time_hours: 0.5}}
command: bash '{}'
"""
STUCK = """\
case "$*" in
*"--participant-label 02"* | *"--participant-label 03"*) exec sleep 600 ;;
esac
exec "$PYTHON" -m workflows.cli "$@"
"""
ALL_S = 1200


@pytest.fixture(scope="module")
def story(grid_engine, make_cohort, tmp_path_factory):
    """Three people; the programs of two are stuck, one of them is told to stop."""
    wrapper = tmp_path_factory.mktemp("wrapper") / "wrapper.sh"
    wrapper.write_text(STUCK.replace("$PYTHON", sys.executable), encoding="utf-8")
    cohort = make_cohort(CLUSTER.format(wrapper))
    tasks, _ = cohort.submit("sge", "--participant-label", "01", "02", "03")
    job = tasks[0].job_id
    until(lambda: read_note(tasks[1]) is not None, 60, "the second task begins")
    printed("qalter", "-l", "mem_free=1G,h_rt=0:2:0,s_rt=0:0:20", job)  # for those who wait
    working = cohort.status()
    printed("qdel", f"{job}.2")
    until(lambda: not printed("qstat").strip(), ALL_S, "all jobs have ended")
    return tasks, working, cohort.status()


def test_grid_engine_tells_who_is_at_work(story):
    rows = story[1][2]
    assert rows["sub-02"][0] == "running"
    assert rows["sub-04"][0] == "not started"
    assert rows["group level"][0] == "waiting"


def test_a_task_of_grid_engine_makes_the_results(story):
    assert story[2][2]["sub-01"][0] == "done"


def test_causes_are_known_from_the_signals_of_grid_engine(story):
    code, _, rows = story[2]
    assert code == 10
    assert rows["sub-02"][:2] == ["failed", "cancelled: the job was told to stop"]
    assert rows["sub-03"][:2] == ["failed", "time limit: 1 h were not enough; raise time_hours"]


def test_the_group_level_begins_when_all_tasks_have_ended_however_they_did(story):
    *people, group = [read_note(task) for task in story[0]]
    assert group.started_s >= max(note.ended_s for note in people)
