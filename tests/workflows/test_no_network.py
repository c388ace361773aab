"""Nothing leaves this computer, and nothing is fetched; for images see test_whole_run."""

import shutil

import pytest
from watched_calls import python

DEMO = "import sys; from workflows.demo import main; sys.exit(main(sys.argv[1:]))"
VALIDATE = """
import sys
from pathlib import Path
from bids_utils.derivatives import validate_bids
print(validate_bids(Path(sys.argv[1])))
"""
ATTEMPT = """
import socket, subprocess, sys
try:
    socket.create_connection(("127.0.0.1", 9), 1)
except OSError:
    subprocess.run([sys.executable, "-c", "import socket; socket.gethostbyname('localhost')"])
"""
PLAN = """
import os, sys
from workflows.cli import main
os.environ["NO_ET"] = ""
print("code", main(sys.argv[1:]), "NO_ET", os.environ["NO_ET"])
"""


def test_an_attempt_to_reach_another_computer_would_be_noticed(tmp_path):
    _, found, n_processes = python(tmp_path, "-c", ATTEMPT)
    assert n_processes == 2
    assert any(line.startswith("socket.connect") and "127.0.0.1" in line for line in found)
    assert any(line.startswith("socket.gethostbyname 'localhost'") for line in found)
    if shutil.which("strace"):
        assert any("AF_INET" in line and "htons(9)" in line for line in found)


def test_a_plan_asks_nobody_for_a_newer_version_and_fetches_nothing(make_dataset, tmp_path):
    names = [f"sub-01/ses-{own}/anat/sub-01_ses-{own}_T1w.nii.gz" for own in ("post", "pre")]
    root = make_dataset(names)
    (tmp_path / "s.yaml").write_text("sessions: {order: [pre, post]}")
    words = [str(root), str(tmp_path / "out"), "plan", "--settings", str(tmp_path / "s.yaml")]
    done, found, _ = python(tmp_path / "watched", "-c", PLAN, *words)
    assert done.stdout.splitlines()[-1] == "code 3 NO_ET 1", done.stderr
    assert "not valid BIDS" in done.stderr
    assert found == []


def test_the_validator_of_bids_brings_its_rules_along(make_dataset, tmp_path):
    root = make_dataset({"sub-01/anat/sub-01_T2x.nii.gz": "", "README": "x" * 200})
    done, found, _ = python(tmp_path / "watched", "-c", VALIDATE, str(root))
    assert "sub-01_T2x.nii.gz" in done.stdout, done.stderr
    assert found == []


@pytest.mark.slow
def test_the_group_level_reaches_nobody(tmp_path):
    words = ["-c", DEMO, str(tmp_path / "study"), "--study", "one_arm"]
    done, found, n_processes = python(tmp_path / "watched", *words)
    assert (done.returncode, found) == (0, []), done.stderr[-500:]
    assert n_processes > 2
