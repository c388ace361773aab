"""Job scripts: their text, their quoting, and what they do when they run, without a scheduler."""

import json
import os
import shutil
import signal
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from patience import until

from workflows.cluster import SCHEDULERS, ClusterSettings, JobSettings
from workflows.cluster_jobs import MANIFEST
from workflows.cluster_scripts import (
    PREFIX,
    Job,
    command_line,
    job_script,
    split_labels,
    submit_script,
)

EXPECTED = Path(__file__).with_name("jobs")
CLUSTER = ClusterSettings(
    participant=JobSettings(cpus=2, memory_gb=4, time_hours=4),
    group=JobSettings(cpus=1, memory_gb=2.5, time_hours=1.5),
    queue="short",
    account="lab",
    max_running=50,
    directives=("--mail-type=FAIL",),
    setup=("module load apptainer",),
    command='apptainer run --cleanenv "$HOME/braindelta.sif"',
)
FOLDER = Path("/data/my study/derivatives/logs/jobs/0001")
WORDS = ("/data/my study/bids", "/data/my study/derivatives")
PARTICIPANTS = Job(
    "participants1", ("01", "02", "A7"), CLUSTER.participant, (*WORDS, "participant")
)
GROUP = Job("group", None, CLUSTER.group, (*WORDS, "group"))
SHOW = r"""printf '%s\0' "$@" >"$OUT" """


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("name", ["participants1", "group", "submit"])
def test_the_scripts_are_as_expected(scheduler, name):
    made = {
        "participants1": job_script(PARTICIPANTS, FOLDER, scheduler, CLUSTER),
        "group": job_script(GROUP, FOLDER, scheduler, CLUSTER),
        "submit": submit_script([PARTICIPANTS, GROUP], scheduler, ["77"]),
    }
    expected = (EXPECTED / f"{scheduler}_{name}.sh").read_text(encoding="utf-8")
    own = f"braindelta {version('braindelta')}"
    assert made[name].replace(own, "braindelta VERSION") == expected


@pytest.mark.parametrize("script", sorted(EXPECTED.glob("*.sh")), ids=lambda file: file.name)
def test_bash_can_read_the_scripts(script):
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "--severity=warning", script], check=True)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_options_of_the_scheduler_stand_before_the_first_command(scheduler):
    text = job_script(PARTICIPANTS, FOLDER, scheduler, CLUSTER)
    first, *lines = text.splitlines()
    own = [number for number, line in enumerate(lines) if line.startswith(f"{PREFIX[scheduler]} ")]
    assert first == "#!/bin/bash"
    assert own == list(range(len(own)))
    assert f"{PREFIX[scheduler]} --mail-type=FAIL" in lines


def test_more_participants_than_an_array_holds_make_several_arrays():
    labels = [f"{n:04d}" for n in range(2500)]
    parts = split_labels(labels)
    assert [len(part) for part in parts] == [1000, 1000, 500]
    assert [label for part in parts for label in part] == labels


def test_pbs_has_no_array_of_one_task():
    text = job_script(
        Job("participants1", ("01",), CLUSTER.participant, WORDS), FOLDER, "pbs", CLUSTER
    )
    assert "#PBS -J" not in text
    assert "index=${PBS_ARRAY_INDEX:-1}" in text


def test_the_command_of_a_task_can_be_pasted_into_a_shell():
    line = command_line(PARTICIPANTS, "02", CLUSTER)
    assert line == (
        'apptainer run --cleanenv "$HOME/braindelta.sif" '
        "'/data/my study/bids' '/data/my study/derivatives' participant --participant-label 02"
    )


