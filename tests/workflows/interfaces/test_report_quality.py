"""The chapter on quality of the group report: what is said of motion."""

import numpy as np
import pandas as pd
import pytest

from bids_utils.derivatives import write_table
from workflows.compute.qc_fc import STATISTICS
from workflows.interfaces.group_results import read_results
from workflows.interfaces.report_quality import MORE, NO_MORE, qc_fc_sentence, quality_chapter

ENDS = {"modality": "bold", "baseline": "ses-pre", "followup": "ses-post"}


@pytest.fixture
def table():
    """The three numbers of 29 people."""
    rows = pd.DataFrame(
        {
            "statistic": STATISTICS,
            "value": [0.21, 0.14, -0.3],
            "ci_low": [0.15, 0.08, -0.4],
            "ci_high": [0.27, 0.2, -0.2],
            "chance_low": [0.1, 0.02, -0.09],
            "chance_high": [0.16, 0.09, 0.08],
            "p": [0.001, 0.004, 0.001],
            "n": 29,
            "n_edges": 3403,
        }
    )
    return rows.assign(**ENDS)


def plain(rows):
    return rows.assign(baseline="pre", followup="post")


def test_a_sentence_gives_each_number_with_interval_and_chance(table):
    assert qc_fc_sentence(plain(table)) == (
        "bold, ses-pre to ses-post, 29 people: median |r| 0.21 [0.15, 0.27] (chance: 0.10 to "
        "0.16); 14 % of 3403 edges have p < .05 (5 % are expected; chance: 2 to 9 %); "
        f"correlation of r with distance -0.30 [-0.40, -0.20] (chance: -0.09 to 0.08). {MORE}"
    )


def test_what_chance_makes_too_is_called_so_and_unknown_distances_are_left_out(table):
    rows = plain(table).assign(p=[0.3, 0.2, np.nan])
    rows.loc[2, ["value", "ci_low", "ci_high"]] = np.nan
    said = qc_fc_sentence(rows)
    assert said.endswith(NO_MORE)
    assert "distance" not in said


def test_too_few_people_are_said(table):
    rows = plain(table).assign(value=np.nan, p=np.nan, n=4)
    assert qc_fc_sentence(rows).startswith("bold, ses-pre to ses-post: 4 people are too few")


def test_the_chapter_has_the_numbers_a_picture_and_a_caution_for_few_people(table, tmp_path):
    edges = pd.DataFrame({"region_a": "a", "region_b": ["b", "c"], "atlas": "Mine", **ENDS})
    edges = edges.assign(distance_mm=[20.0, 60.0], r=[0.3, -0.1], p=[0.1, 0.6], n=8)
    write_table(edges, tmp_path / "group" / "qc_fc_edges.tsv")
    write_table(table.assign(n=8), tmp_path / "group" / "qc_fc.tsv")
    (part,) = quality_chapter(read_results(tmp_path)).parts
    assert part.title == "Motion and change of connectivity (QC-FC)"
    assert part.cautions == ("Fewer than 10 people: these numbers say little.",)
    assert "8 people: median |r| 0.21" in part.lines[1].sentence
    (picture,) = part.pictures
    assert picture.alt.endswith("over distance, bold, ses-pre to ses-post")
    assert [sheet.title for sheet in part.sheets] == ["qc fc"]
    (tmp_path / "group" / "qc_fc.tsv").unlink()
    assert quality_chapter(read_results(tmp_path)).parts == ()
