"""Submitting: for whom a job is written, with which settings, and what is refused."""

import subprocess

import pytest
from rich.console import Console

from bids_utils.errors import SettingsError, ToolError
from configs.settings import Settings, load_settings
from workflows import submit
from workflows.cluster_jobs import GROUP, Task, read_manifest
from workflows.options import Options
from workflows.standing import Standing

FOUND = {
    "01": Standing("done"),
    "02": Standing("running"),
    "03": Standing("waiting"),
    "04": Standing("failed", ("n4",)),
    "05": Standing("not started"),
    GROUP: Standing("not started"),
}


@pytest.fixture
def options(tmp_path):
    places = (tmp_path / "bids", tmp_path / "out")
    return Options(*places, "submit", tmp_path / "work", scheduler="slurm")


def test_only_those_who_were_not_started_get_a_job():
    assert submit.labels_to_submit(FOUND, with_failed=False) == ["05"]


def test_failed_ones_get_a_job_when_asked_for_and_never_the_done_or_those_at_work():
    assert submit.labels_to_submit(FOUND, with_failed=True) == ["04", "05"]


def test_the_settings_are_kept_as_they_were(options):
    settings = Settings(random_seed=7)
    folder = submit.write_jobs(["01"], options, settings, [])
    assert load_settings(folder / "settings.yaml") == settings
    assert f"--settings\n    {folder}/settings.yaml" in (folder / "participants1.sh").read_text()


def test_a_submission_holds_all_that_it_needs(options):
    labels = [f"{n:04d}" for n in range(1, 1003)]
    folder = submit.write_jobs(labels, options, Settings(), ["39"])
    names = {file.name for file in folder.iterdir()}
    scripts = {"participants1.sh", "participants2.sh", "group.sh", "submit.sh"}
    assert names == {*scripts, "manifest.tsv", "manifest.json", "settings.yaml"}
    for script in scripts:
        subprocess.run(["bash", "-n", folder / script], check=True)
    tasks = read_manifest(folder)
    assert [task.label for task in tasks] == [*labels, GROUP]
    assert tasks[1000].log_file == folder / "participants2_1.log"
    assert "jobs=39\n" in (folder / "submit.sh").read_text(encoding="utf-8")


def test_the_group_level_is_of_everybody(options):
    folder = submit.write_jobs(["05"], options, Settings(), [])
    assert "--participant-label" not in (folder / "group.sh").read_text(encoding="utf-8")


def test_the_group_waits_for_jobs_that_are_still_at_work(tmp_path):
    def task(job_id, scheduler="slurm"):
        return Task("01", tmp_path, tmp_path / "x.log", scheduler, job_id, 1, 4.0, 4.0)

    found = {
        "01": Standing("running", (), task("40")),
        "02": Standing("waiting", (), task("40")),
        "03": Standing("failed", (), task("38")),
        "04": Standing("waiting", (), task("7", "sge")),
        "05": Standing("running"),
        GROUP: Standing("waiting", (), task("41")),
    }
    assert submit.open_jobs(found, "slurm") == ["40", "41"]


def test_a_scheduler_has_to_be_named(options):
    with pytest.raises(SettingsError, match="--scheduler, one of slurm, sge, pbs"):
        submit.chosen_scheduler(
            Options(options.bids_dir, options.output_dir, "submit", options.work_dir)
        )


def test_scripts_for_pbs_are_written_and_not_submitted(options, tmp_path):
    places = (options.bids_dir, options.output_dir, "submit", options.work_dir)
    assert submit.chosen_scheduler(Options(*places, scheduler="pbs")) == "pbs"
    with pytest.raises(SettingsError, match="never tried on a PBS server"):
        submit.chosen_scheduler(Options(*places, scheduler="pbs", go=True))


def test_a_scheduler_that_refuses_is_quoted(options, tmp_path, monkeypatch):
    folder = submit.write_jobs(["01"], options, Settings(), [])
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho 'invalid partition' >&2\nexit 1\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ToolError, match="invalid partition") as caught:
        submit.start_jobs(folder, Console())
    assert str(folder / "submit.sh") in str(caught.value)
