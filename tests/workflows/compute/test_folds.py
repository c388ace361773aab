"""Folds of participants and sites, and shuffles."""

import numpy as np
import pytest

from workflows.compute.folds import participant_folds, shuffled_rows, site_folds


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_rows_of_a_participant_are_never_split(rng):
    people = np.array(["b", "a", "b", "c", "a", "d", "c", "e", "e", "b"])
    for _ in range(20):
        fold = participant_folds(people, rng.normal(size=10), 2, rng)
        for person in "abcde":
            assert len(np.unique(fold[people == person])) == 1


def test_each_fold_has_its_share_of_responders(rng):
    target = np.repeat([0.0, 1.0], [20, 10])
    fold = participant_folds(np.arange(30), target, 5, rng)
    assert np.bincount(fold).tolist() == [6] * 5
    assert np.bincount(fold, weights=target).tolist() == [2] * 5


def test_folds_have_nearly_the_same_mean_of_a_continuous_target(rng):
    target = np.arange(60.0)
    fold = participant_folds(np.arange(60), target, 5, rng)
    # each fold takes one of every five neighbours: its mean differs from 29.5 by 2 at most
    means = np.bincount(fold, weights=target) / 12
    assert np.abs(means - 29.5).max() <= 2


def test_few_sites_are_left_out_one_by_one_and_many_are_dealt(rng):
    sites = np.array(["x", "y", "x", "z", "y"])
    assert site_folds(sites, 5, rng).tolist() == [0, 1, 0, 2, 1]
    many = np.repeat(np.arange(9), [30, 5, 5, 5, 5, 4, 4, 4, 4])
    fold = site_folds(many, 3, rng)
    assert all(len(np.unique(fold[many == site])) == 1 for site in range(9))
    assert np.sort(np.bincount(fold)).tolist() == [18, 18, 30]


def test_one_site_or_too_many_folds_are_refused(rng):
    with pytest.raises(ValueError, match="two or more"):
        site_folds(np.array(["x", "x"]), 2, rng)
    with pytest.raises(ValueError, match="n_folds"):
        participant_folds(np.arange(3), np.arange(3.0), 4, rng)


def test_participants_change_places_within_their_site_with_all_their_rows(rng):
    people = np.array(["a", "a", "b", "b", "c", "c", "d", "e", "f"])
    sites = np.array(["1", "1", "1", "1", "2", "2", "1", "1", "2"])
    seen = {tuple(shuffled_rows(people, sites, rng)) for _ in range(100)}
    # a and b change places, d and e change places, c and f have no partner
    first, second = (0, 1, 2, 3, 4, 5), (2, 3, 0, 1, 4, 5)
    tails = (6, 7, 8), (7, 6, 8)
    assert seen == {part + tail for part in (first, second) for tail in tails}
