"""The braindelta-demo command: made-up trials with known truth, from images or tables to report."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from bids_utils.errors import DONE, NOTHING_TO_DO
from workflows.processes import Stopped, stopping_on_signals

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

DESCRIPTION = """\
Makes a small two-arm trial with known brain change (8 people, 2 sessions, T1w and BOLD at low
resolution), runs braindelta on it, and prints what was planted beside what was recovered."""
DESCRIPTION_FILE = "dataset_description.json"
LEVELS = ("plan", "participant", "group")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code of the demo: that of the first level of braindelta without success, else 0."""
    arguments = build_parser().parse_args(argv)
    os.environ.setdefault("NO_ET", "1")
    try:
        with stopping_on_signals():
            return run_demo(arguments)
    except Stopped as stop:
        sys.stderr.write(f"braindelta-demo: {stop} to go on\n")
        return 1


def run_demo(arguments: argparse.Namespace) -> int:
    """Exit code of the demo; libraries load here, so that --help is quick."""
    from rich.console import Console

    from workflows.cli import main as braindelta
    from workflows.interfaces.planted import TrialDesign, write_trial

    console, start = Console(), time.monotonic()
    root = arguments.output_dir.absolute()
    if arguments.study is not None:
        return run_study(root, arguments.study, arguments.seed, braindelta)
    design = TrialDesign(n_participants=arguments.participants, seed=arguments.seed)
    console.print(f"Making a trial of {design.n_participants} people in {root / 'bids'}")
    write_trial(root, design, arguments.nprocs)
    console.print(f"Made after {time.monotonic() - start:.0f} s")
    with (files("configs") / "demo.yaml").open("rb") as source:
        (root / "settings.yaml").write_bytes(source.read())
    code = run_levels(root, arguments.nprocs, braindelta)
    if code == DONE:
        show_recovery(root, console)
        console.print(f"Report: {root / 'derivatives' / 'group' / 'report.html'}", soft_wrap=True)
    console.print(f"Ended with exit code {code} after {time.monotonic() - start:.0f} s")
    return code


def build_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(prog="braindelta-demo", description=DESCRIPTION)
    parser.add_argument("output_dir", type=Path, help="folder for the trial and its results")
    parser.add_argument(
        "--study",
        choices=("one_arm", "two_arms", "three_waves", "two_sites", "alliance"),
        help="instead of images: the tables of a larger made-up study of this design (a minute)",
    )
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other people")
    parser.add_argument(
        "--nprocs", type=int, default=os.cpu_count() or 1, help="cores; default: all"
    )
    parser.add_argument(
        "--participants", type=_number_of_people, default=8, metavar="N", help="5 or more"
    )
    return parser


def run_study(root: Path, name: str, seed: int, braindelta: Callable[[list[str]], int]) -> int:
    """Exit code of the group level on the tables of a made-up study."""
    import numpy as np

    from bids_utils.derivatives import write_json, write_table
    from workflows.compute.made_up_study import STUDIES

    made = STUDIES[name](np.random.default_rng(seed))
    bids = root / "bids"
    write_table(made.participants, bids / "participants.tsv")
    write_json({"Name": f"Made-up study: {name}", "BIDSVersion": "1.10.0"}, bids / DESCRIPTION_FILE)
    write_table(made.measures, root / "measures.tsv")
    write_table(made.truth, root / "truth.tsv")
    with (files("configs") / "studies" / f"{name}.yaml").open("rb") as source:
        (root / "settings.yaml").write_bytes(source.read())
    places = [str(bids), str(root / "derivatives"), "group"]
    options = ["--measures", str(root / "measures.tsv"), "-w", str(root / "work")]
    return braindelta([*places, *options, "--settings", str(root / "settings.yaml")])


def run_levels(root: Path, nprocs: int, braindelta: Callable[[list[str]], int]) -> int:
    """Exit code of plan, participant and group; the first without success ends the run."""
    places = [str(root / "bids"), str(root / "derivatives")]
    options = ["--settings", str(root / "settings.yaml"), "--nprocs", str(nprocs)]
    options += ["-w", str(root / "work")]
    for level in LEVELS:
        code = braindelta([*places, level, *options])
        if code not in (DONE, NOTHING_TO_DO):
            return code
    return DONE


