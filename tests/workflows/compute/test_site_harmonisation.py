"""Longitudinal ComBat."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflows.compute.problems import ModelError
from workflows.compute.site_harmonisation import (
    Scans,
    apply_harmonisation,
    fit_harmonisation,
    relative_scales,
)

close = np.testing.assert_allclose
NAMES = ("age", "time")


@pytest.fixture
def published(shared_dir):
    table = pd.read_csv(shared_dir / "reference" / "longcombat_simdata.csv")
    diagnosis, time = table["diagnosis"], table["time"]
    covariates = np.column_stack([table["age"], diagnosis, time, diagnosis * time]).astype(float)
    names = ("age", "diagnosis", "time", "diagnosis:time")
    scans = Scans(table["batch"].to_numpy(), table["subid"].to_numpy(), covariates, names)
    return table.filter(like="feature").to_numpy(), scans


def cohort(n_people=60, n_features=12, seed=2):
    """Two sessions of people at three sites with shifts 0, 2, -1 and scales 1, 2, .5."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(n_people), 2)
    place = person % 3
    covariates = np.column_stack(
        [np.repeat(rng.normal(40, 10, n_people), 2), np.tile([0, 1], n_people)]
    )
    noise = rng.normal(size=(len(person), n_features)) * np.array([1, 2, 0.5])[place][:, None]
    values = noise + rng.normal(size=(n_people, n_features))[person] + 100
    values += covariates @ [[0.1], [0.7]] + np.array([0, 2, -1])[place][:, None]
    site = np.array(["north", "east", "west"], dtype=object)[place]
    return values, Scans(site, person, covariates, NAMES)


def rows(scans, keep):
    return Scans(scans.site[keep], scans.person[keep], scans.covariates[keep], scans.names)


@pytest.mark.needs_shared
def test_shift_and_scale_of_batches_as_longcombat(published):
    learned = fit_harmonisation(*published)
    shift = [2.106527515703, -3.177042674472, -4.626968897558, -4.615263111872]
    shift += [-0.257014216355, 3.466766403198, -4.462310565765, 2.981565774906]
    spread = [0.253375478057, 0.111700342572, 0.283498527601, 0.146954042819]
    spread += [0.684911424558, 1.106001684530, 1.054070812136, 1.945354288589]
    assert learned.sites == tuple("12345678")
    close(learned.location[:, 0], shift, rtol=1e-6)
    close(learned.spread[:, 0], spread, rtol=1e-6)


@pytest.mark.needs_shared
def test_each_value_as_longcombat(published, shared_dir):
    harmonised = apply_harmonisation(fit_harmonisation(*published), *published)
    table = pd.read_csv(shared_dir / "reference" / "longcombat_out_factor.csv")
    close(harmonised, table.filter(like=".combat").to_numpy(), rtol=1e-6, atol=1e-7)
    close(harmonised.sum(), -50012.773035521, rtol=1e-8)
    close((harmonised**2).sum(), 381729.25041495, rtol=1e-8)


def test_shift_and_scale_of_sites_go_and_effects_of_covariates_stay():
    values, scans = cohort(n_people=300)
    after = apply_harmonisation(fit_harmonisation(values, scans), values, scans)

    def of_site(array, site):
        own = array[scans.site == site]
        change = own[1::2] - own[::2]
        return own.mean(), change.mean(), change.std()

    before = {site: of_site(values, site) for site in ("north", "east", "west")}
    then = {site: of_site(after, site) for site in ("north", "east", "west")}
    assert before["east"][0] - before["west"][0] == pytest.approx(3, abs=0.4)
    assert then["east"][0] - then["west"][0] == pytest.approx(0, abs=0.2)
    assert before["east"][2] / before["west"][2] == pytest.approx(4, rel=0.05)
    # what the random intercept takes for a person keeps the scale of the site
    assert 1 < then["east"][2] / then["west"][2] < 1.6
    assert then["north"][1] == pytest.approx(0.7, abs=0.1)
    assert after.mean() == pytest.approx(values.mean(), abs=0.1)


