"""The recipe for a new measure works as it is written."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_blocks import REPOSITORY, blocks

from bids_utils.derivatives import read_table, write_table

PLACE = re.compile(r"^(New file|Change) `([^`]+)`:$")
GRAPH = """
from configs.settings import AnatSettings
from workflows.anat import ANAT_OUTPUTS, init_regions_wf
workflow = init_regions_wf(AnatSettings())
made = workflow.get_node("outputnode").outputs.copyable_trait_names()
assert "asymmetry_files" in made
assert {row.field for row in ANAT_OUTPUTS if row.suffix == "morph"} <= {*made, "thickness_files"}
"""
FROM_VOLUMES = """
import os, sys
from pathlib import Path
import pandas as pd
from nipype.pipeline.engine import Node
from bids_utils.derivatives import write_table
from workflows.interfaces.asymmetry import RegionAsymmetry
from workflows.interfaces.derived_connectivity import FunctionRule
from workflows.interfaces.derived_files import derived_files
from workflows.interfaces.derived_measures import collect, with_sources
volumes, made, measures = map(Path, sys.argv[1:])
node = Node(RegionAsymmetry(in_file=str(volumes)), "asymmetry", base_dir=str(made.parent))
os.replace(node.run().outputs.out_file, made)
row = dict(participant_id="01", session_id="pre", modality="T1w", run="sub-01_ses-pre_T1w")
ledger = pd.DataFrame([row | dict(status="used", days_from_baseline=0.0, reason=None)])
files = derived_files(made.parent.glob("*.tsv"))
found = collect(with_sources(ledger), files, FunctionRule("A", 4.0))
assert not found.broken, found.broken
write_table(found.measures, measures)
"""


def changed(text, diff):
    """Text after a change; what is taken away and what stays must be there once."""
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    assert text.count(before) == 1, f"not there once:\n{before}"
    return text.replace(before, after)


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the program with all blocks of the page, and the check that the page has."""
    root, place, checks = tmp_path_factory.mktemp("extended"), "", []
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("bids_utils", "configs", "workflows"):
        shutil.copytree(REPOSITORY / name, root / name, ignore=ignored)
    for block in blocks(REPOSITORY / "docs" / "extend.md"):
        named = PLACE.match(block.above)
        place = named[2] if named else place
        file = root / place
        if named and named[1] == "New file":
            file.write_text(block.text, encoding="utf-8")
        elif block.language == "diff":
            file.write_text(changed(file.read_text(encoding="utf-8"), block.text), encoding="utf-8")
        elif block.language == "python":
            checks.append(block.text)
    return root, checks


def run(root, code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root), "NO_ET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_check_of_the_page_holds_and_the_new_field_is_saved(extended):
    root, [check] = extended
    run(root, check + GRAPH)


def test_the_check_of_the_page_can_fail(extended):
    root, [check] = extended
    with pytest.raises(AssertionError):
        run(root, check.replace("[100.0]", "[-100.0]"))


def test_the_new_measure_comes_from_a_table_of_volumes_to_the_table_of_measures(extended, tmp_path):
    stem = tmp_path / "sub-01_ses-pre"
    morph = Path(f"{stem}_atlas-A_desc-volume_morph.tsv")
    regions = pd.DataFrame({"region": ["rh_b", "lh_b", "x"], "structure": "subcortex"})
    errors = {f"{name}_standard_error": 0.1 for name in ("volume", "deformation")}
    sizes = {"volume": 2.0, "deformation": [2.0, 6.0, 3.0], "residual": 1.0}
    write_table(regions.assign(**sizes, **errors), morph)
    lines = regions.assign(thickness=np.nan)
    write_table(lines, Path(f"{stem}_atlas-A_desc-thickness_morph.tsv"))
    totals = pd.DataFrame({"measure": ["brain_ml"], "value": [1100.0]})
    write_table(totals, Path(f"{stem}_desc-tissue_morph.tsv"))
    made = f"{stem}_atlas-A_desc-asymmetry_morph.tsv"
    run(extended[0], FROM_VOLUMES, morph, made, tmp_path / "measures.tsv")
    found = read_table(tmp_path / "measures.tsv").query("measure == 'asymmetry'")
    assert found[["region", "value", "unit", "atlas"]].to_numpy().tolist() == [
        ["b", 100.0, "percent", "A"]
    ]
