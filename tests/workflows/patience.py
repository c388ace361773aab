"""Waiting for what other processes do, and asking them, in tests of jobs."""

import subprocess
import time


def until(is_true, seconds, what="this"):
    """Wait until something is true; fail where it is not in time."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(min(0.5, seconds / 500))


def printed(*words, check=True):
    """What a command printed; fail where the command did."""
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"{words}: {done.stderr}"
    return done.stdout
