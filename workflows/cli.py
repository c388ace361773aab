"""The braindelta command: options, messages and exit codes."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from bids_utils.errors import PipelineError
from bids_utils.plain_text import printable
from workflows.processes import Stopped, stopping_on_signals

if TYPE_CHECKING:
    from workflows.options import Options

DESCRIPTION = """\
From MRI before and after treatment (BIDS) to regional brain change, its uncertainty and its
relation to symptoms. Usual order: plan (look), participant (images), lock (write down what is
planned before the outcomes are read), group (change, models, report). On a cluster, submit does
participant and group as jobs; status tells who is done, and why others are not."""
EPILOG = """\
exit codes: 0 done; 1 failed; 2 usage or settings; 3 dataset; 4 a tool failed;
10 some participants or models failed, the rest is done; 11 nothing to do
status ends with 10 if somebody failed, else with 0, also while jobs wait or run"""
LEVELS = ("plan", "participant", "lock", "group", "status", "submit")
SCHEDULERS = ("slurm", "sge", "pbs")
ONLY_SUBMIT = ("scheduler", "cluster", "failed", "go")
NOT_SUBMIT = ("nprocs", "mem_gb", "reports_only", "boilerplate_only")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code of one call of the command; a user's mistake is one message, a bug a traceback."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    _check_level(parser, arguments)
    os.environ["NO_ET"] = "1"  # no question for a newer version of Nipype
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=_level(arguments))
    try:
        with stopping_on_signals():
            return run_level(arguments)
    except PipelineError as error:
        sys.stderr.write(f"braindelta: {printable(str(error))}\n")
        return error.exit_code
    except Stopped as stop:
        sys.stderr.write(f"braindelta: {stop} to go on\n")
        return 1


def run_level(arguments: argparse.Namespace) -> int:
    """Exit code of one call; imaging libraries load here, so that --help is quick."""
    # Without a home that can be written Matplotlib keeps its list of fonts in a temporary folder.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from workflows import plugin, run

    plugin.quiet_nipype(_nipype_level(arguments))
    return run.execute(_options(arguments))


def build_parser() -> argparse.ArgumentParser:
    """The options of the command, in the words of BIDS Apps."""
    parser = argparse.ArgumentParser(
        prog="braindelta",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bids_dir", type=Path, help="dataset in BIDS, only read")
    parser.add_argument("output_dir", type=Path, help="where the derivatives are written")
    parser.add_argument("level", choices=LEVELS)
    parser.add_argument("--version", action="version", version=_version())
    _add_selection(parser.add_argument_group("which data"))
    _add_analysis(parser.add_argument_group("how"))
    _add_running(parser.add_argument_group("running"))
    _add_submit(parser.add_argument_group("submit: jobs for a cluster"))
    return parser


def _add_selection(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--participant-label",
        "--participant_label",
        nargs="+",
        default=[],
        metavar="LABEL",
        help="only these participants, with or without sub-",
    )
    group.add_argument(
        "--session-label",
        "--session_label",
        "--session-id",
        nargs="+",
        default=[],
        metavar="LABEL",
        help="only these sessions, with or without ses-",
    )
    group.add_argument(
        "--task-id", nargs="+", default=[], metavar="TASK", help="only BOLD of these tasks"
    )
    group.add_argument(
        "--bids-filter-file",
        type=Path,
        metavar="JSON",
        help='as in fMRIPrep: {"t1w": {"acquisition": ...}, "bold": {...}}',
    )
    group.add_argument(
        "--skip-bids-validation", action="store_true", help="go on with a dataset that is not valid"
    )


def _add_analysis(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--settings", type=Path, metavar="YAML", help="the science of the study")
    group.add_argument(
        "-d",
        "--derivatives",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="fmriprep=PATH at every level: preprocessed BOLD instead of raw; group: results of "
        "freesurfer, fastsurfer, cat12, mriqc, xcpd, giga_connectome or a table (auto: find out) "
        "instead of images; may be repeated",
    )
    group.add_argument(
        "--measures",
        action="append",
        type=Path,
        default=[],
        metavar="TSV",
        help="group: a table of your own measures instead of images; may be repeated",
    )
    group.add_argument(
        "--scores-only", action="store_true", help="group: a cohort without brain measures"
    )
    group.add_argument(
        "--random-seed", type=int, metavar="N", help="instead of random_seed of the settings"
    )


def _add_running(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--nprocs", "--n-cpus", type=int, metavar="N", help="cores (1)")
    group.add_argument("--mem-gb", type=float, metavar="GB", help="memory that may be used")
    group.add_argument(
        "-w", "--work-dir", type=Path, metavar="DIR", help="default: OUTPUT_DIR/work"
    )
    group.add_argument(
        "--clean-workdir", action="store_true", help="delete the work of finished participants"
    )
    group.add_argument("--dry-run", action="store_true", help="say what would be done, do nothing")
    group.add_argument(
        "--stop-on-first-crash",
        action="store_true",
        help="do not go on with the other participants",
    )
    group.add_argument("--reports-only", action="store_true", help="only write the HTML anew")
    group.add_argument("--boilerplate-only", action="store_true", help="only logs/CITATION.md")
    group.add_argument("-v", "--verbose", action="count", default=0, help="more; -vv everything")


def _add_submit(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--scheduler", choices=SCHEDULERS, help="what the cluster runs")
    group.add_argument(
        "--cluster",
        type=Path,
        metavar="YAML",
        help="cores, memory, time, queue and the like of each job; see docs/clusters.md",
    )
    group.add_argument(
        "--failed",
        action="store_true",
        help="also those who failed; without it only those who were not started",
    )
    group.add_argument("--go", action="store_true", help="submit; without it only write the jobs")


def _check_level(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End with a message where an option does not belong to the level."""
    is_submit = arguments.level == "submit"
    unfit = NOT_SUBMIT if is_submit else ONLY_SUBMIT
    given = [name for name in unfit if getattr(arguments, name) not in (None, False)]
    if given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        where = "cores and memory of a job are in the file of --cluster" if is_submit else ""
        parser.error(f"{names}: not for the level {arguments.level}{where and f'; {where}'}")


def _options(arguments: argparse.Namespace) -> Options:
    from workflows.options import Options

    values = vars(arguments) | {
        "bids_dir": arguments.bids_dir.absolute(),
        "output_dir": arguments.output_dir.absolute(),
        "work_dir": (arguments.work_dir or arguments.output_dir / "work").absolute(),
        "participant_label": tuple(arguments.participant_label),
        "session_label": tuple(arguments.session_label),
        "task_id": tuple(arguments.task_id),
        "derivatives": tuple(arguments.derivatives),
        "nprocs": 1 if arguments.nprocs is None else arguments.nprocs,
        "measures": tuple(path.absolute() for path in arguments.measures),
    }
    return Options(**values)


def _level(arguments: argparse.Namespace) -> int:
    return [logging.WARNING, logging.INFO, logging.DEBUG][min(arguments.verbose, 2)]


def _nipype_level(arguments: argparse.Namespace) -> int:
    """Nipype's own account of a failure is in the crash file; -vv shows it at once."""
    return logging.DEBUG if arguments.verbose > 1 else logging.CRITICAL


def _version() -> str:
    return f"braindelta {version('braindelta')}"


if __name__ == "__main__":
    sys.exit(main())
