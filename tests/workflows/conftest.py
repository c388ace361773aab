"""What tests of the program share."""

import os
from pathlib import Path

import pytest

from bids_utils.plan import BoldRun, ParticipantPlan, SessionPlan


@pytest.fixture(scope="session")
def trial(tmp_path_factory):
    """Folder of the demo, run from images to report; BRAINDELTA_TRIAL names one that is made."""
    from workflows.demo import main

    if "BRAINDELTA_TRIAL" in os.environ:
        return Path(os.environ["BRAINDELTA_TRIAL"]).resolve()
    root = tmp_path_factory.mktemp("trial")
    assert main([str(root), "--nprocs", "2"]) == 0
    return root


@pytest.fixture
def participant(tmp_path):
    """Plan of somebody with a T1w image and a BOLD run before treatment, and nothing after it."""
    for name in ("t1w", "bold"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    run = BoldRun(tmp_path / "bold", (("sub", "01"), ("ses", "pre"), ("task", "rest")), 2.0, 100)
    first = SessionPlan("pre", 0.0, tmp_path / "t1w", (run,))
    return ParticipantPlan("01", (first, SessionPlan("post", 80.0, None, ())))