def test_labels_and_order_of_sites_do_not_matter():
    values, scans = cohort()
    after = apply_harmonisation(fit_harmonisation(values, scans), values, scans)
    numbers = np.array([{"north": 3.0, "east": 1.0, "west": 2.0}[site] for site in scans.site])
    renamed = Scans(numbers, scans.person, scans.covariates, NAMES)
    close(
        apply_harmonisation(fit_harmonisation(values, renamed), values, renamed), after, rtol=1e-8
    )


def test_people_left_out_are_harmonised_with_what_the_others_taught():
    values, scans = cohort(n_people=120)
    learn = scans.person < 90
    learned = fit_harmonisation(values[learn], rows(scans, learn))
    after = apply_harmonisation(learned, values[~learn], rows(scans, ~learn))
    close(
        after[:10],
        apply_harmonisation(learned, values[~learn][:10], rows(scans, np.flatnonzero(~learn)[:10])),
    )
    east, west = (after[scans.site[~learn] == site].mean() for site in ("east", "west"))
    assert east - west == pytest.approx(0, abs=0.6)
    changed = values.copy()
    changed[~learn] += 50
    again = fit_harmonisation(changed[learn], rows(scans, learn))
    close(again.location, learned.location)


def test_a_site_that_was_not_learned_is_refused_by_name():
    values, scans = cohort()
    known = scans.site != "west"
    learned = fit_harmonisation(values[known], rows(scans, known))
    with pytest.raises(ModelError, match="no harmonisation was learned for site 'west'"):
        apply_harmonisation(learned, values, scans)


def test_one_row_per_person_is_cross_sectional():
    """Two features at two sites without covariates, standardised by hand."""
    values = np.array([[1.0, 10], [3, 14], [2, 15], [6, 22], [8, 20], [10, 27]])
    site = np.array(["a", "a", "a", "b", "b", "b"])
    scans = Scans(site, np.arange(6), np.empty((6, 0)), ())
    learned = fit_harmonisation(values, scans)
    close(learned.coefficients[0], [5, 18])
    close(learned.site_effects, [[-3, -5], [3, 5]])
    close(learned.scale, np.sqrt([10 / 4, (14 + 26) / 4]))
    close(learned.ratio, 0)
    after = apply_harmonisation(learned, values, scans)
    difference = after[3:].mean(axis=0) - after[:3].mean(axis=0)
    # before: 6 and 10; what is left is the shrinkage over features
    assert np.abs(difference).max() < 1
    assert np.argsort(after[:3, 0]).tolist() == [0, 2, 1]


def test_holes_stay_holes_and_reach_no_other_feature():
    values, scans = cohort()
    learned = fit_harmonisation(values, scans)
    holed = values.copy()
    holed[6, 3] = np.nan
    after = apply_harmonisation(fit_harmonisation(holed, scans), holed, scans)
    assert np.argwhere(np.isnan(after)).tolist() == [[6, 3]]
    close(
        after,
        np.where(np.isnan(holed), np.nan, apply_harmonisation(learned, values, scans)),
        atol=0.3,
    )


def test_features_that_cannot_be_harmonised_say_why():
    values, scans = cohort()
    values[:, 0] = 4.0
    values[np.flatnonzero(scans.site == "west")[1:], 1] = np.nan
    learned = fit_harmonisation(values, scans)
    assert learned.note[:3].tolist() == [
        "no variation",
        "not harmonised: a site has fewer than two values",
        "",
    ]
    after = apply_harmonisation(learned, values, scans)
    assert np.isnan(after[:, :2]).all()
    assert np.isfinite(after[:, 2:]).all()


def test_a_scan_without_covariate_or_site_teaches_nothing():
    values, scans = cohort()
    scans.covariates[5, 0] = np.nan
    scans.site[8] = ""
    learned = fit_harmonisation(values, scans)
    keep = ~np.isin(np.arange(len(values)), [5, 8])
    without = fit_harmonisation(values[keep], rows(scans, keep))
    close(learned.location, without.location, rtol=1e-8)
    close(learned.spread, without.spread, rtol=1e-8)


