"""Native engines in a child process: single-threaded, and a crash ends the child only."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from bids_utils.errors import ToolError

ROOT = Path(__file__).resolve().parents[2]
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
LAST_LINES = 8


def run_engine(module: str, arguments: list[str], cwd: Path) -> None:
    """Run `python -m module arguments` in `cwd`, with one thread.

    Two threads make greedy and ITK differ from run to run in the last digits, and a
    segmentation fault of an engine would otherwise end all participants.

    Raises
    ------
    ToolError
        The child was killed by a signal or ended with a non-zero exit code; the message
        holds its last lines.
    """
    command = [sys.executable, "-m", module, *arguments]
    child = _run(command, cwd)
    if child.returncode == 0:
        return
    raise ToolError(
        f"{module.rsplit('.', 1)[-1]} {_how_it_ended(child.returncode)} with arguments "
        f"{shlex.join(arguments)}\n{_last_lines(child.stdout, child.stderr)}\n"
        "Look at the input images named above; to see it again run: "
        f"cd {shlex.quote(str(cwd))} && {shlex.join(command)}"
    )


def _run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a child that dies with this process: its input is a pipe that only we hold open."""
    read_end, write_end = os.pipe()
    try:
        return subprocess.run(  # noqa: S603 - our own module, no shell
            command,
            cwd=cwd,
            env=_environment(),
            stdin=read_end,
            capture_output=True,
            text=True,
            errors="replace",
        )
    finally:
        for descriptor in (read_end, write_end):
            os.close(descriptor)


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1"), "PYTHONPATH": path}


def _how_it_ended(returncode: int) -> str:
    if returncode >= 0:
        return f"failed (exit code {returncode})"
    if -returncode == signal.SIGKILL:
        return "was killed (SIGKILL: often too little memory; raise --mem-gb or lower --nprocs)"
    return f"crashed ({signal.Signals(-returncode).name})"


def _last_lines(stdout: str, stderr: str) -> str:
    lines = [line for line in f"{stdout}\n{stderr}".splitlines() if line.strip()]
    return "\n".join(lines[-LAST_LINES:])