@pytest.fixture
def task(tmp_path):
    """Return a function that writes a job with this program, and starts a task of it."""
    folder = tmp_path / "a b'c\"d$HOME*é\nf"
    folder.mkdir()
    program = tmp_path / "program.sh"

    def start(content, index="2", words=WORDS, scheduler="slurm", **variables):
        program.write_text(content, encoding="utf-8")
        cluster = ClusterSettings(command=f"bash '{program}'")
        job = Job("participants1", ("01", "02", "03"), cluster.participant, words)
        script = folder / job.script
        script.write_text(job_script(job, folder, scheduler, cluster), encoding="utf-8")
        names = {"slurm": "SLURM_ARRAY_TASK_ID", "sge": "SGE_TASK_ID", "pbs": "PBS_ARRAY_INDEX"}
        own = {names[scheduler]: index, "SLURM_ARRAY_JOB_ID": "40", "OUT": str(tmp_path / "out")}
        kept = {"PATH": os.environ["PATH"], "PBS_O_WORKDIR": str(folder)}
        with start.printed.open("w") as printed:
            return subprocess.Popen(
                ["bash", script], env={**kept, **own, **variables}, stdout=printed, stderr=printed
            )

    def read_note(label="02"):
        return json.loads((folder / f"sub-{label}.json").read_text(encoding="utf-8"))

    start.note = read_note
    start.out = tmp_path / "out"
    start.printed = tmp_path / "printed"
    return start


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_paths_of_any_kind_reach_the_program_as_they_are(task, scheduler):
    words = ("/a b", "it's", 'say "x"', "$HOME `id` \\ *", "new\nline", "é", "participant", "")
    running = task(SHOW, words=words, scheduler=scheduler)
    assert running.wait(10) == 0
    received = task.out.read_text(encoding="utf-8").split("\0")[:-1]
    own = ["--participant-label", "02", "--nprocs", "2", "--mem-gb", "4.000"]
    assert received == [*words, *own]


def test_cores_and_memory_come_from_the_allocation(task):
    assert task(SHOW, SLURM_CPUS_PER_TASK="8", SLURM_MEM_PER_NODE="10752").wait(10) == 0
    assert task.out.read_text(encoding="utf-8").split("\0")[-5:-1] == (
        ["--nprocs", "8", "--mem-gb", "10.500"]
    )
    assert task(SHOW, scheduler="sge", NSLOTS="3").wait(10) == 0
    assert task.out.read_text(encoding="utf-8").split("\0")[-4] == "3"


def test_all_memory_of_a_computer_is_not_taken_for_none(task):
    assert task(SHOW, SLURM_MEM_PER_NODE="0").wait(10) == 0
    assert task.out.read_text(encoding="utf-8").split("\0")[-2] == "4.000"


@pytest.mark.parametrize("index", ["0", "4", "undefined", ""])
def test_a_task_that_is_not_in_the_array_does_nothing(task, index):
    assert task(SHOW, index=index).wait(10) != 0
    assert not task.out.exists()
    assert "array" in task.printed.read_text() or "no participant" in task.printed.read_text()


def test_a_task_notes_how_it_began_and_ended(task):
    running = task('touch "$OUT"; while [ -e "$OUT" ]; do sleep 0.05; done; exit 7')
    until(task.out.exists, 10)
    began = task.note()
    assert (began["job"], began["ended"], began["exit_code"]) == ("40_2", None, None)
    assert abs(began["started"] - time.time()) < 60
    task.out.unlink()
    assert running.wait(10) == 7
    ended = task.note()
    assert (ended["exit_code"], ended["signal"], ended["started"]) == (7, "", began["started"])
    assert ended["ended"] >= ended["started"]


def test_a_command_that_does_not_exist_ends_with_127(task):
    assert task("exec /no/such/program").wait(10) == 127
    assert task.note()["exit_code"] == 127


PATIENT = """
trap 'echo stopping; sleep 0.3; echo stopped; exit 1' TERM
touch "$OUT"
while :; do sleep 0.05; done
"""


@pytest.mark.parametrize("name", ["TERM", "USR1", "USR2"])
def test_signals_are_passed_on_and_the_task_waits_for_a_clean_end(task, name):
    running = task(PATIENT)
    until(task.out.exists, 10)
    running.send_signal(getattr(signal, f"SIG{name}"))
    assert running.wait(10) == 1
    assert task.printed.read_text() == "stopping\nstopped\n"
    note = task.note()
    assert (note["signal"], note["exit_code"]) == (name, 1)
    assert note["ended"] is not None


def test_the_time_that_was_left_is_asked_for_by_task_and_is_one_line(task, tmp_path):
    squeue = '#!/bin/sh\n[ "$3" = 40_2 ] && printf "0:49\\n30:00\\n"\n'
    (tmp_path / "squeue").write_text(squeue, encoding="utf-8")
    (tmp_path / "squeue").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    running = task(PATIENT, PATH=path, SLURM_JOB_ID="40")
    until(task.out.exists, 10)
    running.send_signal(signal.SIGTERM)
    assert running.wait(10) == 1
    assert task.note()["left"] == "0:49"


