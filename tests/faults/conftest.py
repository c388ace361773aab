"""A cohort of two for the tests of faults: run once undisturbed, and its work folder kept."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import faults  # noqa: E402 - lies in benchmarks
import undisturbed  # noqa: E402

SETTINGS = "anat: {mni_resolution_mm: 4.0, n4_resolution_mm: 8.0}\n"


@dataclass(frozen=True)
class Cohort:
    """Two people with two T1w images each at 4 mm, and what an undisturbed run made of them."""

    root: Path

    @property
    def out(self):
        return self.root / "out"

    @property
    def reference(self):
        return self.root / "reference"

    def work(self, participant=""):
        [folder] = (self.root / "work").glob("braindelta-*/participants_wf")
        return folder / f"sub_{participant}_wf" if participant else folder

    def image(self, participant, session):
        name = f"sub-{participant}_ses-{session}_T1w.nii.gz"
        return self.root / "bids" / f"sub-{participant}" / f"ses-{session}" / "anat" / name

    def command(self, *options, level="participant", out="out"):
        places = [str(self.root / "bids"), str(self.root / out), level]
        given = ["--settings", str(self.root / "settings.yaml"), "-w", str(self.root / "work")]
        given += ["--nprocs", "2", "--skip-bids-validation", *options]
        return [sys.executable, "-m", "workflows.cli", *places, *given]

    def start(self, *options, variables=(), **places):
        """Running command whose log is in `log`; `mark` finds all of its processes."""
        self.log.unlink(missing_ok=True)
        command = ["env", *variables, *self.command(*options, **places)]
        return faults.start(command, self.log, mark=str(self.root))

    def run(self, *options, **places):
        """Exit code and what was printed, on one line."""
        code = self.start(*options, **places).wait(timeout=600)
        return code, self.text()

    @property
    def log(self):
        return self.root / "log"

    def text(self):
        return " ".join(self.log.read_text(encoding="utf-8").split())

    def processes(self):
        return faults.alive(str(self.root))

    def keep(self, name):
        shutil.copytree(self.root / name, self.root / f"{name}_kept")

    def restore(self, *names):
        """Put back what was there after the undisturbed run, under the same names and times."""
        for name in ("out", "work"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        for name in names:
            shutil.copytree(self.root / f"{name}_kept", self.root / name)

    def forget_steps(self, participant, *names):
        """Remove folders of steps, so that they have to run again."""
        for name in names:
            shutil.rmtree(self.work(participant) / name)

    def check(self, participants=("01", "02"), same_pages=True):
        """Everything is there and as in the undisturbed run, and nothing runs any more.

        Pages say how many people were processed: fewer where only some were asked for or could be.
        """
        is_finished = len(participants) == 2 and same_pages
        wrong = undisturbed.wrong_files(self.out, self.reference, is_finished)
        people = [f"sub-{label}" for label in participants]
        found = undisturbed.statuses(self.out)
        assert wrong == []
        assert undisturbed.lost_files(self.out, self.reference, people) == []
        assert {who: found[who] for who in people} == dict.fromkeys(people, "done")
        assert self.processes() == []
        assert [path for path in self.out.rglob(".tmp*") if "work" not in path.parts] == []


@pytest.fixture(scope="session")
def undisturbed_cohort(tmp_path_factory):
    """Cohort after its undisturbed run; BRAINDELTA_FAULTS_COHORT names a folder to keep it in."""
    from workflows.interfaces.planted import TrialDesign, write_trial

    named = os.environ.get("BRAINDELTA_FAULTS_COHORT")
    root = Path(named) if named else tmp_path_factory.mktemp("faults")
    if (root / "reference").is_dir():
        return Cohort(root)
    design = TrialDesign(n_participants=4, t1w_voxel_mm=4.0, bold_voxel_mm=8.0, n_volumes=5)
    write_trial(root, design, 2)
    for pattern in ("sub-0[34]", "sub-*/ses-*/func"):
        for folder in list((root / "bids").glob(pattern)):
            shutil.rmtree(folder)
    (root / "settings.yaml").write_text(SETTINGS, encoding="utf-8")
    cohort = Cohort(root)
    code, text = cohort.run()
    assert code == 0, text
    for name in ("out", "work"):
        cohort.keep(name)
    cohort.out.rename(cohort.reference)
    return cohort


@pytest.fixture
def cohort(undisturbed_cohort):
    """Cohort with the work of an undisturbed run and without its results."""
    undisturbed_cohort.restore("work")
    yield undisturbed_cohort
    for process in undisturbed_cohort.processes():
        os.kill(process, 9)


@pytest.fixture
def small_disk():
    """Return a function that puts a folder on a disk of its own, of some kilobytes."""
    mounted = []

    @contextmanager
    def mount(folder, size_kb):
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("needs the right to mount a disk in memory")
        mounted.append(folder)
        try:
            yield lambda options: remount(folder, options)
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)

    return mount


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)
