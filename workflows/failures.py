"""What went wrong with whom: crash files of Nipype turned into one plain sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bids_utils.derivatives import log_folder
from bids_utils.errors import DatasetError, PipelineError, SettingsError, ToolError

ERROR_LINE = re.compile(
    r"^\s*(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*(?:Error|Exception|Interrupt))(?:: ?(.*))?$"
)
NO_RESULT = re.compile(r"^\s*FileNotFoundError: .*/result_[^/]*\.pklz$")
"""What Nipype says, besides the cause, of a step that failed before it had any result."""
PLAIN_ERRORS = {
    kind.__name__: kind for kind in (PipelineError, SettingsError, DatasetError, ToolError)
}
SYSTEM_ERRORS = {
    "MemoryError": "memory ran out; give more memory or lower --nprocs, and run it again",
    "[Errno 28]": "the disk is full (No space left on device); make room in the work folder and "
    "the output folder, and run it again",
    "[Errno 122]": "your share of the disk is used up (Disk quota exceeded); make room in the work "
    "folder and the output folder, and run it again",
    "[Errno 30]": "the folder cannot be written (Read-only file system); run it again when it can",
}
"""What Python calls troubles of the machine, and what to tell of them."""


@dataclass(frozen=True)
class Failure:
    """One step that failed: `error` is the class, `cause` its message, `crash_file` the details."""

    step: str
    error: str
    cause: str
    crash_file: str

    @property
    def exit_code(self) -> int:
        """Exit code of this kind of error; 1 where it is none the user can act on."""
        return PLAIN_ERRORS.get(self.error, PipelineError).exit_code

    def as_error(self) -> PipelineError:
        """The error to raise where this failure ends the whole call."""
        return PLAIN_ERRORS.get(self.error, PipelineError)(self.sentence)

    @property
    def sentence(self) -> str:
        """Step, cause and what to do, for the terminal and the reports."""
        if self.error in PLAIN_ERRORS:
            return f"{self.step}: {self.cause}" if self.step else self.cause
        return f"{self.step}: {self.error}: {self.cause} (unexpected; details: {self.crash_file})"


def crash_folder(output_dir: Path, participant: str) -> Path:
    """Folder of the crash files of a participant."""
    return log_folder(output_dir, participant) / "crash"


def read_failures(crash_dir: Path) -> list[Failure]:
    """Failures from the crash files in a folder, the oldest first; empty without the folder."""
    files = list(crash_dir.glob("crash-*.txt"))
    files.sort(key=lambda file: (file.stat().st_mtime_ns, file.name))
    return [parse_crash(file.read_text(encoding="utf-8", errors="replace"), file) for file in files]


def parse_crash(text: str, file: Path) -> Failure:
    """Failure described by the text of a Nipype crash file.

    The last error line of the traceback decides; lines after it belong to its message. Troubles
    of the machine count wherever they are in it: other errors follow from them.
    """
    lines = text.splitlines()
    node = _after("Node: ", lines) or "unknown step"
    node = full_name(node, Path(_after("Working directory: ", lines)))
    matches = [(i, found) for i, line in enumerate(lines) if (found := ERROR_LINE.match(line))]
    matches = [match for match in matches if not NO_RESULT.match(match[1][0])] or matches
    plain = [(i, found) for i, found in matches if found[1] in PLAIN_ERRORS]
    trouble = next((words for _, found in matches if (words := _system_trouble(found[0]))), "")
    if trouble and not plain:
        return Failure(step_name(node), ToolError.__name__, trouble, str(file))
    if not matches:
        last = next((line.strip() for line in reversed(lines) if line.strip()), "empty crash file")
        return Failure(step_name(node), "Error", last, str(file))
    position, found = (plain or matches)[-1]
    rest = [line.strip() for line in lines[position + 1 :] if line.strip()] if plain else []
    return Failure(step_name(node), found[1], " ".join([found[2] or "", *rest]), str(file))


def _system_trouble(line: str) -> str:
    """What to tell of an error line that is about memory or disk; empty for others."""
    error, _, rest = line.strip().partition(": ")
    return next(
        (
            words
            for sign, words in SYSTEM_ERRORS.items()
            if error.endswith(sign) or rest.startswith(sign)
        ),
        "",
    )


def step_name(node: str) -> str:
    """Words for a node: its path without the workflows that hold everything.

    `participants_wf.sub_01_wf.bold_ses_pre_wf.realign` becomes `bold ses pre, realign`.
    """
    parts = [part.removesuffix("_wf").replace("_", " ").strip() for part in node.split(".")]
    return ", ".join(parts[2:] or parts)


def full_name(node: str, folder: Path) -> str:
    """Path of a node through its workflows; parts of a MapNode only have it in their folder.

    Parameters
    ----------
    node : str
        Name as Nipype gives it: `a_wf.b_wf.step`, or `_step0` for a part of a MapNode.
    folder : Path
        Working folder of the node, such as `.../a_wf/b_wf/step/mapflow/_step0`.
    """
    parts = list(folder.parts)
    if "." in node or "mapflow" not in parts:
        return node
    first = next((i for i, part in enumerate(parts) if part.endswith("_wf")), 0)
    return ".".join([*parts[first : parts.index("mapflow") - 1], node])


def _after(mark: str, lines: list[str]) -> str:
    return next((line.removeprefix(mark).strip() for line in lines if line.startswith(mark)), "")