def test_a_second_signal_does_not_cut_the_clean_end_short(task):
    running = task(PATIENT)
    until(task.out.exists, 10)
    running.send_signal(signal.SIGUSR1)
    time.sleep(0.1)
    running.send_signal(signal.SIGTERM)
    assert running.wait(10) == 1
    assert task.printed.read_text().endswith("stopped\n")
    assert task.note()["signal"] == "USR1"


def test_a_program_that_is_killed_gives_137_and_a_killed_task_leaves_no_end(task):
    running = task("kill -KILL $$")
    assert running.wait(10) == 137
    assert task.note()["exit_code"] == 137
    running = task('touch "$OUT"; sleep 1')
    until(task.out.exists, 10)
    running.kill()
    running.wait(10)
    assert task.note()["ended"] is None


FAKE = """#!/bin/bash
echo "$(basename "$0") $*" >>"$CALLS"
[ "$REFUSE" != "${!#}" ] || { echo "refused" >&2; exit 1; }
case $(basename "$0") in
sbatch) echo "$((40 + $(wc -l <"$CALLS")));cluster" ;;
qsub) echo "$((40 + $(wc -l <"$CALLS"))).1-2:1" ;;
esac
"""


@pytest.fixture
def submit(tmp_path):
    """Return a function that runs submit.sh with a scheduler that only notes what it is asked."""
    bin_dir, folder = tmp_path / "bin", tmp_path / "a folder"
    bin_dir.mkdir()
    folder.mkdir()
    for name in ("sbatch", "qsub"):
        (bin_dir / name).write_text(FAKE, encoding="utf-8")
        (bin_dir / name).chmod(0o755)
    scripts = ("participants1.sh\t1", "participants2.sh\t1", "group.sh\tn/a")
    rows = "".join(f"n/a\t{script}\n" for script in scripts)
    rows = f"job_id\tscript\tindex\n{rows}"
    (folder / MANIFEST).write_text(rows, encoding="utf-8")
    second = Job("participants2", ("03",), CLUSTER.participant, WORDS)

    def run(scheduler, earlier=(), refuse="nothing"):
        text = submit_script([PARTICIPANTS, second, GROUP], scheduler, earlier)
        (folder / "submit.sh").write_text(text, encoding="utf-8")
        calls = tmp_path / "calls"
        path = f"{bin_dir}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", folder / "submit.sh"],
            env={"PATH": path, "CALLS": str(calls), "REFUSE": refuse},
            capture_output=True,
            text=True,
            check=False,
        )
        return done, calls.read_text(encoding="utf-8").splitlines(), (folder / MANIFEST).read_text()

    return run


def test_the_group_waits_for_all_arrays_and_for_earlier_jobs(submit):
    done, calls, manifest = submit("slurm", ["12", "13"])
    assert done.returncode == 0, done.stderr
    assert calls == [
        "sbatch --parsable participants1.sh",
        "sbatch --parsable participants2.sh",
        "sbatch --parsable --dependency=afterany:12:13:41:42 group.sh",
    ]
    assert [line.split("\t")[0] for line in manifest.splitlines()] == ["job_id", "41", "42", "43"]


def test_grid_engine_holds_the_group_in_its_own_words(submit):
    done, calls, manifest = submit("sge", ["12"])
    assert done.returncode == 0, done.stderr
    assert calls[-1] == "qsub -terse -hold_jid 12,41,42 group.sh"
    assert manifest.splitlines()[-1] == "43\tgroup.sh\tn/a"


def test_jobs_are_not_submitted_twice_by_the_same_script(submit):
    assert submit("slurm")[0].returncode == 0
    done, calls, _ = submit("slurm")
    assert done.returncode == 1
    assert "submitted before" in done.stderr
    assert len(calls) == 3


def test_what_was_submitted_is_noted_even_if_the_group_is_refused(submit):
    done, _, manifest = submit("slurm", refuse="group.sh")
    assert done.returncode == 1
    assert done.stderr == "refused\n"
    assert [line.split("\t")[0] for line in manifest.splitlines()] == ["job_id", "41", "42", "n/a"]
