"""Time, memory and files of a large cohort: plan, status, nothing to do, group level and report.

    python benchmarks/scale.py OUT [--participants 1000] [--demo DEMO]

It writes a cohort with two sessions a person as the level participant leaves it: tiny images with
true headers, and for each person the files of one of braindelta-demo (DEMO; it is made if not
given, 10 minutes): tables with noise of their own, and a few bytes in place of images and pictures.
The commands run on a quarter, half and all people, those of seconds three times (the one with the
least processor time counts); the processor time per person of the last half is compared with that
of the quarter before. Peak memory is that of all processes of a command
together. Then some people get a third session. Needs `pip install .[bench]`. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import psutil

from bids_utils.derivatives import read_table, write_table, write_text
from bids_utils.plan import ParticipantPlan
from configs.settings import load_settings
from workflows.completion import is_done, saved_files
from workflows.demo import main as braindelta_demo
from workflows.options import Options
from workflows.participant import participant_wf_name
from workflows.records import fingerprint, write_record
from workflows.run import make_cohort_plan
from workflows.saving import Study

MODEL = "sub-01"
SESSIONS = {"pre": "2024-03-04", "post": "2024-06-06"}
NOISE = 0.03
NEW_WAVE = 10
READ_BY_THE_GROUP = ("_morph.tsv", "_relmat.tsv", "_desc-qc_bold.tsv", "_desc-local_bold.tsv")
AS_IT_IS = ("index", "n_volumes", "repetition_time_s", "n_dummy", "coverage", "degrees_of_freedom")
LARGE = (".gz", ".png", ".mat", ".html")
POLL_S = 0.05
LEVELS = {
    "plan": ["plan", "--skip-bids-validation"],
    "status": ["status"],
    "nothing_to_do": ["participant", "--skip-bids-validation"],
    "group": ["group"],
    "report": ["group", "--reports-only"],
}
SHORT, SHORT_RUNS = ("plan", "status", "nothing_to_do"), 3
MINUTES = {"plan": 1, "status": 1, "nothing_to_do": 1, "group": 10, "report": 1, "validation": 5}
EXIT_CODES = {"nothing_to_do": (11,), "group": (0, 10), "report": (0, 10)}
MAX_GIB, MAX_RATIO, MAX_WORK_FILES, MAX_OUTPUT_FILES = 4.0, 1.2, 1000, 200


@dataclass(frozen=True)
class Cost:
    """What a command took; memory is that of all its processes together."""

    seconds: float
    cpu_seconds: float
    peak_gib: float
    code: int


def main() -> None:
    """Write the cohorts that are not there, run the commands, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--participants", type=int, default=1000)
    parser.add_argument("--demo", type=Path, help="finished folder of braindelta-demo")
    arguments = parser.parse_args()
    out, n = arguments.out.absolute(), arguments.participants
    demo = finished_demo(arguments.demo or out / "demo")
    costs: dict[int, dict[str, Cost]] = {}
    for size in (n // 4, n // 2, n):
        root = out / str(size)
        if not (root / "done").is_file():
            write_cohort(root, size, demo)
        costs[size] = {level: least_cost(root, level, size) for level in LEVELS}
        costs[size]["validation"] = measured(lambda root=root: validation(root))
        for level, cost in costs[size].items():
            spent = f"{cost.seconds:.1f} s ({cost.cpu_seconds:.1f} s of processors)"
            print(f"{size} {level}: {spent}, {cost.peak_gib:.2f} GiB", flush=True)
    figures = command_figures(costs, n) | file_figures(demo) | wave_figures(out / str(n // 4))
    print(json.dumps({"figures": figures}))


def finished_demo(folder: Path) -> Path:
    """Folder of the demo, run if it is not there."""
    if not (folder / "derivatives" / MODEL).is_dir():
        code = braindelta_demo([str(folder), "--participants", "5"])
        if code:
            raise SystemExit(f"braindelta-demo ended with {code}")
    return folder


def write_cohort(root: Path, n_participants: int, demo: Path) -> None:
    """Dataset, derivatives and records of a finished cohort."""
    shutil.rmtree(root, ignore_errors=True)
    rng = np.random.default_rng(7)
    labels = [f"{number:04d}" for number in range(1, n_participants + 1)]
    write_dataset(root / "bids", labels, demo, rng)
    shutil.copyfile(demo / "settings.yaml", root / "settings.yaml")
    made = demo / "derivatives"
    shutil.copytree(made / "atlas", root / "out" / "atlas")
    tables = group_tables(made / MODEL)
    for label in labels:
        write_person(root / "out", label, made, tables, rng)
    options, settings = options_of(root), load_settings(root / "settings.yaml")
    for person in make_cohort_plan(options, settings).participants:
        write_done(person, Study(root / "bids", root / "out", settings))
    write_text("", root / "done")
    print(f"{n_participants} people written", flush=True)


def write_done(person: ParticipantPlan, study: Study) -> None:
    """Record of a person who is done."""
    print_ = fingerprint(person, study.settings)
    write_record(study.output_dir, person.label, print_, [], saved_files(person, study))


def write_dataset(bids: Path, labels: list[str], demo: Path, rng: np.random.Generator) -> None:
    """Tables and images of 2 x 2 x 2 voxels with headers as those of the demo."""
    bids.mkdir(parents=True)
    for file in (demo / "bids").glob("*.json"):
        shutil.copyfile(file, bids / file.name)
    affine = np.diag([2.5, 2.5, 2.5, 1])
    anat = nib.Nifti1Image(np.ones((2, 2, 2), np.int16), affine).to_bytes()
    bold = nib.Nifti1Image(np.ones((2, 2, 2, 140), np.int16), affine)
    bold.header.set_zooms((2.5, 2.5, 2.5, 2.0))
    bold.header.set_xyzt_units("mm", "sec")
    images = {"anat": ("T1w.nii", anat), "func": ("task-rest_bold.nii", bold.to_bytes())}
    for label in labels:
        dates = {f"ses-{name}": f"{day}T09:30:00" for name, day in SESSIONS.items()}
        table = pd.DataFrame({"session_id": dates.keys(), "acq_time": dates.values()})
        write_table(table, bids / f"sub-{label}" / f"sub-{label}_sessions.tsv")
        for session in SESSIONS:
            for datatype, (ending, content) in images.items():
                folder = bids / f"sub-{label}" / f"ses-{session}" / datatype
                folder.mkdir(parents=True)
                (folder / f"sub-{label}_ses-{session}_{ending}").write_bytes(content)
    names, n = [f"sub-{label}" for label in labels], len(labels)
    people = {"participant_id": names, "age": rng.integers(20, 60, n), "sex": "F"}
    arms = np.resize(["CBT", "waitlist"], n)
    write_table(pd.DataFrame(people | {"group": arms}), bids / "participants.tsv")
    before = rng.integers(15, 40, n)
    after = before - rng.integers(0, 15, n)
    scores = {"participant_id": names, "BDI_ses-pre": before, "BDI_ses-post": after}
    write_table(pd.DataFrame(scores), bids / "phenotype" / "bdi.tsv")


def group_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Tables of one person that the group level reads, by their path in the folder."""
    files = [f for f in folder.rglob("*.tsv") if f.name.endswith(READ_BY_THE_GROUP)]
    return {str(file.relative_to(folder)): read_table(file) for file in files}


def write_person(
    out: Path,
    label: str,
    made: Path,
    tables: dict[str, pd.DataFrame],
    rng: np.random.Generator,
) -> None:
    """All files of a finished person: tables with their own noise, links to all others."""
    for file in [*(made / MODEL).rglob("*"), made / f"{MODEL}.html"]:
        target = out / str(file.relative_to(made)).replace(MODEL, f"sub-{label}")
        if file.is_dir():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        table = tables.get(str(file.relative_to(made / MODEL))) if target.suffix == ".tsv" else None
        if file.suffix in LARGE:
            target.write_bytes(b"stands for a file")
        elif table is None:
            shutil.copyfile(file, target)
        else:
            noisy(table, rng).to_csv(target, sep="\t", index=False, na_rep="n/a")
    for name in ("ledger.tsv", "ledger.json"):
        target = out / "logs" / f"sub-{label}" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made / "logs" / MODEL / name, target)


def noisy(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Table with its numbers changed by some percent; a matrix stays symmetric."""
    numbers = table.select_dtypes("float").columns.difference(AS_IT_IS, sort=False)
    factors = 1 + NOISE * rng.standard_normal((len(table), len(numbers)))
    if table.shape[0] == table.shape[1] == len(numbers):
        factors = (factors + factors.T) / 2
    changed = (table[numbers].to_numpy() * factors).round(6)
    return table.assign(**dict(zip(numbers, changed.T, strict=True)))


def options_of(root: Path) -> Options:
    """Options of the level participant of a cohort."""
    places = {"bids_dir": root / "bids", "output_dir": root / "out", "work_dir": root / "work"}
    return Options(level="participant", settings=root / "settings.yaml", **places)


def least_cost(root: Path, level: str, n_participants: int) -> Cost:
    """Cost of a command on a cohort, of several runs if it takes seconds."""
    n_runs = SHORT_RUNS if level in SHORT else 1
    costs = [run_level(root, level, n_participants) for _ in range(n_runs)]
    return min(costs, key=lambda cost: cost.cpu_seconds)


def run_level(root: Path, level: str, n_participants: int) -> Cost:
    """Cost of a command on a cohort."""
    places = [str(root / "bids"), str(root / "out"), *LEVELS[level]]
    settings = ["--settings", str(root / "settings.yaml"), "-w", str(root / "work")]
    if level == "group":
        shutil.rmtree(root / "work", ignore_errors=True)
    command = [sys.executable, "-m", "workflows.cli", *places, *settings, "--nprocs", "2"]
    log = root / f"{level}.log"
    with log.open("w", encoding="utf-8") as stream:
        cost = measured(lambda: subprocess.Popen(command, stdout=stream, stderr=stream))
    if cost.code not in EXIT_CODES.get(level, (0,)):
        raise SystemExit(f"{n_participants} {level}: exit code {cost.code}, see {log}")
    return cost


def validation(root: Path) -> subprocess.Popen[bytes]:
    """The BIDS validator on the raw dataset, as the command calls it."""
    code = "import sys; from pathlib import Path; from bids_utils.derivatives import validate_bids"
    call = "sys.exit(len(validate_bids(Path(sys.argv[1]))))"
    return subprocess.Popen([sys.executable, "-c", f"{code}; {call}", str(root / "bids")])


def measured(start: Callable[[], subprocess.Popen[bytes]]) -> Cost:
    """Wall time, exit code and the largest memory of a process with all below it."""
    begin, peak, before = time.monotonic(), 0, children_seconds()
    process = start()
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        peak = max(peak, resident_bytes(watched))
        time.sleep(POLL_S)
    seconds, cpu_seconds = time.monotonic() - begin, children_seconds() - before
    return Cost(seconds, cpu_seconds, peak / 2**30, process.returncode)


def children_seconds() -> float:
    """Processor time of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def resident_bytes(process: psutil.Process) -> int:
    """Memory of a process and all below it; 0 where it has just ended."""
    try:
        tree = [process, *process.children(recursive=True)]
        return sum(one.memory_info().rss for one in tree)
    except psutil.NoSuchProcess:
        return 0


def command_figures(costs: dict[int, dict[str, Cost]], n: int) -> dict[str, dict[str, object]]:
    """Minutes and memory of each command at full size, and how the cost per person grows."""
    figures = {}
    for level, minutes in MINUTES.items():
        cost, half = costs[n][level], costs[n // 2][level]
        spent = cost.seconds / 60
        figures[f"{level}_minutes"] = figure(round(spent, 2), minutes, spent <= minutes)
        figures[f"{level}_gib"] = figure(round(cost.peak_gib, 2), MAX_GIB, cost.peak_gib <= MAX_GIB)
        first = costs[n // 4][level]
        more = (cost.cpu_seconds - half.cpu_seconds) / (n - n // 2)
        less = (half.cpu_seconds - first.cpu_seconds) / (n // 2 - n // 4)
        ratio = more / less
        figures[f"{level}_cpu_ms_a_person"] = {"value": round(1000 * more, 1)}
        figures[f"{level}_growth"] = figure(round(ratio, 2), MAX_RATIO, ratio <= MAX_RATIO)
    return figures


def file_figures(demo: Path) -> dict[str, dict[str, object]]:
    """Files and folders that one real person of the demo has in the work and output folders."""
    work = next((demo / "work").glob("*/participants_wf")) / participant_wf_name(MODEL[4:])
    places = [demo / "derivatives" / MODEL, demo / "derivatives" / "logs" / MODEL]
    n_work = sum(1 for _ in work.rglob("*"))
    n_output = 1 + sum(1 for place in places for _ in place.rglob("*"))
    return {
        "work_files": figure(n_work, MAX_WORK_FILES, n_work <= MAX_WORK_FILES),
        "output_files": figure(n_output, MAX_OUTPUT_FILES, n_output <= MAX_OUTPUT_FILES),
    }


def wave_figures(root: Path) -> dict[str, dict[str, object]]:
    """Whom the level participant would do again after a third session of some people came in."""
    people = [f"{number:04d}" for number in range(1, 1 + NEW_WAVE)]
    for label in people:
        for file in (root / "bids" / f"sub-{label}" / "ses-post").rglob("*.nii"):
            target = Path(str(file).replace("ses-post", "ses-fu"))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        table = root / "bids" / f"sub-{label}" / f"sub-{label}_sessions.tsv"
        lines = [*table.read_text(encoding="utf-8").splitlines()[:3], "ses-fu\t2024-12-06T09:30:00"]
        table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = load_settings(root / "settings.yaml")
    study = Study(root / "bids", root / "out", settings)
    plan = make_cohort_plan(options_of(root), settings)
    again = [person.label for person in plan.participants if not is_done(person, study)]
    return {
        "wave_done_again": {"value": len(again), "target": "those alone", "ok": again == people}
    }


def figure(value: float, limit: float, ok: bool) -> dict[str, object]:
    """One figure with its target."""
    return {"value": value, "target": f"<= {limit:g}", "ok": ok}


if __name__ == "__main__":
    main()
