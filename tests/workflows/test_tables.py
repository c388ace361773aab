"""Tables on the terminal: who stands how, why, in which job, and where its log is."""

from pathlib import Path

import pandas as pd

from bids_utils.plan import Plan
from workflows.cluster_jobs import GROUP, Task
from workflows.standing import Standing
from workflows.tables import counts, plan_table, status_table
from workflows.terminal import PlainConsole

OUT = Path("/out")
PLACE = OUT / "logs" / "jobs" / "0002"
TASK = Task("02", PLACE, PLACE / "participants1_2.log", "slurm", "40", 2, 4.0, 4.0)
FAILED = Standing("failed", ("time limit: 4 h [were] not enough", "anat, n4"), TASK)


def printed(found):
    console = PlainConsole(width=200)
    with console.capture() as capture:
        console.print(status_table(found, OUT))
    return capture.get()


def test_without_jobs_there_is_nothing_about_jobs():
    text = printed({"01": Standing("done"), "02": Standing("failed", ("n4: too dark",))})
    assert "n4: too dark" in text
    assert "job" not in text


def test_a_job_is_named_with_its_log_as_seen_from_the_output():
    text = printed({"01": Standing("done"), "02": FAILED, GROUP: Standing("waiting")})
    row = next(line for line in text.splitlines() if "sub-02" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells == [
        "sub-02",
        "failed",
        "time limit: 4 h [were] not enough",
        "40_2",
        "logs/jobs/0002/participants1_2.log",
    ]
    assert "group level" in text.splitlines()[-2]


def test_a_session_without_images_is_told_without_a_kind_of_image():
    gone = {"participant_id": "sub-01", "session_id": "ses-pre", "modality": None}
    row = gone | {"status": "missing", "reason": "no images", "days_from_baseline": 0.0}
    console = PlainConsole(width=200)
    with console.capture() as capture:
        console.print(plan_table(Plan((), pd.DataFrame([row]))))
    assert "│ missing: no images" in capture.get()


def test_counts_are_of_participants_and_in_a_fixed_order():
    found = {"01": FAILED, "02": Standing("done"), "03": Standing("done"), GROUP: Standing("done")}
    assert counts(found) == "3 planned: 2 done, 1 failed"
    assert counts({}) == "nobody is planned"
