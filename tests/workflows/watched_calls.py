"""Calls of the command in which every attempt to reach another computer is noted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HOOK = """
import os
import sys

NAMES = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "urllib.Request",
         "http.client.connect", "ftplib.connect")
SENT = ("socket.connect", "socket.sendto", "socket.sendmsg")
NOTES = os.open(os.environ["NETWORK_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(event, facts):
    if event in NAMES or (event in SENT and isinstance(facts[1], tuple)):
        os.write(NOTES, f"{event} {facts[-1]!r} in {sys.argv}\\n".encode())


os.write(NOTES, b"")
sys.addaudithook(note)
with open(os.environ["NETWORK_NOTES"] + ".processes", "a") as stream:
    stream.write(f"{os.getpid()}\\n")
"""
"""Runs at the start of each Python process, also of workers and engines.

Addresses of sockets between processes of one computer are paths, those of others tuples.
"""

OUTSIDE = re.compile(r"(?:connect|sendto|sendmsg)\(.*AF_INET")
"""A call of the system, of any program, that concerns another computer."""


def python(folder: Path, *words: str) -> tuple[subprocess.CompletedProcess, list[str], int]:
    """What Python ended with, its attempts to reach others, and the number of its processes.

    There is no network where the system can do without it. Where strace is installed, it watches
    the programs that are not Python too.
    """
    (folder / "hook").mkdir(parents=True, exist_ok=True)
    (folder / "hook" / "sitecustomize.py").write_text(HOOK, encoding="utf-8")
    notes, traced = folder / "notes", folder / "traced"
    notes.write_text("")
    told = {"NETWORK_NOTES": str(notes), "PYTHONPATH": _python_path(folder / "hook")}
    done = subprocess.run(
        [*_without_network(), *_traced(traced), sys.executable, *words],
        env={**os.environ, **told, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = notes.read_text().splitlines()
    if traced.is_file():
        found += [line for line in traced.read_text().splitlines() if OUTSIDE.search(line)]
    return done, found, len(Path(f"{notes}.processes").read_text().splitlines())


def _python_path(hook: Path) -> str:
    return os.pathsep.join([str(hook), *filter(None, [os.environ.get("PYTHONPATH", "")])])


def _without_network() -> list[str]:
    command = ["unshare", "--map-root-user", "--net"]
    return command if _works([*command, "true"]) else []


def _traced(file: Path) -> list[str]:
    command = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=network", "-e", "signal=none"]
    return [*command, "-o", str(file)] if _works([*command, "-o", os.devnull, "true"]) else []


def _works(command: list[str]) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
