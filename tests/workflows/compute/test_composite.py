"""A composite of several scores."""

import numpy as np
import pandas as pd
import pytest

from workflows.compute.composite import PART_COLUMNS, CompositeSpec, composite_score
from workflows.compute.problems import ModelError
from workflows.compute.scale import Scale

WORSE = CompositeSpec("distress", (Scale("bdi"), Scale("wellbeing", better="higher")))


def table(**scores):
    rows = [
        (str(who), session, score, value)
        for score, sessions in scores.items()
        for session, values in sessions.items()
        for who, value in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows, columns=["participant_id", "session_id", "score", "value"])


@pytest.fixture
def scores():
    # baseline: bdi 10, 20, 30 (mean 20, SD 10); well-being 6, 4, 2 (mean 4, SD 2)
    return table(
        bdi={"post": [10.0, 15, np.nan], "pre": [10.0, 20, 30]},
        wellbeing={"pre": [6.0, 4, 2], "post": [6.0, 8, np.nan]},
        other={"pre": [1.0, 2, 3]},
    )


def values(rows):
    return rows.set_index(["participant_id", "session_id"])["value"].to_dict()


def test_composite_by_hand(scores):
    found = composite_score(scores, WORSE, "pre")
    got = values(found.rows)
    assert [got[who, "pre"] for who in "123"] == pytest.approx([-1, 0, 1])
    # (15 - 20) / 10 = -.5 and -(8 - 4) / 2 = -2
    assert got["2", "post"] == pytest.approx(-1.25)
    assert np.isnan(got["3", "post"])
    assert found.rows["score"].unique().tolist() == ["distress"]
    assert found.problems == ()


def test_parts_say_how_they_were_standardised(scores):
    parts = composite_score(scores, WORSE, "pre").parts
    assert list(parts.columns) == PART_COLUMNS
    assert parts.iloc[:, :5].to_numpy().tolist() == [
        ["bdi", 1, 3, 20, 10],
        ["wellbeing", -1, 3, 4, 2],
    ]
    # perfectly correlated: equal weights, one component
    np.testing.assert_allclose(parts["first_component_weight"], np.sqrt(0.5))
    np.testing.assert_allclose(parts["first_component_share"], 1)


def test_the_composite_can_be_turned_around(scores):
    spec = CompositeSpec("wellness", WORSE.parts, better="higher")
    turned = composite_score(scores, spec, "pre").rows["value"]
    np.testing.assert_allclose(turned, -composite_score(scores, WORSE, "pre").rows["value"])


def test_the_unit_of_a_part_does_not_matter(scores):
    scaled = scores.assign(
        value=scores["value"].where(scores["score"] != "bdi", 7 * scores["value"] + 3)
    )
    pd.testing.assert_frame_equal(
        composite_score(scaled, WORSE, "pre").rows, composite_score(scores, WORSE, "pre").rows
    )


def test_who_lacks_too_many_parts_has_none_and_mixed_parts_are_named(scores):
    lost = scores[~((scores["score"] == "wellbeing") & (scores["session_id"] == "post"))]
    loose = composite_score(lost, WORSE, "pre")
    assert values(loose.rows)["2", "post"] == pytest.approx(-0.5)
    assert loose.rows["n_parts"].tolist().count(1) == 2
    assert [p.what for p in loose.problems] == [
        "2 participant(s) have other parts in one session than in another"
    ]
    spec = CompositeSpec("distress", WORSE.parts, min_share=1)
    strict = composite_score(lost, spec, "pre")
    assert np.isnan(values(strict.rows)["2", "post"])
    assert strict.problems == ()


def test_a_part_that_does_not_vary_is_left_out_and_named():
    scores = table(a={"pre": [1.0, 2, 3, 4]}, b={"pre": [5.0, 5, 5, 5]}, c={"pre": [2.0, 1, 4, 3]})
    spec = CompositeSpec("x", (Scale("a"), Scale("b"), Scale("c")))
    found = composite_score(scores, spec, "pre")
    assert [p.what for p in found.problems] == [
        "'b' does not vary at baseline and is no part of it"
    ]
    assert found.rows["n_parts"].tolist() == [2, 2, 2, 2]
    assert found.parts["first_component_weight"].isna().tolist() == [False, True, False]


def test_one_part_is_no_composite(scores):
    spec = CompositeSpec("x", (Scale("bdi"), Scale("nothing")))
    with pytest.raises(ModelError, match="1 of its parts vary at ses-pre"):
        composite_score(scores, spec, "pre")
    with pytest.raises(ValueError, match="parts: at least two different scores"):
        CompositeSpec("x", (Scale("bdi"), Scale("bdi")))
    with pytest.raises(ValueError, match="min_share: above 0"):
        CompositeSpec("x", WORSE.parts, min_share=0)


def test_two_rows_for_one_score_are_refused(scores):
    with pytest.raises(ValueError, match="one row for a participant"):
        composite_score(pd.concat([scores, scores]), WORSE, "pre")
