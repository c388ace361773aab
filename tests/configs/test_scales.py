"""Scales: every number has a source, and a study may know better."""

import re

import pytest
import yaml
from pydantic import ValidationError

from bids_utils.errors import SettingsError
from configs.scales import FILE, ScaleRecord, complete_score, find_scale, known_scales

ENTRY = {
    "name": "X",
    "full_name": "Example",
    "better": "lower",
    "minimum": 0,
    "maximum": 10,
    "citation": "Nobody 1999",
}


def test_all_scales_are_valid_and_their_names_differ():
    names = [name for scale in known_scales() for name in (scale.name, *scale.aliases)]
    plain = ["".join(c for c in name.lower() if c.isalnum()) for name in names]
    assert len(known_scales()) == len(yaml.safe_load(FILE.read_text())) == 31
    assert len(set(plain)) == len(plain)


@pytest.mark.parametrize("scale", known_scales(), ids=lambda scale: scale.name)
def test_each_number_has_a_citation_with_a_year(scale):
    filled = dict(complete_score({"name": "s", "scale": scale.name}).sources)
    given = complete_score({"name": "s", "scale": scale.name}).model_dump(
        exclude={"name", "scale", "sources"}, exclude_none=True
    )
    without = {key for key in given if key not in filled}
    assert without <= {"response_pct"}
    assert all(re.search(r"\b(19|20)\d\d\b", text) for text in filled.values())


@pytest.mark.parametrize("key", ["reliability", "remission", "norm"])
def test_a_number_without_citation_is_refused(key):
    value = {"value": 0.5, "kind": "test-retest"} if key == "reliability" else {"value": 5}
    value = {"mean": 3, "sd": 1, "who": "all"} if key == "norm" else value
    with pytest.raises(ValidationError, match="citation"):
        ScaleRecord.model_validate(ENTRY | {key: value})


@pytest.mark.parametrize("name", ["bdi-ii", "BDI II", "BDIII", "BDI-II"])
def test_case_and_hyphens_of_a_name_do_not_matter(name):
    assert find_scale(name).name == "BDI-II"


def test_an_alias_finds_its_scale():
    assert find_scale("HDRS-17").full_name == "Hamilton Rating Scale for Depression, 17 items"


def test_an_unknown_scale_gets_the_nearest_names():
    with pytest.raises(SettingsError, match="'PHQ-8' is unknown; did you mean 'PHQ-9'"):
        find_scale("PHQ-8")


def test_published_cut_offs():
    # HAM-D and BDI: Frank et al. 1991; MADRS below 10: Hawley et al. 2002; Y-BOCS: Mataix-Cols 2016
    found = {
        name: complete_score({"name": "s", "scale": name}).remission
        for name in ("HAM-D-17", "BDI", "MADRS", "QIDS-SR16", "PHQ-9", "Y-BOCS", "GAD-7")
    }
    assert found == {
        "HAM-D-17": 7,
        "BDI": 8,
        "MADRS": 9,
        "QIDS-SR16": 5,
        "PHQ-9": 4,
        "Y-BOCS": 12,
        "GAD-7": None,
    }
    assert complete_score({"name": "s", "scale": "Y-BOCS"}).response_pct == 35


def test_what_the_study_gives_beats_the_scale_and_names_no_source():
    score = complete_score(
        {"name": "bdi", "scale": "BDI-II", "remission": 13, "maximum": None, "role": "outcome"}
    )
    assert (score.remission, score.maximum, score.reliability) == (13, 63, 0.93)
    assert "remission" not in dict(score.sources)
    assert dict(score.sources)["reliability"].endswith("(test-retest, 1 week, 26 outpatients)")


def test_without_a_scale_only_the_defaults_are_filled():
    score = complete_score({"name": "worry"})
    assert score.model_dump(exclude_none=True) == {
        "name": "worry",
        "better": "lower",
        "response_pct": 50.0,
        "sources": (),
    }


def test_a_mean_is_never_joined_with_the_deviation_of_another_sample():
    with pytest.raises(SettingsError, match="give norm_mean and norm_sd together"):
        complete_score({"name": "phq", "scale": "PHQ-9", "norm_mean": 4.0})
    own = complete_score({"name": "p", "scale": "PHQ-9", "norm_mean": 4.0, "norm_sd": 2.0})
    assert (own.norm_mean, own.norm_sd) == (4.0, 2.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scale": "BDI-II", "better": "higher"}, "on the scale BDI-II lower values are better"),
        ({"minimum": 10, "maximum": 3}, "minimum 10 is not below maximum 3"),
        ({"scale": "BDI-II", "remission": 70}, "remission 70 lies outside the scale's range"),
        (
            {"norm_mean": 20, "norm_sd": 5, "clinical_mean": 10, "clinical_sd": 5},
            "norm_mean 20 is not better than clinical_mean 10",
        ),
    ],
)
def test_contradictions_are_refused(given, message):
    with pytest.raises(SettingsError, match=message):
        complete_score({"name": "s"} | given)


def test_where_higher_is_better_the_norm_lies_above():
    means = {"norm_mean": 20, "norm_sd": 5, "clinical_mean": 10, "clinical_sd": 5}
    assert complete_score({"name": "s", "better": "higher"} | means).clinical_mean == 10
