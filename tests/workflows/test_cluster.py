"""The file that describes a cluster: what is allowed in it, and what a mistake is told."""

import re
from pathlib import Path

import pytest

from bids_utils.errors import SettingsError
from workflows.cli import SCHEDULERS as OFFERED
from workflows.cluster import SCHEDULERS, ClusterSettings, load_cluster


@pytest.fixture
def load(tmp_path):
    """Return a function that reads a description of a cluster from its text."""

    def load(text):
        (tmp_path / "cluster.yaml").write_text(text, encoding="utf-8")
        return load_cluster(tmp_path / "cluster.yaml")

    return load


def test_without_a_file_a_task_gets_two_cores_four_gib_and_four_hours():
    asked = load_cluster(None).participant
    assert (asked.cpus, asked.memory_mb, asked.time_s) == (2, 4096, 14400)


def test_participants_and_group_ask_for_their_own(load):
    found = load("participant: {memory_gb: 1.5, time_hours: 0.5}\ngroup: {cpus: 8}\n")
    assert (found.participant.memory_mb, found.participant.time_s) == (1536, 1800)
    assert (found.group.cpus, found.participant.cpus) == (8, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("memory_gb: 4", "memory_gb: unknown key"),
        ("participant: {memory_bg: 4}", "did you mean 'memory_gb'?"),
        ("participant: {memory_gb: 0}", "participant.memory_gb"),
        ("participant: {cpus: 1.5}", "participant.cpus"),
        ("queue: 'short; rm'", "queue"),
        ("directives: ['#SBATCH --qos=low']", "without these words"),
        ('directives: ["--qos=low\\nreboot"]', "one option a row"),
        ("command: 'apptainer run \"x.sif'", "No closing quotation"),
        ("command: ''", "the words of one command"),
        ("- slurm", "expected sections such as 'participant:'"),
    ],
)
def test_a_mistake_is_named_with_the_file(load, text, words):
    with pytest.raises(SettingsError, match="cluster.yaml") as caught:
        load(text)
    assert words in str(caught.value)


def test_the_command_line_offers_the_schedulers_that_there_are():
    assert OFFERED == SCHEDULERS


def test_a_description_of_a_cluster_holds_nothing_of_the_science():
    assert set(ClusterSettings.model_fields) == {
        "participant",
        "group",
        "queue",
        "account",
        "max_running",
        "parallel_environment",
        "directives",
        "setup",
        "command",
    }


def test_what_the_documentation_shows_is_a_description_of_a_cluster(load):
    page = Path(__file__).parents[2] / "docs" / "clusters.md"
    blocks = re.findall(r"```yml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    found = [load(block) for block in blocks]
    assert found[0].participant == found[0].group == ClusterSettings().participant
    assert found[0].setup == ("module load python/3.12",)
    assert found[1].command.startswith("apptainer run")
