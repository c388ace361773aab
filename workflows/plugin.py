"""Runs nodes on the cores of this machine; a killed worker fails its node instead of hanging."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from traceback import format_exception

from nipype.pipeline.engine import Node
from nipype.pipeline.plugins import base
from nipype.pipeline.plugins.multiproc import MultiProcPlugin, process_initializer
from threadpoolctl import threadpool_limits

from bids_utils.errors import DatasetError
from workflows.interfaces.engine import THREAD_VARIABLES
from workflows.processes import die_with_pipe, leave_signals_to_parent
from workflows.seals import NodeResult, run_sealed

KILLED = (
    "bids_utils.errors.ToolError: the process of this step was killed, most often because memory "
    "ran out; give more memory or lower --nprocs, and run the same command again"
)


NIPYPE_LOGGERS = ("nipype", "nipype.workflow", "nipype.interface", "nipype.utils")


def quiet_nipype(level: int) -> None:
    """Let Nipype's own messages through from this level on, in this process."""
    for name in NIPYPE_LOGGERS:
        logging.getLogger(name).setLevel(level)


def start_worker(folder: str, level: int) -> None:
    """First call in a new worker: its end, its folder, its one thread, and how much Nipype says.

    Sums of linear algebra come out otherwise in the last digit with another number of threads,
    and two workers with two threads each would wait for each other.
    """
    leave_signals_to_parent()
    parent = multiprocessing.parent_process()
    if parent is not None:
        die_with_pipe(parent.sentinel)
    process_initializer(folder)
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    threadpool_limits(1)
    quiet_nipype(level)


@contextmanager
def steady_clock() -> Iterator[None]:
    """Let Nipype wait by a clock that nobody sets.

    It sleeps between two looks at its steps until a time of day: a clock that is set back by an
    hour would stop the run for an hour.
    """
    of_the_day = base.time
    base.time = time.monotonic
    try:
        yield
    finally:
        base.time = of_the_day


class LocalPlugin(MultiProcPlugin):
    """Nipype's MultiProc with workers that start clean and whose death is noticed.

    `progress` is called with each node and its status. It is no plugin argument, since
    Nipype would send those to the workers.
    """

    def __init__(
        self, plugin_args: dict[str, float | bool], progress: Callable[[Node, str], None]
    ) -> None:
        super().__init__(plugin_args={**plugin_args, "mp_context": "forkserver"})
        self.pool: ProcessPoolExecutor = self._new_pool(self.processors)
        self._alone: dict[int, ProcessPoolExecutor] = {}
        self._jobs: dict[int, Callable[[], NodeResult]] = {}
        self._status_callback = progress

    def run(self, graph: object, config: object, updatehash: bool = False) -> None:
        """Run a graph; its thousands of objects are kept out of the garbage collection.

        Nipype collects garbage before each step it starts, which for eight participants took
        more time than the steps. No worker is left when this ends, however it ends.
        """
        others = set(multiprocessing.active_children())
        gc.freeze()
        try:
            with steady_clock():
                super().run(graph, config, updatehash=updatehash)
        finally:
            gc.unfreeze()
            for worker in set(multiprocessing.active_children()) - others:
                worker.kill()
                worker.join()

    def _sort_jobs(self, jobids: Iterable[int], scheduler: str | None = None) -> list[int]:
        """Steps of the first workflows first, so that participants finish one after the other."""
        names = [node._hierarchy for node in self.procs if node._hierarchy]
        places = {name: place for place, name in enumerate(dict.fromkeys(map(workflow_of, names)))}

        def place(job: int) -> int:
            node = self.procs[self.mapnodesubids.get(job, job)]
            return places[workflow_of(node._hierarchy)]

        return sorted(jobids, key=place)

    def _get_result(self, taskid: int) -> NodeResult | None:
        """Result of a task; one whose worker died with another's is tried once more, alone."""
        result = self._taskresult.get(taskid)
        if result is None or result["traceback"] != [KILLED] or taskid in self._alone:
            return result
        del self._taskresult[taskid]
        self._alone[taskid] = self._new_pool(max_workers=1)
        self._submit(taskid, self._alone[taskid])
        return None

    def _report_crash(self, node: Node, result: NodeResult | None = None) -> str:
        """Write the crash file of a node; without it nobody would learn of the failure.

        Raises
        ------
        DatasetError
            It cannot be written.
        """
        try:
            return str(super()._report_crash(node, result=result))
        except OSError as error:
            raise DatasetError(
                f"{node.config['execution']['crashdump_dir']}: what went wrong with a step cannot "
                f"be written ({error.strerror}); check the permissions and the free space of this "
                "folder, and run the same command again"
            ) from error

    def _postrun_check(self) -> None:
        for pool in (self.pool, *self._alone.values()):
            pool.shutdown()

    def _submit(self, taskid: int, pool: ProcessPoolExecutor) -> None:
        future = pool.submit(self._jobs[taskid])
        self._task_obj[taskid] = future
        future.add_done_callback(partial(self._keep_result, taskid))

    def _submit_job(self, node: Node, updatehash: bool = False) -> int:
        self._taskid += 1
        self._jobs[self._taskid] = partial(run_sealed, node, updatehash, self._taskid)
        try:
            self._submit(self._taskid, self.pool)
        except BrokenProcessPool:
            self.pool = self._new_pool(self.processors)
            self._submit(self._taskid, self.pool)
        return self._taskid

    def _clear_task(self, taskid: int) -> None:
        del self._task_obj[taskid], self._jobs[taskid]

    def _keep_result(self, taskid: int, future: Future[NodeResult]) -> None:
        error = future.exception()
        if error is None:
            self._taskresult[taskid] = future.result()
            return
        lines = [KILLED] if isinstance(error, BrokenProcessPool) else format_exception(error)
        self._taskresult[taskid] = {"result": None, "traceback": lines, "taskid": taskid}

    def _new_pool(self, max_workers: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            max_workers=max_workers,
            initializer=start_worker,
            initargs=(str(Path.cwd()), logging.getLogger("nipype").level),
            mp_context=multiprocessing.get_context("forkserver"),
        )


def workflow_of(hierarchy: str) -> str:
    """Workflow below the top one that a path of workflows leads through."""
    return ".".join(hierarchy.split(".")[:2])
