"""Options turned into the words of a command line, which mean the same when they are read again."""

from pathlib import Path

import pytest

from workflows.cli import _options, build_parser
from workflows.options import job_words

OPTIONS = [
    *("--participant-label", "01", "02", "--session-label", "pre", "post", "--task-id", "rest"),
    *("--bids-filter-file", "filters.json", "-d", "fmriprep=a b/c", "-d", "other"),
    *("--clean-workdir", "--stop-on-first-crash", "-vv", "-w", "w"),
]


def read(words):
    return _options(build_parser().parse_args(words))


@pytest.mark.parametrize("level", ["participant", "group"])
def test_a_job_does_what_was_asked_for_from_any_folder(level, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = read(["my bids", "out", "submit", "--scheduler", "slurm", "--settings", "s", *OPTIONS])
    words = job_words(asked, level, Path("/kept/settings.yaml"))
    monkeypatch.chdir("/")
    job = read(list(words))
    assert (job.bids_dir, job.output_dir) == (tmp_path / "my bids", tmp_path / "out")
    assert job.level == level
    assert job.settings == Path("/kept/settings.yaml")
    assert job.work_dir == tmp_path / "w"
    assert job.bids_filter_file == tmp_path / "filters.json"
    assert job.derivatives == (f"fmriprep={tmp_path}/a b/c", f"auto={tmp_path}/other")
    same = ("session_label", "task_id", "clean_workdir", "stop_on_first_crash", "verbose")
    assert [getattr(job, name) for name in same] == [getattr(asked, name) for name in same]
    assert job.participant_label == ()
    assert job.skip_bids_validation


def test_little_is_said_where_little_was_asked_for(tmp_path):
    asked = read([f"{tmp_path}/b", f"{tmp_path}/o", "submit"])
    assert job_words(asked, "participant", tmp_path / "s.yaml") == (
        *(f"{tmp_path}/b", f"{tmp_path}/o", "participant", "--settings", f"{tmp_path}/s.yaml"),
        *("--work-dir", f"{tmp_path}/o/work", "--skip-bids-validation"),
    )
