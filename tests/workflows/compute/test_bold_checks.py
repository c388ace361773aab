import numpy as np
import pytest

from workflows.compute.bold_checks import series_problem


def series(n_volumes=12):
    return 10 + np.random.default_rng(24).normal(size=(4, 4, 4, n_volumes))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (series()[..., 0], "it has 3 dimensions and not 4"),
        (series(9), "it has 9 volumes; at least 10 are needed"),
        (
            np.where(series() > 11.5, np.nan, series()),
            "% of the voxels of the head are constant or are not numbers (NaN or infinite); up to "
            "10 % are left out",
        ),
        (
            np.repeat(series()[..., :1], 12, axis=3),
            "its volumes are all the same, or their values are not numbers (NaN or infinite)",
        ),
        (series(), ""),
    ],
)
def test_a_series_that_cannot_be_used_is_named(values, message):
    problem = series_problem(values)
    assert problem.endswith(message)
    assert bool(problem) == bool(message)


def test_volumes_before_the_steady_state_do_not_count():
    assert series_problem(series(), n_dummy=2) == ""
    assert series_problem(series(), n_dummy=3).startswith(
        "it has 9 volumes in the steady state (the first 3 are not); at least 10"
    )


def test_few_voxels_without_information_are_no_problem():
    values = series()
    values[1, 1, 1, 3] = np.nan
    values[2, 2, 2] = 10
    assert series_problem(values) == ""
    values[1:3, 1:3, 1:3, 5] = np.inf
    assert series_problem(values).startswith("12 % of the voxels of the head")