def show_recovery(root: Path, console: Console) -> None:
    """Print what was planted beside what was recovered; keep the tables in recovery/."""
    from bids_utils.derivatives import read_table, write_table
    from workflows.compute.recovery import false_change
    from workflows.interfaces import recovery

    truth, derivatives = root / "truth", root / "derivatives"
    people = read_table(truth / "trial.tsv").set_index("participant_id")
    volumes = recovery.compare_volumes(truth, derivatives)
    connectivity = recovery.compare_connectivity(truth, derivatives)
    write_table(volumes, root / "recovery" / "volumes.tsv")
    write_table(connectivity, root / "recovery" / "connectivity.tsv")
    grown = volumes[volumes["name"].isin(recovery.planted_regions())]
    show_change(grown, people, "Volume of the planted regions, change in %", console)
    median, largest = false_change(volumes)
    console.print(
        f"Where less than .5 % was planted: median |change| {median:.2f} %, largest {largest:.1f} %"
    )
    show_change(connectivity, people, "Connectivity of the planted edges, change in z", console)
    show_models(recovery.model_rows(derivatives), console)


def show_change(compared: pd.DataFrame, people: pd.DataFrame, title: str, console: Console) -> None:
    """Print planted and recovered change by person, and by region with the symptoms."""
    from workflows.compute.recovery import recovery_summary, symptom_relation

    arms, points = people["group"], people["improvement"].where(people["has_score"])
    show_people(compared, arms, title, console)
    summary = recovery_summary(compared, arms)
    summary = summary.merge(symptom_relation(compared, points).drop(columns="n"), on="name")
    show_summary(summary, list(arms.unique()), title, console)


def show_people(compared: pd.DataFrame, arms: pd.Series, title: str, console: Console) -> None:
    """Print the mean planted and recovered change of each participant."""
    means = compared.groupby("participant_id", sort=False)[["planted", "recovered"]].mean()
    people = [str(name) for name in means.index]
    columns = (means["planted"].map(_number), means["recovered"].map(_number))
    rows = list(zip(people, arms.reindex(people), *columns, strict=True))
    show_table(f"{title}: each person", ("person", "arm", "planted", "recovered"), rows, console)


def show_summary(summary: pd.DataFrame, arms: Sequence[str], title: str, console: Console) -> None:
    """Print how well each region or edge set was recovered over the participants.

    `slope` and `r` are those of recovered on planted; the other columns are planted / recovered:
    the mean of each arm, and the correlation with the improvement of the symptoms.
    """
    pairs = [(f"planted_{arm}", f"recovered_{arm}") for arm in arms]
    pairs.append(("planted_r", "recovered_r"))
    rows = [
        (
            row["name"],
            str(row["n"]),
            _number(row["slope"]),
            _number(row["correlation"]),
            *(f"{_number(row[one])} / {_number(row[other])}" for one, other in pairs),
        )
        for _, row in summary.iterrows()
    ]
    columns = ("name", "n", "slope", "r", *(f"mean {arm}" for arm in arms), "r with symptoms")
    show_table(f"{title}: planted / recovered", columns, rows, console)


def show_models(rows: pd.DataFrame, console: Console) -> None:
    """Print the outcome models of the planted regions."""
    columns = ("model", "region", "estimate", "95 % interval", "p", "p_fdr", "n")
    cells = [
        (
            row["model"],
            row["region"],
            _number(row["estimate"]),
            f"{_number(row['ci_low'])} to {_number(row['ci_high'])}",
            _number(row["p"]),
            _number(row["p_fdr"]),
            str(row["n"]),
        )
        for _, row in rows.iterrows()
    ]
    show_table("Models of the planted regions (ml, or partial r)", columns, cells, console)


def show_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], console: Console
) -> None:
    """Print a table; columns with numbers are on the right."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(title=title, box=SIMPLE, padding=(0, 1, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _number(value: float) -> str:
    if value != value:
        return "n/a"
    return f"{value:.4f}" if 0 < abs(value) < 0.01 else f"{value:.3g}"


def _number_of_people(text: str) -> int:
    number = int(text)
    if number < 5:
        raise argparse.ArgumentTypeError(f"at least 5 people are needed, found {number}")
    return number
