"""Kill -9 at random moments over all levels of a trial, restart, and compare the results.

Run with ``python benchmarks/faults.py OUT --kills 50``. A run is the levels plan, participant and
group, each started again after each kill until it ends by itself; there are several kills a run.
Every second kill ends all processes, the others only the command itself, whose workers and engines
then have to die of themselves. After each kill what is there is compared with an undisturbed run;
after each run all of it. With ``--minutes M`` the programme stops after that time, by a kill; call
it again to go on. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import numpy as np
from undisturbed import lost_files, result_files, statuses, wrong_files

from workflows.demo import main as demo

REPOSITORY = Path(__file__).resolve().parent.parent
LEVELS = ("plan", "participant", "group")
MARK = "BRAINDELTA_FAULTS"
NOTHING_TO_DO = 11
FAILED = (1, 2, 3, 4)
NO_ORPHANS_S = 3.0


@dataclass(frozen=True)
class Bench:
    """Folders of the programme, cores, and seconds and exit code of each level without kills."""

    root: Path
    trial: Path
    nprocs: int
    seconds: dict[str, float]
    codes: dict[str, int]
    end: float

    def is_over(self) -> bool:
        """Whether no time is left."""
        return time.monotonic() >= self.end

    def command(self, level: str, name: str) -> list[str]:
        """Call of one level; each run has its own output and work folder."""
        places = [str(self.trial / "bids"), str(self.root / name), level]
        options = ["--settings", str(self.trial / "settings.yaml"), "--nprocs", str(self.nprocs)]
        work = str(self.root / f"{name}_work")
        return [sys.executable, "-m", "workflows.cli", *places, *options, "-w", work]


@dataclass
class Account:
    """What happened so far, the level that is to be started next, and the kills it will get."""

    kills: int = 0
    runs: int = 0
    level: int = 0
    waits_s: list[float] = field(default_factory=list)
    wrong: int = 0
    lost: int = 0
    orphans: int = 0
    false_exit_codes: int = 0
    seconds: float = 0.0


def start(command: list[str], log: Path, mark: str) -> subprocess.Popen[bytes]:
    """Start a command as its own process group, with a mark that its children inherit."""
    paths = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    more = {MARK: mark, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with log.open("ab") as stream:
        return subprocess.Popen(
            command,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **more},
        )


def alive(mark: str) -> list[int]:
    """Processes that carry a mark and have not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            own = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"{MARK}={mark}".encode() in own:
            found.append(int(folder.name))
    return found


def kill(process: subprocess.Popen[bytes], is_group: bool) -> None:
    """End a command, or it and all of its children, without a warning."""
    if is_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def orphans(mark: str) -> list[int]:
    """Processes of a killed command that live on after some seconds; they are ended."""
    end = time.monotonic() + NO_ORPHANS_S
    while (left := alive(mark)) and time.monotonic() < end:
        time.sleep(0.05)
    for process in left:
        os.kill(process, signal.SIGKILL)
    return left


def make_reference(bench: Bench) -> None:
    """Run all levels once without kills, and note how long each took and how it ended."""
    noted = bench.root / "reference.json"
    if not noted.is_file():
        for folder in (bench.root / "reference", bench.root / "reference_work"):
            shutil.rmtree(folder, ignore_errors=True)
        for level in LEVELS:
            begin = time.monotonic()
            process = start(bench.command(level, "reference"), bench.root / "reference.log", "none")
            bench.codes[level] = process.wait()
            if bench.codes[level] in FAILED:
                raise SystemExit(f"the undisturbed run failed: see {bench.root / 'reference.log'}")
            bench.seconds[level] = time.monotonic() - begin
        shutil.rmtree(bench.root / "reference_work")
        noted.write_text(json.dumps([bench.seconds, bench.codes]), encoding="utf-8")
    seconds, codes = json.loads(noted.read_text(encoding="utf-8"))
    bench.seconds.update(seconds)
    bench.codes.update(codes)


