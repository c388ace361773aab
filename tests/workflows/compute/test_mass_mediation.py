"""One mediator per region or edge."""

from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from workflows.compute.bootstrap import Resampling
from workflows.compute.mass_mediation import (
    MassData,
    mass_mediation,
    mass_table,
    product_interval,
    with_bootstrap,
    with_permutation,
)
from workflows.compute.mediation import parallel_mediation
from workflows.compute.mediation_data import MediationData


@pytest.fixture
def rng():
    return np.random.default_rng(61)


def cohort(rng, n=60, n_tests=12, a=0.0, b=0.0):
    treatment, age = np.tile([0.0, 1], n // 2), rng.normal(size=n)
    mediators = rng.normal(size=(n, n_tests)) + 0.4 * age[:, None]
    mediators[:, 0] += a * treatment
    outcome = 0.3 * treatment + b * mediators[:, 0] + 0.5 * age + rng.normal(size=n)
    return MassData(mediators, treatment, outcome, age[:, None])


def test_each_test_equals_two_regressions(rng):
    data = cohort(rng, a=1, b=0.5)
    data.mediators[[3, 8], 4] = np.nan
    data.outcome[11] = np.nan
    found = mass_mediation(data, 0.95, 10)
    for test in (0, 4, 7):
        rows = data.present[:, test]
        m = data.mediators[rows, test]
        base = sm.add_constant(np.column_stack([data.treatment, data.covariates])[rows])
        first = sm.OLS(m, base).fit()
        second = sm.OLS(data.outcome[rows], np.column_stack([base, m])).fit()
        np.testing.assert_allclose(
            [found.a[test], found.a_error[test], found.p_a[test]],
            [first.params[1], first.bse[1], first.pvalues[1]],
            rtol=1e-8,
        )
        np.testing.assert_allclose(
            [found.b[test], found.b_error[test], found.p_b[test], found.direct[test]],
            [second.params[3], second.bse[3], second.pvalues[3], second.params[1]],
            rtol=1e-8,
        )
        assert (found.n[test], found.df[test]) == (rows.sum(), rows.sum() - 4)
        assert found.p[test] == max(found.p_a[test], found.p_b[test])
    assert found.n.tolist() == [59] * 4 + [57] + [59] * 7


@pytest.mark.parametrize(
    ("means", "expected"),
    # quantiles of 4 million simulated products
    [((0, 0), (-2.182, 2.182)), ((0.5, 3), (-4.642, 8.392)), ((2, -2), (-11.05, 0.400))],
)
def test_the_interval_is_that_of_the_product_of_two_normals(means, expected):
    low, high = product_interval(
        (np.array([means[0] * 2.0]), np.array([means[1] * 0.5])),
        (np.array([2.0]), np.array([0.5])),
        0.95,
    )
    np.testing.assert_allclose([low[0], high[0]], expected, atol=0.012)


def test_many_intervals_are_read_from_a_table_and_few_are_not(rng):
    means = rng.normal(scale=4, size=(2, 1600))
    errors = np.ones((2, 1600))
    many = product_interval(tuple(means), tuple(errors), 0.95)
    few = product_interval(tuple(means[:, :80]), tuple(errors[:, :80]), 0.95)
    spread = np.sqrt((means[:, :80] ** 2).sum(axis=0) + 1)
    for table, exact in zip(many, few, strict=True):
        assert np.abs((table[:80] - exact) / spread).max() < 0.002
    turned = product_interval((-means[0, :80], means[1, :80]), tuple(errors[:, :80]), 0.95)
    np.testing.assert_allclose(turned[0], -few[1])


def test_a_planted_mediator_is_found_among_many(rng):
    data = cohort(rng, n=80, n_tests=200, a=1.2, b=0.8)
    found = with_permutation(mass_mediation(data, 0.95, 10), data, 199, rng)
    table = mass_table(found, [f"edge {place}" for place in range(200)], "cbt - waiting")
    assert table.loc[table["p_fwe"] <= 0.05, "mediator"].tolist() == ["edge 0"]
    row = table.iloc[0]
    assert row["ci_low"] < 1.2 * 0.8 < row["ci_high"]
    assert row["ci_low"] > 0
    assert row["p_fwe"] == pytest.approx(1 / 200)
    assert row["p"] <= row["p_fdr"] <= 0.05


@pytest.mark.parametrize(("a", "b"), [(0.0, 0.0), (2.0, 0.0), (0.0, 2.0)])
def test_family_wise_errors_are_rare_whichever_step_is_0(a, b):
    rng = np.random.default_rng(9)
    wrong = np.zeros(2)
    for _ in range(60):
        arm = np.tile([0.0, 1], 30)
        shared = rng.normal(size=(60, 1))
        mediators = a * arm[:, None] + 0.7 * shared + rng.normal(size=(60, 8))
        outcome = b * shared[:, 0] / 0.7 + rng.normal(size=60)
        if b:
            mediators = mediators - 0.7 * shared + shared * rng.normal(1, 0.2, size=8)
        data = MassData(mediators, arm, outcome, np.empty((60, 0)))
        found = mass_mediation(data, 0.95, 10)
        permuted = with_permutation(found, data, 79, rng)
        wrong += [(found.p_fwe <= 0.05).any(), (permuted.p_fwe <= 0.05).any()]
    # 3 of 60 expected at most; 3 Monte-Carlo errors are 5
    assert (wrong <= 8).all()


def test_permuted_p_is_never_below_that_of_one_test_alone(rng):
    data = cohort(rng, n_tests=30)
    data.mediators[5, 20:] = np.nan
    found = mass_mediation(data, 0.95, 10)
    permuted = with_permutation(found, data, 999, rng)
    assert (permuted.p_fwe >= found.p - 0.02).all()
    assert np.isfinite(permuted.p_fwe).all()


def test_blocks_keep_values_within_their_site():
    # within sites the treatment is constant, so nothing can be permuted: every p is 1
    rng = np.random.default_rng(4)
    arm = np.repeat([0.0, 1], 20)
    mediators = 2 * arm[:, None] + rng.normal(size=(40, 2))
    data = MassData(mediators, arm, 5 * mediators[:, 0] + rng.normal(size=40), np.empty((40, 0)))
    result = mass_mediation(data, 0.95, 10)
    free = with_permutation(result, data, 99, rng)
    kept = with_permutation(result, data, 99, rng, blocks=arm)
    assert free.p_fwe[0] == 0.01
    assert kept.p_fwe[0] == 1


def test_few_tests_can_have_bootstrap_intervals(rng):
    data = cohort(rng, n_tests=3, a=1, b=0.5)
    data.mediators[:, 2] = 7
    result = with_bootstrap(
        mass_mediation(data, 0.95, 10), data, Resampling(399, 0.95), np.random.default_rng(1)
    )
    one = MediationData(
        data.treatment[:, None],
        ("t",),
        data.mediators[:, [0]],
        ("m",),
        data.outcome,
        data.covariates,
        ("age",),
    )
    rows = parallel_mediation(one, Resampling(399, 0.95), np.random.default_rng(1)).rows
    row = rows.set_index("path").loc["indirect"]
    assert (result.low[0], result.bca_high[0]) == (row["ci_low"], row["bca_high"])
    assert np.isnan(result.low[2])
    assert result.interval == "percentile bootstrap"


def test_tests_that_cannot_be_made_say_why(rng):
    data = cohort(rng, n_tests=3)
    data.mediators[:, 0] = 5
    data.mediators[8:, 1] = np.nan
    result = mass_mediation(data, 0.95, 10)
    nobody = replace(data, mediators=np.full((60, 1), np.nan))
    assert mass_mediation(nobody, 0.95, 10).note[0] == "not tested: 0 participants, 10 needed"
    assert result.note.tolist() == [
        "no variation between participants",
        "not tested: 8 participants, 10 needed",
        "",
    ]
    assert np.isnan(result.p[:2]).all()
    assert result.p_fwe[2] == result.p[2]
    same = replace(data, treatment=data.covariates[:, 0])
    assert mass_mediation(same, 0.95, 10).note[2] == (
        "not tested: treatment and covariates cannot be told apart"
    )


def test_different_numbers_of_participants_are_refused():
    with pytest.raises(ValueError, match="the same participants"):
        MassData(np.ones((5, 2)), np.ones(4), np.ones(5), np.ones((5, 0)))
