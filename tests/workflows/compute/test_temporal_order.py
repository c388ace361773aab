"""The order in time that a mechanism needs."""

import numpy as np
import pytest

from workflows.compute.problems import ModelError
from workflows.compute.temporal_order import (
    Measured,
    Moment,
    OrderVerdict,
    check_order,
    joint_verdict,
    moment_of,
)

ARM = Measured("arm", (Moment("before"),))
SYMPTOMS = Measured("BDI change", (Moment("before"), Moment("after")))


def at(name, *values):
    return Measured(name, tuple(moment_of(value) for value in values))


def verdict(mediator, outcome=SYMPTOMS, treatment=ARM):
    return check_order(treatment, [mediator], outcome)[0]


def test_moments_lie_on_one_line():
    line = [moment_of(value) for value in ("before", 1, 2, 10, "after")]
    for first, early in enumerate(line):
        for second, late in enumerate(line):
            assert (early < late) == (first < second)


def test_place_in_a_session_and_days_tell_moments_apart():
    start, end = moment_of(3, "start"), moment_of(3, "end")
    assert start < end
    assert not end < start
    post, followup = moment_of("after", days=90), moment_of("after", days=180)
    assert post < followup
    assert not followup < post
    assert not moment_of("after") < followup


def test_days_that_contradict_the_sessions_tell_nothing():
    first, second = moment_of(2, days=30), moment_of(3, days=20)
    assert not first < second
    assert not second < first


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("session 4", Moment("during", 4)),
        (4.0, Moment("during", 4)),
        (" After ", Moment("after")),
        ("", None),
        (np.nan, None),
        ("unknown", None),
    ],
)
def test_settings_name_moments(value, expected):
    assert moment_of(value) == expected


@pytest.mark.parametrize("value", ["midway", 0, -2, 2.5])
def test_what_is_no_moment_is_refused(value):
    with pytest.raises(ModelError, match="write before, after or the number of a session"):
        moment_of(value)


def test_a_mediator_during_treatment_may_be_a_mechanism():
    found = verdict(at("alliance", 4))
    assert found.label == "mechanism"
    assert "before 'BDI change'" in found.reason


def test_a_mediator_after_or_with_the_outcome_is_an_association():
    assert verdict(at("alliance", 4), at("BDI", 4)).label == "association"
    late = verdict(at("alliance", 6), at("BDI", 4))
    assert late.label == "association"
    assert late.reason == (
        "'alliance' (session 6) was not completely measured before 'BDI' (session 4): "
        "the outcome may have come first"
    )


def test_changes_over_the_same_time_are_an_association():
    found = verdict(at("hippocampus change", "before", "after"))
    assert found.label == "association"
    assert "changes over the same time" in found.reason


def test_an_early_change_may_carry_a_later_outcome():
    assert verdict(at("amygdala change", "before", 4)).label == "mechanism"


def test_what_was_measured_before_treatment_is_a_moderator():
    found = verdict(at("baseline volume", "before"))
    assert found.label == "not a mediator"
    assert "moderator" in found.reason


@pytest.mark.parametrize("unknown", [at("alliance", 4, ""), Measured("alliance", ())])
def test_an_unknown_moment_is_an_association(unknown):
    assert verdict(unknown).label == "association"
    assert verdict(unknown).reason == "it is not known when 'alliance' was measured"
    assert verdict(at("alliance", 4), at("BDI", None)).label == "association"


def test_a_dose_settled_after_the_mediator_cannot_cause_it():
    dose = Measured("sessions attended", (Moment("after"),))
    found = verdict(at("alliance", 4), treatment=dose)
    assert found.label == "association"
    assert "'sessions attended' is settled only at after treatment" in found.reason
    early = Measured("sessions in the first month", (Moment("during", 4),))
    assert verdict(at("alliance", 6), treatment=early).label == "mechanism"


def test_a_chain_needs_its_mediators_in_sequence():
    alliance, change = at("alliance", 4), at("rumination", 8)
    labels = [v.label for v in check_order(ARM, [alliance, change], SYMPTOMS, serial=True)]
    assert labels == ["mechanism", "mechanism"]
    turned = check_order(ARM, [change, alliance], SYMPTOMS, serial=True)
    assert [v.label for v in turned] == ["mechanism", "association"]
    assert "order in the chain" in turned[1].reason
    side_by_side = check_order(ARM, [change, alliance], SYMPTOMS)
    assert [v.label for v in side_by_side] == ["mechanism", "mechanism"]


def test_all_mediators_have_to_fit_for_a_joint_mechanism():
    good, bad = OrderVerdict("x", "mechanism", "fits"), OrderVerdict("y", "association", "too late")
    assert joint_verdict([good, bad]) == OrderVerdict("x, y", "association", "too late")
    assert joint_verdict([good]) == good
    assert joint_verdict(()).label == "association"


def test_a_moment_outside_the_line_is_refused():
    with pytest.raises(ValueError, match="session: a number during treatment"):
        Moment("before", 3)
    with pytest.raises(ValueError, match="phase: one of"):
        Moment("pre")
