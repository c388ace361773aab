"""Jobs for a cluster: one task per participant, and the group level when all have ended."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from bids_utils.derivatives import write_text
from bids_utils.errors import SettingsError, ToolError
from configs.settings import Settings, dump_settings
from workflows.cluster import SCHEDULERS, Scheduler, load_cluster
from workflows.cluster_jobs import GROUP, new_folder, write_manifest
from workflows.cluster_scripts import Job, job_script, split_labels, submit_script
from workflows.options import Options, job_words
from workflows.standing import Standing

SUBMIT_SCRIPT = "submit.sh"


def chosen_scheduler(options: Options) -> Scheduler:
    """The scheduler that was asked for.

    Raises
    ------
    SettingsError
        None was, or the options contradict each other.
    """
    if options.scheduler is None:
        raise SettingsError(f"submit: give --scheduler, one of {', '.join(SCHEDULERS)}")
    if options.scheduler == "pbs" and options.go:
        raise SettingsError(
            "--go: the scripts for PBS were never tried on a PBS server; leave --go out, read "
            f"the scripts, and start them with: bash {SUBMIT_SCRIPT}"
        )
    return options.scheduler


def labels_to_submit(found: Mapping[str, Standing], with_failed: bool) -> list[str]:
    """Participants who need a job: not those who are done or have one, failed ones if asked for."""
    wanted = ("not started", "failed") if with_failed else ("not started",)
    return [label for label, one in found.items() if label != GROUP and one.status in wanted]


def write_jobs(
    labels: Sequence[str], options: Options, settings: Settings, earlier: Sequence[str]
) -> Path:
    """Write scripts, manifest and settings of a submission; returns their folder.

    The settings are kept as they are now, so that all tasks use the same.

    Parameters
    ----------
    labels : sequence of str
        Participants, one task each.
    options : Options
        With a scheduler.
    settings : Settings
        Of the study.
    earlier : sequence of str
        Numbers of jobs that are still at work; the group level waits for them too.
    """
    scheduler, cluster = chosen_scheduler(options), load_cluster(options.cluster)
    folder = new_folder(options.output_dir)
    settings_file = folder / "settings.yaml"
    write_text(dump_settings(settings, folder), settings_file)
    words = job_words(options, "participant", settings_file)
    parts = enumerate(split_labels(labels), start=1)
    jobs = [Job(f"participants{n}", part, cluster.participant, words) for n, part in parts]
    jobs.append(Job("group", None, cluster.group, job_words(options, "group", settings_file)))
    for job in jobs:
        write_text(job_script(job, folder, scheduler, cluster), folder / job.script)
    write_manifest(jobs, folder, scheduler, cluster)
    write_text(submit_script(jobs, scheduler, earlier), folder / SUBMIT_SCRIPT)
    return folder


def open_jobs(found: Mapping[str, Standing], scheduler: Scheduler) -> list[str]:
    """Numbers of the jobs of a scheduler that are running or waiting."""
    tasks = [one.task for one in found.values() if one.is_open and one.task is not None]
    numbers = [task.job_id for task in tasks if task.scheduler == scheduler and task.job_id]
    return list(dict.fromkeys(numbers))


def start_jobs(folder: Path, console: Console) -> None:
    """Submit the jobs of a folder and print their numbers.

    Raises
    ------
    ToolError
        The scheduler is not here or refused a job; what it said is in the message.
    """
    done = subprocess.run(  # noqa: S603
        ["/bin/bash", str(folder / SUBMIT_SCRIPT)], capture_output=True, text=True, check=False
    )
    console.print(done.stdout.rstrip(), highlight=False, soft_wrap=True)
    if done.returncode:
        raise ToolError(
            f"{folder / SUBMIT_SCRIPT} ended with exit code {done.returncode}: "
            f"{done.stderr.strip()}; look at the cluster file (--cluster), then submit again"
        )
