"""Each shell block of README and docs runs as it is written, or says why it cannot."""

import re
import subprocess
import sys

import pytest
from markdown_blocks import blocks, pages
from worlds import environment, make_world

SHELL = {"", "sh", "bash", "console"}
RUN = re.compile(r"^<!-- run: (\w+)(?:; exit (\d+))?(; after group)? -->$")
NOT_RUN = re.compile(r"^<!-- not run: \S.{9,} -->$")
GROUP = "braindelta BIDS_DIR OUTPUT_DIR group --measures table.tsv --settings study.yaml"
FOUND = [block for page in pages() for block in blocks(page)]
SHELL_BLOCKS = [block for block in FOUND if block.language in SHELL]
RUNNABLE = [block for block in FOUND if RUN.match(block.above)]


@pytest.mark.parametrize("block", SHELL_BLOCKS, ids=str)
def test_each_shell_block_is_run_or_says_why_not(block):
    assert RUN.match(block.above) or NOT_RUN.match(block.above), (
        f"{block}: put <!-- run: WORLD --> or <!-- not run: why --> above it"
    )


@pytest.mark.slow
@pytest.mark.parametrize("block", RUNNABLE, ids=str)
def test_the_block_runs_as_written(block, tmp_path):
    world, code, after = RUN.match(block.above).groups()
    make_world(world, tmp_path)
    variables = environment(tmp_path)
    if after:
        subprocess.run(["bash", "-c", GROUP], cwd=tmp_path, env=variables, check=True)
    command = [sys.executable, "-c"] if block.language == "python" else ["bash", "-eu", "-c"]
    done = subprocess.run(
        [*command, block.text],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == int(code or 0), f"{block}\n{done.stdout}\n{done.stderr}"


def test_some_blocks_are_run():
    assert len(RUNNABLE) >= 5
