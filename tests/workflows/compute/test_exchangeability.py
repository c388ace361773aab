"""Relabellings of participants."""

import itertools

import numpy as np
import pytest

from workflows.compute.exchangeability import (
    Exchangeability,
    free,
    relabellings,
    unchanged_part,
)
from workflows.compute.problems import ModelError

ARMS = np.column_stack([np.ones(6), [1, 1, 1, 0, 0, 0]]).astype(float)
SITES = np.array(["b", "a", "b", "a", "a", "b"])


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def given_arms(drawn, matrix):
    return matrix[drawn.order, 1].astype(int)


def test_all_20_ways_to_give_3_of_6_people_a_treatment(rng):
    drawn = relabellings(ARMS, free(6), 19, rng)
    assert drawn.exact
    assert drawn.smallest_p == 1 / 20
    ways = {tuple(row) for row in given_arms(drawn, ARMS)}
    every = {way for way in itertools.product((0, 1), repeat=6) if sum(way) == 3}
    assert ways == every - {(1, 1, 1, 0, 0, 0)}


def test_one_way_too_many_makes_them_random(rng):
    drawn = relabellings(ARMS, free(6), 18, rng)
    assert (drawn.exact, drawn.n_relabellings) == (False, 18)


def test_random_relabellings_are_permutations_and_all_alike_frequent(rng):
    drawn = relabellings(np.arange(4.0)[:, None], free(4), 23, rng)
    assert drawn.exact
    matrix = np.arange(5.0)[:, None]
    drawn = relabellings(matrix, free(5), 100, rng)
    assert not drawn.exact
    np.testing.assert_array_equal(np.sort(drawn.order, axis=1), np.tile(np.arange(5), (100, 1)))
    many = relabellings(np.arange(9.0)[:, None], free(9), 9000, rng).order
    counts = np.array([np.bincount(many[:, place], minlength=9) for place in range(9)])
    # each of 81 counts is binomial, mean 1000, deviation 29.8
    assert np.abs(counts - 1000).max() < 4.5 * 29.8


@pytest.mark.parametrize("n_relabellings", [10, 1000])
def test_nobody_leaves_the_own_block(rng, n_relabellings):
    matrix = np.column_stack([ARMS, np.arange(6)])
    drawn = relabellings(matrix, Exchangeability(SITES), n_relabellings, rng)
    assert drawn.exact == (n_relabellings == 1000)
    # 3! ways in each of two sites, without the observed one
    assert drawn.n_relabellings == (35 if drawn.exact else 10)
    assert (SITES[drawn.order] == SITES).all()
    assert len(np.unique(drawn.order, axis=0)) > 5


@pytest.mark.parametrize("n_relabellings", [10, 1000])
def test_whole_blocks_move_with_the_order_inside_kept(rng, n_relabellings):
    blocks = np.repeat([3, 1, 2, 0], 2)
    drawn = relabellings(
        np.arange(8.0)[:, None], Exchangeability(blocks, whole=True), n_relabellings, rng
    )
    assert drawn.n_relabellings == (23 if drawn.exact else 10)
    pairs = drawn.order.reshape(-1, 4, 2)
    assert (pairs[:, :, 0] % 2 == 0).all()
    np.testing.assert_array_equal(pairs[:, :, 1], pairs[:, :, 0] + 1)
    np.testing.assert_array_equal(
        np.sort(drawn.order, axis=1), np.tile(np.arange(8), (len(pairs), 1))
    )


def test_all_signs_of_three_people(rng):
    drawn = relabellings(np.ones((3, 1)), Exchangeability(np.arange(3), flips=True), 7, rng)
    assert drawn.exact
    assert len({tuple(row) for row in drawn.signs} - {(1, 1, 1)}) == 7


@pytest.mark.parametrize("n_relabellings", [5, 50])
def test_signs_of_a_whole_block_turn_together(rng, n_relabellings):
    exchange = Exchangeability(np.repeat([2, 0, 1], 2), whole=True, flips=True)
    drawn = relabellings(np.ones((6, 1)), exchange, n_relabellings, rng)
    assert drawn.n_relabellings == (7 if drawn.exact else 5)
    np.testing.assert_array_equal(drawn.signs[:, ::2], drawn.signs[:, 1::2])
    assert set(np.unique(drawn.signs)) == {-1, 1}


@pytest.mark.parametrize("flips", [False, True])
def test_the_same_seed_gives_the_same_relabellings(flips):
    matrix, exchange = np.arange(30.0)[:, None], Exchangeability(np.arange(30) % 2, flips=flips)
    first, second, other = (
        relabellings(matrix, exchange, 50, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.order, second.order)
    np.testing.assert_array_equal(first.signs, second.signs)
    assert (first.order != other.order).any() or (first.signs != other.signs).any()


def test_relabelled_columns_are_those_of_the_people_exchanged_with(rng):
    columns = np.array([[0.0, 1, 2, 3], [5, 6, 7, 8]])
    drawn = relabellings(columns.T, free(4), 10, rng)
    rows = np.array([3, 0])
    relabelled = drawn.of(columns, slice(2, 5), rows)
    assert relabelled.shape == (2, 3, 2)
    for place, number in enumerate(range(2, 5)):
        np.testing.assert_array_equal(
            relabelled[:, place], columns[:, drawn.order[number]][:, rows]
        )


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        (free(4), [4, 4, 4, 4]),
        (Exchangeability(np.array([0, 1, 0, 1])), [2, 6, 2, 6]),
        (Exchangeability(np.array([0, 0, 1, 1]), whole=True), [2, 6, 2, 6]),
        (Exchangeability(np.arange(4), flips=True), [0, 0, 0, 0]),
    ],
)
def test_the_part_that_no_relabelling_changes_is_the_mean_of_all(rng, exchange, expected):
    values = np.array([1.0, 5, 3, 7])[:, None]
    np.testing.assert_allclose(unchanged_part(values, exchange)[:, 0], expected)
    drawn = relabellings(values, exchange, 100, rng)
    every = np.concatenate([values.T, drawn.of(values.T, slice(None), np.arange(4))[0]])
    np.testing.assert_allclose(every.mean(axis=0), expected, atol=1e-12)


def test_blocks_of_different_size_cannot_move_as_a_whole(rng):
    exchange = Exchangeability(np.array([0, 0, 0, 1, 1, 2]), whole=True)
    with pytest.raises(ModelError, match="blocks of 1 to 3 participants cannot be exchanged"):
        relabellings(ARMS, exchange, 10, rng)


def test_a_treatment_that_is_the_same_for_all_of_a_site_leaves_nothing_to_exchange(rng):
    with pytest.raises(ModelError, match="no two participants who may be exchanged differ"):
        relabellings(ARMS, Exchangeability(ARMS[:, 1]), 10, rng)


def test_wrong_arguments_are_named(rng):
    with pytest.raises(ValueError, match="matrix: leave out participants with missing terms"):
        relabellings(np.array([[1.0], [np.nan]]), free(2), 10, rng)
    with pytest.raises(ValueError, match="exchange: one block label for each row"):
        relabellings(ARMS, free(5), 10, rng)
    with pytest.raises(ValueError, match="n_relabellings: at least 1"):
        relabellings(ARMS, free(6), 0, rng)
