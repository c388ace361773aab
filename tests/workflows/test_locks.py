"""Locks: one holder at a time, known from outside, free again when the holder is gone."""

import errno
import fcntl
import logging
import os
import subprocess
import sys

import pytest

from bids_utils.errors import DatasetError
from workflows import locks
from workflows.locks import LockedError, is_locked, locked

HOLD = """
import sys, time
from pathlib import Path
from workflows.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "logs" / "sub-01" / "lock"


@pytest.fixture
def holder(file):
    with subprocess.Popen([sys.executable, "-c", HOLD, file], stdout=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"held\n"
        yield running
        running.kill()


def test_a_second_one_is_told_who_holds_the_lock(file, holder):
    assert is_locked(file)
    with pytest.raises(LockedError, match=f"another run works on it .process {holder.pid} on "):
        locked(file).__enter__()


def test_the_lock_of_a_killed_process_is_free(file, holder):
    holder.kill()
    holder.wait()
    assert not is_locked(file)
    with locked(file):
        assert is_locked(file)
    assert not is_locked(file)


def test_a_lock_that_never_was_taken_is_free(file):
    assert not is_locked(file)


def test_a_look_at_the_lock_is_waited_for(file, monkeypatch):
    with locked(file):
        pass
    descriptor = os.open(file, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    monkeypatch.setattr(locks.time, "sleep", lambda _: os.close(descriptor))
    with locked(file):
        assert is_locked(file)


def test_a_lock_file_that_was_deleted_meanwhile_is_made_anew(file, monkeypatch):
    flock, calls = fcntl.flock, []

    def flock_of_a_deleted_file(descriptor, how):
        calls.append(how)
        if len(calls) == 1:
            file.unlink()
        flock(descriptor, how)

    monkeypatch.setattr(locks.fcntl, "flock", flock_of_a_deleted_file)
    with locked(file):
        assert is_locked(file)


def test_a_file_system_without_locks_is_only_warned_of(file, monkeypatch, caplog):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", no_locks)
    with caplog.at_level(logging.WARNING), locked(file):
        assert not is_locked(file)
    assert "this file system has no locks (No locks available); do not start two" in caplog.text


def test_a_full_disk_does_not_spoil_the_lock(file, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(locks.os, "write", full)
    with locked(file):
        assert is_locked(file)


def test_a_folder_that_cannot_be_written_is_named(locked_folder):
    with pytest.raises(DatasetError, match="lock: cannot be written .Permission denied."):
        locked(locked_folder / "lock").__enter__()
