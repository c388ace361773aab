"""What tests on schedulers share: a trial, a plain run of it, and its way through a cluster."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from patience import printed
from small_trial import write_small_trial

from workflows.cluster_jobs import read_manifest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def trial(tmp_path_factory):
    """Folder of a trial with coarse images: bids/, settings.yaml.

    BRAINDELTA_CLUSTER_TRIAL names a finished demo that takes its place.
    """
    if "BRAINDELTA_CLUSTER_TRIAL" in os.environ:
        return Path(os.environ["BRAINDELTA_CLUSTER_TRIAL"])
    folder = tmp_path_factory.mktemp("trial")
    write_small_trial(folder, n_participants=6, with_bold=("01", "05"))
    return folder


@pytest.fixture(scope="session")
def plain(trial):
    """Future of a plain run of the trial, which goes on beside the jobs: its output folder."""
    with ThreadPoolExecutor(1) as beside:
        yield beside.submit(plain_run, trial)


def plain_run(trial):
    output = trial / "derivatives"
    if not output.is_dir():
        program = [sys.executable, "-m", "workflows.cli", trial / "bids", output]
        own = ["--settings", trial / "settings.yaml", "-w", trial / "work", "--nprocs", "2"]
        runs = [[*program, level, *own] for level in ("participant", "group")]
        codes = [subprocess.run(command, check=False).returncode for command in runs]
        assert codes == [0, 10]  # too few people have BOLD for models of it
    return output


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A SLURM that runs: that of SLURM_CONF, or one that .ci/slurm starts."""
    if "SLURM_CONF" in os.environ:
        printed("scontrol", "ping")
        yield
        return
    if os.geteuid() != 0:
        pytest.skip("needs root to start a SLURM, or SLURM_CONF of one that runs")
    folder = tmp_path_factory.mktemp("slurm")
    printed(REPOSITORY / ".ci" / "slurm", "start", folder)
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    yield
    del os.environ["SLURM_CONF"]
    printed(REPOSITORY / ".ci" / "slurm", "stop", folder)


@pytest.fixture(scope="session")
def grid_engine():
    """A Grid Engine that runs: that of SGE_ROOT, or one that .ci/sge starts."""
    if "SGE_ROOT" in os.environ:
        printed("qstat")
        yield
        return
    if os.geteuid() != 0:
        pytest.skip("needs root to start a Grid Engine, or SGE_ROOT of one that runs")
    printed(REPOSITORY / ".ci" / "sge", "start")
    os.environ["SGE_ROOT"] = "/var/lib/gridengine"
    yield
    del os.environ["SGE_ROOT"]
    printed(REPOSITORY / ".ci" / "sge", "stop")


class Cohort:
    """The cohort of the trial on its way through a cluster, into an own output folder."""

    def __init__(self, trial, folder, cluster):
        self.trial = trial
        self.output = folder / "out put"
        self.cluster_file = folder / "cluster.yaml"
        self.cluster_file.write_text(cluster, encoding="utf-8")

    def command(self, level, *options):
        """Exit code of a level of the command, and what it printed."""
        places = [self.trial / "bids", self.output, level, "--skip-bids-validation"]
        own = ["--settings", self.trial / "settings.yaml", "-w", self.output.parent / "work"]
        done = subprocess.run(
            [sys.executable, "-m", "workflows.cli", *map(str, [*places, *own, *options])],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "250"},
        )
        return done.returncode, done.stdout + done.stderr

    def submit(self, scheduler, *options):
        """Submit jobs; returns their tasks and what was printed."""
        words = ("--scheduler", scheduler, "--cluster", self.cluster_file, "--go")
        code, text = self.command("submit", *words, *options)
        assert code == 0, text
        folder = max((self.output / "logs" / "jobs").iterdir())
        return read_manifest(folder), text

    def status(self):
        """Exit code of status, its text, and its rows: status, cause, job and log by name."""
        code, text = self.command("status")
        lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
        return code, text, {row[0]: row[1:] for row in lines if len(row) == 5 and row[0]}


@pytest.fixture(scope="module")
def make_cohort(trial, tmp_path_factory):
    """Return a function that makes a cohort with a description of the cluster."""

    def make(cluster):
        return Cohort(trial, tmp_path_factory.mktemp("a study's folder"), cluster)

    return make
