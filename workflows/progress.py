"""Progress by participant and step, drawn on a terminal or written as lines to a log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node, Workflow
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from workflows.failures import full_name, step_name


class NodeProgress:
    """Receives the status of every node; one bar for each workflow below the top one.

    `finished` is called with the title of a workflow as soon as its last node has ended.
    """

    def __init__(
        self,
        workflow: Workflow,
        titles: dict[str, str],
        console: Console,
        finished: Callable[[str], None],
    ) -> None:
        self._finished = finished
        self._titles = titles
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[step]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._waiting = _nodes_by_title(workflow, titles)
        self._tasks = {
            title: self._bars.add_task(title, total=len(nodes), step="waiting", start=False)
            for title, nodes in self._waiting.items()
        }
        self._totals = {title: len(nodes) for title, nodes in self._waiting.items()}
        self._told: set[tuple[str, str]] = set()
        self.failed: set[str] = set()

    def __enter__(self) -> NodeProgress:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def __call__(self, node: Node, status: str) -> None:
        """Take one message of Nipype: `start`, `end` or `exception`."""
        name = full_name(node.fullname, Path(node.output_dir()))
        title = _title(name, self._titles)
        if title is None:
            return
        if status == "start":
            self._bars.start_task(self._tasks[title])
            self._bars.update(self._tasks[title], step=step_name(name))
            self._say_part(title, name)
        elif status == "exception":
            self._fail(title, name)
        elif name in self._waiting[title]:
            self._finish(title, name)

    def _finish(self, title: str, name: str) -> None:
        self._waiting[title].discard(name)
        self._bars.advance(self._tasks[title])
        if not self._waiting[title] and title not in self.failed:
            self._bars.update(self._tasks[title], step="done")
            self._console.print(f"{title}: done", highlight=False)
            self._finished(title)

    def _say_part(self, title: str, name: str) -> None:
        """In a log: one line for each part of the work, not for each step."""
        part = ", ".join(step_name(name).split(", ")[:-1][:2])
        if part and (title, part) not in self._told and not self._console.is_terminal:
            self._told.add((title, part))
            total, left = self._totals[title], len(self._waiting[title])
            self._console.print(f"{title}: {part} ({total - left} of {total})", highlight=False)

    def _fail(self, title: str, name: str) -> None:
        self.failed.add(title)
        self._bars.update(self._tasks[title], step=f"failed: {step_name(name)}")
        self._console.print(f"{title}: FAILED at {step_name(name)}", highlight=False)


def _nodes_by_title(workflow: Workflow, titles: dict[str, str]) -> dict[str, set[str]]:
    nodes: dict[str, set[str]] = {title: set() for title in titles.values()}
    for name in workflow.list_node_names():
        title = _title(f"{workflow.name}.{name}", titles)
        forwards = isinstance(workflow.get_node(name).interface, IdentityInterface)
        if title is not None and not forwards:
            nodes[title].add(f"{workflow.name}.{name}")
    return nodes


def _title(fullname: str, titles: dict[str, str]) -> str | None:
    parts = fullname.split(".")
    return next((titles[part] for part in parts[:2] if part in titles), None)
