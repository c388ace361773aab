"""Locks: two runs never work on the same participant, nor twice on the group level."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bids_utils.errors import DatasetError, PipelineError

LOGGER = logging.getLogger(__name__)
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""What the kernel says where a file system has no locks, such as Lustre without `-o flock`."""
PATIENCE_S = 1.0
"""How long a lock is tried: a run that was killed, or a look at the lock, holds it for moments."""


class LockedError(PipelineError):
    """Another run works on the same; the message says which."""


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock of a file as long as the block runs; the kernel frees it if we are killed.

    On file systems without locks only a warning is logged.

    Raises
    ------
    LockedError
        Another process holds it.
    DatasetError
        The file cannot be made.
    """
    descriptor = _take(file)
    try:
        with suppress(OSError):  # who it is only helps; a full disk must not stop us here
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        os.close(descriptor)


def is_locked(file: Path) -> bool:
    """Whether a process holds the lock of a file; looking takes it for a moment."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _take(file: Path) -> int:
    """Open and locked descriptor of a lock file."""
    end = time.monotonic() + PATIENCE_S
    while True:
        descriptor = _open(file)
        try:
            if _is_ours(descriptor, file):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if time.monotonic() > end:
            raise LockedError(f"another run works on it ({_holder(file)}; {file})")
        time.sleep(PATIENCE_S / 20)


def _open(file: Path) -> int:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return os.open(file, os.O_RDWR | os.O_CREAT, 0o664)
    except OSError as error:
        raise DatasetError(
            f"{file}: cannot be written ({error.strerror}); check the permissions and the free "
            "space of this folder"
        ) from error


def _is_ours(descriptor: int, file: Path) -> bool:
    """Whether the lock was free and its file is still the one under this name."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        LOGGER.warning(
            "%s: this file system has no locks (%s); do not start two runs on the same output",
            file,
            error.strerror,
        )
        return True
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _holder(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8") or "unknown process"
    except OSError:
        return "unknown process"