def delays(bench: Bench, seed: list[int], n_kills: int, level: str) -> list[float]:
    """Seconds from each start of a level to its kill: few in the plan, most in the images."""
    rng = np.random.default_rng([*seed, LEVELS.index(level)])
    shares = {"plan": n_kills // 8, "group": n_kills // 4}
    if level in shares:
        return list(rng.uniform(0.2, bench.seconds[level], shares[level]))
    left = n_kills - sum(shares.values())
    return list(rng.uniform(0.2, 2 * bench.seconds[level] / (left + 1), left))


def one_run(bench: Bench, account: Account, next_waits: Callable[[str], list[float]]) -> None:
    """Go on with a run until it is complete or the time is over; compare what came out."""
    name = f"run{account.runs:02d}"
    while account.level < len(LEVELS):
        if bench.is_over():
            return
        begin = time.monotonic()
        if one_call(bench, (LEVELS[account.level], name), account):
            account.level += 1
            account.waits_s = next_waits(LEVELS[account.level]) if account.level < 3 else []
        account.seconds += time.monotonic() - begin
    output, reference = bench.root / name, bench.root / "reference"
    wrong = wrong_files(output, reference, is_finished=True)
    lost = sorted(result_files(reference) - result_files(output))
    undone = [who for who, status in statuses(output).items() if status != "done"]
    tell(f"{name}: complete", wrong, [*lost, *undone])
    account.wrong += len(wrong)
    account.lost += len(lost) + len(undone)
    account.runs += 1
    account.level, account.waits_s = 0, next_waits(LEVELS[0])
    if not wrong and not lost:
        for folder in (output, bench.root / f"{name}_work"):
            shutil.rmtree(folder)


def one_call(bench: Bench, what: tuple[str, str], account: Account) -> bool:
    """Whether a level came to its end; it is killed at the next moment, or when time is over."""
    level, name = what
    wait_s = min([*account.waits_s[:1], max(bench.end - time.monotonic(), 0.0)])
    output, reference, mark = bench.root / name, bench.root / "reference", uuid4().hex
    before = [who for who, status in statuses(output).items() if status == "done"]
    process = start(bench.command(level, name), bench.root / f"{name}.log", mark)
    try:
        code = process.wait(wait_s)
    except subprocess.TimeoutExpired:
        account.kills += 1
        del account.waits_s[:1]
        kill(process, is_group=account.kills % 2 == 0)
        left = orphans(mark)
        found = statuses(output)
        wrong = wrong_files(output, reference, is_finished=False)
        wrong += [who for who, status in found.items() if status == "unreadable"]
        done = [who for who, status in found.items() if status == "done"]
        lost = lost_files(output, reference, done) + [who for who in before if who not in done]
        tell(f"{name}: kill {account.kills} in {level} after {wait_s:.1f} s", wrong, lost)
        account.orphans += len(left)
        account.wrong += len(wrong)
        account.lost += len(lost)
        return False
    if code != bench.codes[level] and (level, code) != ("participant", NOTHING_TO_DO):
        account.false_exit_codes += 1
        tell(f"{name}: {level} ended with {code}", [], [])
        if account.false_exit_codes > 3:
            raise SystemExit(f"{level} does not end well: see {bench.root / name}.log")
        return False
    return True


def tell(what: str, wrong: list[str], lost: list[str]) -> None:
    """Print one line, with what is wrong."""
    print(what, f"wrong {wrong}" if wrong else "", f"lost {lost}" if lost else "", flush=True)


def figures(account: Account, bench: Bench) -> dict[str, object]:
    """Rows of the last line."""
    none = {name: getattr(account, name) for name in ("lost", "wrong", "orphans")}
    none["false_exit_codes"] = account.false_exit_codes
    rows: dict[str, object] = {
        name: {"value": value, "target": "== 0", "ok": value == 0} for name, value in none.items()
    }
    undisturbed_s = sum(bench.seconds.values())
    again_s = account.seconds - account.runs * undisturbed_s
    return {
        "kills": account.kills,
        "completed_runs": account.runs,
        **rows,
        "undisturbed_run_s": round(undisturbed_s),
        "extra_s_per_kill": round(again_s / account.kills, 1) if account.level == 0 else None,
    }


def options_of() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output_dir", type=Path)
    parser.add_argument("--trial", type=Path, help="finished demo folder; made anew if not given")
    parser.add_argument("--kills", type=int, default=50, help="of all runs")
    parser.add_argument("--kills-per-run", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after this time for now")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nprocs", type=int, default=2)
    return parser.parse_args()


def main() -> int:
    """Kill until there were enough kills; 1 if anything was lost or wrong."""
    options = options_of()
    root = options.output_dir.absolute()
    root.mkdir(parents=True, exist_ok=True)
    trial = options.trial.absolute() if options.trial else root / "trial"
    if options.trial is None and demo([str(trial), "--nprocs", str(options.nprocs)]):
        raise SystemExit("the trial could not be made")
    end = time.monotonic() + 60 * options.minutes
    bench = Bench(root, trial, options.nprocs, {}, {}, end)
    make_reference(bench)
    account = kill_often(bench, options)
    found = figures(account, bench)
    print(json.dumps({"figures": found}))
    rows = [row for row in found.values() if isinstance(row, dict)]
    return 0 if all(row["ok"] for row in rows) else 1


def kill_often(bench: Bench, options: argparse.Namespace) -> Account:
    """Complete runs with kills until there were enough, or the time is over."""
    noted = bench.root / "account.json"

    def next_waits(level: str) -> list[float]:
        return delays(bench, [options.seed, account.runs], options.kills_per_run, level)

    account = Account()
    account.waits_s = next_waits(LEVELS[0])
    if noted.is_file():
        account = Account(**json.loads(noted.read_text(encoding="utf-8")))
    while not bench.is_over() and (account.kills < options.kills or account.level > 0):
        one_run(bench, account, next_waits)
        noted.write_text(json.dumps(vars(account)), encoding="utf-8")
    return account


if __name__ == "__main__":
    sys.exit(main())
