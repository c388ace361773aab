"""How processes end: commands stop on signals, and no process outlives the one that started it."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stopped(BaseException):
    """A signal asked the command to stop. Not an Exception, so that no step on the way keeps it."""

    def __init__(self, number: int) -> None:
        name = signal.Signals(number).name.removeprefix("SIG")
        super().__init__(f"stopped by signal {name}; run the same command again")


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Raise `Stopped` in this block on TERM, INT and HUP, once; a second signal does nothing.

    A signal that whoever started the command wants ignored (``nohup``) stays ignored. Only the
    main thread can take signals; elsewhere nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    heard = [number for number in STOP_SIGNALS if before[number] is not signal.SIG_IGN]

    def stop(number: int, _frame: FrameType | None) -> None:
        for other in heard:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    for number in heard:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


def leave_signals_to_parent() -> None:
    """Ignore TERM, INT and HUP, here and in children: who started this process ends it.

    A signal to all processes of a job must not look as if an engine had crashed.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def die_with_pipe(descriptor: int) -> None:
    """Have the kernel kill this process as soon as nobody holds the other end of a pipe.

    It ends so even when the other process was killed, and while native code runs here.
    Nothing may be written to the pipe. Without effect where `descriptor` is no pipe, and on
    systems other than Linux.
    """
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode) or not hasattr(fcntl, "F_SETSIG"):
        return
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | fcntl.FASYNC)
    pipe = select.poll()
    pipe.register(descriptor, 0)
    if pipe.poll(0):
        os.kill(os.getpid(), signal.SIGKILL)
