"""Each term is called what it is."""

import pandas as pd
import pytest

from workflows.compute.term_words import (
    estimate_text,
    is_association,
    kind_of_place,
    measure_name,
    moderator_of,
    place_name,
    strongest,
    subject_text,
    term_kind,
)


def row(**changes):
    plain = {
        "term": "CBT - WL",
        "modality": "T1w",
        "measure": "volume",
        "atlas": "A",
        "region": "r0",
        "unit": "ml",
        "effect_size_name": "Hedges g",
        "formula": "change ~ arm",
        "note": "",
        "p": 0.1,
    }
    return pd.DataFrame([plain | changes])


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("difference", {}),
        ("difference", {"term": "CBT - WL at ses-fu"}),
        ("difference", {"term": "CBT - WL per week"}),
        ("simple", {"term": "CBT - WL at age - 1 SD"}),
        ("simple", {"term": "CBT - WL at sex = female"}),
        ("mean", {"term": "mean change", "effect_size_name": "d_z"}),
        ("slope", {"term": "attended", "effect_size_name": "partial r"}),
        ("slope", {"term": "attended:age", "effect_size_name": "partial r"}),
        ("product", {"term": "arm[CBT]:age", "effect_size_name": "partial r"}),
        ("status", {"term": "remitted - not remitted"}),
        ("correlation", {"unit": "correlation", "effect_size_name": "partial rank r"}),
    ],
)
def test_kinds_of_terms_are_told_apart(kind, changes):
    assert term_kind(row(**changes)) == kind


def test_only_relations_with_symptoms_are_associations_of_brain_and_symptoms():
    assert is_association(row(term="remitted - not remitted"))
    assert not is_association(row(term="attended", effect_size_name="partial r"))
    assert not is_association(row().iloc[:0])


def test_a_moderator_is_not_a_session():
    assert moderator_of("CBT - WL at age mean") == "age"
    assert moderator_of("CBT - WL at sex = female") == "sex"
    assert moderator_of("CBT - WL at ses-fu") == ""
    assert moderator_of("CBT - WL") == ""


@pytest.mark.parametrize(
    ("formula", "ending"),
    [
        ("rank(change) ~ rank(BDI change) | arm", ", by ranks"),
        ("followup ~ BDI followup | baseline", ", follow-up given both baselines"),
        ("followup ~ baseline + arm", ", given the baseline"),
        ("value ~ (1 | participant) + time * arm", ", all sessions"),
        ("change ~ arm", ""),
    ],
)
def test_the_way_of_asking_is_said(formula, ending):
    assert subject_text(row(formula=formula)) == f"Grey-matter volume, CBT - WL{ending}"


def test_edges_are_named_by_both_regions_and_whole_brain_measures_by_themselves():
    assert place_name(row(region="", region_a="a", region_b="b").iloc[0]) == "a – b"
    assert place_name(row(region="").iloc[0]) == "grey-matter volume"
    assert measure_name("unheard_of") == "unheard_of"


def test_the_strongest_rows_have_the_smallest_p():
    table = pd.concat([row(region=f"r{i}", p=p) for i, p in enumerate([0.3, None, 0.1, 0.2])])
    assert strongest(table, 2)["region"].tolist() == ["r2", "r3"]


def test_an_estimate_has_its_unit_and_a_correlation_its_name():
    numbers = {"estimate": -0.2, "ci_low": -0.4, "ci_high": 0.0}
    ml = estimate_text(row(**numbers).iloc[0])
    assert ml == "-0.2 ml (interval -0.4 to 0)"
    ranks = row(**numbers, unit="correlation", effect_size_name="partial rank r").iloc[0]
    assert estimate_text(ranks) == "partial rank correlation -0.2 (interval -0.4 to 0)"


@pytest.mark.parametrize(
    ("measure", "called"),
    [
        ("thickness", "region"),
        ("connectivity", "connection"),
        ("tissue_volume", "volume"),
        ("between_network", "network pair"),
        ("circuit", "circuit"),
        ("modularity", "measure"),
    ],
)
def test_places_are_called_what_they_are(measure, called):
    assert kind_of_place(row(measure=measure)) == called


@pytest.mark.parametrize(("unit", "shown"), [("ml", "+1 ml ("), ("1", "+1 ("), (None, "+1 (")])
def test_a_number_without_a_unit_gets_none(unit, shown):
    one = row(unit=unit, estimate=1.0, ci_low=0.0, ci_high=2.0).iloc[0]
    assert estimate_text(one).startswith(shown)
