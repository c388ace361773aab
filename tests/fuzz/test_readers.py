"""Whatever is in a file: a reader gives a result or an error that a person can act on."""

import logging
import tempfile
import time
from pathlib import Path

import pytest
from fuzz_targets import TARGETS
from hostile_content import mutated
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_utils.errors import PipelineError

LONGEST_S = 10.0
NEVER_READ = ("dataset description", "source description")
"""Readers that need other files too, so that these alone are always refused."""


class Choices:
    """Choices of hypothesis, which remembers those that failed."""

    def __init__(self, data):
        self.data = data

    def below(self, end):
        return self.data.draw(st.integers(0, end - 1))


def refusal(target, folder, content):
    """Message of the error a person can act on; None where the file was read."""
    try:
        target.run(Path(folder), content)
    except PipelineError as error:
        return str(error).strip()
    return None


@pytest.fixture(autouse=True)
def _quiet_nibabel():
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL + 1)


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in NEVER_READ])
def test_files_that_are_whole_are_read(name, tmp_path):
    target = TARGETS[name]
    said = [refusal(target, tmp_path / str(i), seed) for i, seed in enumerate(target.seeds)]
    assert None in said


@pytest.mark.parametrize("name", list(TARGETS))
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_hostile_content_is_read_or_refused_in_plain_words(name, data):
    target = TARGETS[name]
    seed = data.draw(st.sampled_from(target.seeds))
    content = mutated(seed, Choices(data), data.draw(st.integers(1, 4)))
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        assert refusal(target, folder, content) != ""
    assert time.monotonic() - began < LONGEST_S


@pytest.mark.parametrize("name", list(TARGETS))
@settings(max_examples=10, deadline=None, derandomize=True)
@given(content=st.binary(max_size=600))
def test_any_bytes_are_read_or_refused_in_plain_words(name, content):
    with tempfile.TemporaryDirectory() as folder:
        assert refusal(TARGETS[name], folder, content) != ""
