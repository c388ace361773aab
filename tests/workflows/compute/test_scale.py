"""Direction and percent of a scale."""

import numpy as np
import pytest

from workflows.compute.scale import Scale, improvement, percent_improvement, reached

BEFORE, AFTER = np.array([40.0, 30.0, 20.0, np.nan]), np.array([30.0, 36.0, 20.0, 25.0])


def test_improvement_follows_the_direction_of_the_scale():
    np.testing.assert_array_equal(improvement(BEFORE, AFTER, Scale("x")), [10, -6, 0, np.nan])
    higher = Scale("x", better="higher")
    np.testing.assert_array_equal(improvement(BEFORE, AFTER, higher), [-10, 6, 0, np.nan])


def test_percent_is_counted_from_the_floor_of_the_scale():
    # of 40 points 10 are gone: 25 percent; from a floor of 20 it is half of the way
    assert percent_improvement(BEFORE, AFTER, Scale("x"))[0] == 25
    np.testing.assert_allclose(
        percent_improvement(BEFORE, AFTER, Scale("x", minimum=20)), [50, -60, np.nan, np.nan]
    )


def test_turning_a_scale_around_changes_no_percent():
    low = Scale("x", minimum=10, maximum=60)
    high = Scale("x", better="higher", minimum=10, maximum=60)
    np.testing.assert_allclose(
        percent_improvement(70 - BEFORE, 70 - AFTER, high), percent_improvement(BEFORE, AFTER, low)
    )


def test_a_baseline_without_symptoms_has_no_percent():
    found = percent_improvement(np.array([0.0, -1.0]), np.array([0.0, 0.0]), Scale("x"))
    assert np.isnan(found).all()


def test_where_higher_is_better_a_percent_needs_the_maximum():
    higher = Scale("x", better="higher")
    assert np.isnan(percent_improvement(BEFORE, AFTER, higher)).all()


def test_the_cut_off_itself_is_reached():
    values = np.array([7.0, 7.5, 6.0, np.nan])
    assert reached(values, 7, Scale("x")).tolist() == [True, False, True, False]
    higher = reached(values, 7, Scale("x", better="higher"))
    assert higher.tolist() == [True, True, False, False]


def test_another_direction_is_refused():
    with pytest.raises(ValueError, match="better: 'lower' or 'higher'"):
        Scale("x", better="down")
