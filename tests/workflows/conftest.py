"""What tests of the program share."""

import pytest

from bids_utils.plan import BoldRun, ParticipantPlan, SessionPlan


@pytest.fixture
def participant(tmp_path):
    """Plan of somebody with a T1w image and a BOLD run before treatment, and nothing after it."""
    for name in ("t1w", "bold"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    run = BoldRun(tmp_path / "bold", (("sub", "01"), ("ses", "pre"), ("task", "rest")), 2.0, 100)
    first = SessionPlan("pre", 0.0, tmp_path / "t1w", (run,))
    return ParticipantPlan("01", (first, SessionPlan("post", 80.0, None, ())))