def test_designs_that_cannot_be_learned_are_refused():
    values, scans = cohort()
    one = Scans(np.full(len(values), "a"), scans.person, scans.covariates, NAMES)
    with pytest.raises(ModelError, match=r"one site only \('a'\)"):
        fit_harmonisation(values, one)
    lonely = scans.site.copy()
    lonely[0] = "south"
    with pytest.raises(ModelError, match="site 'south' has one scan"):
        fit_harmonisation(values, Scans(lonely, scans.person, scans.covariates, NAMES))
    east = np.column_stack([scans.covariates[:, 0], scans.site == "east"]).astype(float)
    with pytest.raises(ModelError, match="'drug' cannot be told apart from sites"):
        fit_harmonisation(values, Scans(scans.site, scans.person, east, ("age", "drug")))


def unequal(n_people=80, n_features=1500, effect=0.0):
    """Two sessions at two sites, four fifths of one arm at one and a fifth of it at the other."""
    rng = np.random.default_rng(11)
    person, post = np.repeat(np.arange(n_people), 2), np.tile([0.0, 1.0], n_people)
    place, arm = person % 2, ((person // 2) % 5 < np.where(person % 2, 1, 4)).astype(float)
    values = rng.normal(size=(n_people, n_features))[person] + rng.normal(
        size=(len(person), n_features)
    )
    values += 10 + (2 * place + effect * arm * post)[:, None]
    site = np.array(["A", "B"], dtype=object)[place]
    names = ("post", "arm", "arm:post")
    return values, Scans(site, person, np.column_stack([post, arm, arm * post]), names)


def change_by_arm(values, scans):
    """Hedges' g of change by arm (without the correction for small samples), and p."""
    change, arm = values[1::2] - values[::2], scans.covariates[::2, 1] == 1
    difference = change[arm].mean(axis=0) - change[~arm].mean(axis=0)
    squares = sum(
        ((own - own.mean(axis=0)) ** 2).sum(axis=0) for own in (change[arm], change[~arm])
    )
    size = difference / np.sqrt(squares / (len(arm) - 2))
    return size, stats.ttest_ind(change[arm], change[~arm]).pvalue


def with_ratios(values, scans):
    return apply_harmonisation(relative_scales(fit_harmonisation(values, scans)), values, scans)


def test_by_ratios_of_scale_change_by_arm_errs_as_often_as_it_says():
    values, scans = unequal()
    error = 3 * np.sqrt(0.05 * 0.95 / values.shape[1])
    rate = np.mean(change_by_arm(with_ratios(values, scans), scans)[1] < 0.05)
    assert rate == pytest.approx(0.05, abs=error)
    published = apply_harmonisation(fit_harmonisation(values, scans), values, scans)
    assert np.mean(change_by_arm(published, scans)[1] < 0.05) < 0.05 - error


def test_by_ratios_of_scale_an_effect_keeps_its_size():
    values, scans = unequal(effect=0.7)
    before = change_by_arm(values, scans)[0].mean()
    assert before == pytest.approx(0.5, abs=0.02)
    assert change_by_arm(with_ratios(values, scans), scans)[0].mean() == pytest.approx(
        before, abs=0.02
    )


def test_by_ratios_of_scale_the_scales_of_sites_come_together_around_their_mean():
    values, scans = cohort(n_people=300)
    learned = fit_harmonisation(values, scans)
    relative = relative_scales(learned)
    weights = np.array(learned.n_rows) / sum(learned.n_rows)
    close(weights @ relative.spread, 1)
    close(relative.spread[0] / relative.spread[2], learned.spread[0] / learned.spread[2])
    close(relative.location, learned.location)
    after = with_ratios(values, scans)

    def spread(array, site):
        own = array[scans.site == site]
        return (own[1::2] - own[::2]).std()

    assert spread(values, "east") / spread(values, "west") == pytest.approx(4, rel=0.05)
    assert 1 < spread(after, "east") / spread(after, "west") < 1.6
