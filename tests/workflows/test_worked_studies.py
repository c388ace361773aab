"""The worked studies of the documentation run and recover what was planted."""

import pandas as pd
import pytest
from explained_columns import unexplained

from bids_utils.derivatives import read_table
from workflows.compute.made_up_study import STUDIES
from workflows.demo import main as demo

NEXT = "process before the outcome of the next session"
# A mediator that ends with the outcome is told as a problem.
CODES = dict.fromkeys(STUDIES, 0) | {"two_arms": 10}


def interval(models, row):
    table = read_table(models / f"{row.table}.tsv")
    if row.table.startswith("mechanism"):
        table = table[table["path"] == row.term]
    elif row.table.startswith("process"):
        table = table[(table["analysis"] == NEXT) & table["term"].str.startswith("within")]
    else:
        where = table["region"].fillna(table["measure"])
        table = table[(table["term"] == row.term) & (where == row.region)]
    assert len(table) == 1
    return table.iloc[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_a_worked_study_recovers_its_truth_in_tables_that_are_explained(name, tmp_path):
    assert demo([str(tmp_path), "--study", name]) == CODES[name]
    models = tmp_path / "derivatives" / "group" / "models"
    assert (models.parent / "report.html").stat().st_size > 100_000
    truth = read_table(tmp_path / "truth.tsv")
    covered = []
    for row in truth.itertuples():
        found = interval(models, row)
        half = (found["ci_high"] - found["ci_low"]) / 2
        assert abs(found["estimate"] - row.value) < 1.6 * half
        assert (found["ci_low"] > 0) == (row.value > 0)
        covered.append(found["ci_low"] <= row.value <= found["ci_high"])
    assert pd.Series(covered).mean() >= 0.5
    assert list(unexplained(tmp_path / "derivatives")) == []


def test_each_design_has_its_settings_and_its_words_in_the_documentation(pytestconfig):
    root = pytestconfig.rootpath
    text = (root / "docs" / "studies.md").read_text(encoding="utf-8")
    for name in STUDIES:
        assert (root / "configs" / "studies" / f"{name}.yaml").is_file()
        assert f"{name}.yaml" in text
