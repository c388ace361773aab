"""Membrane and bending energy, multigrid: against a sparse direct solver of the same stencil."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

from workflows.compute.smoothest import (
    DAMPING,
    Stiffness,
    block_mean,
    inverted,
    minus_laplacian,
    padded_shape,
    smoothness_system,
    solution,
    spread,
    times,
)

SHAPE = (8, 12, 16)
SPACING_MM = 1.5
STIFFNESS = Stiffness(membrane=0.3, bending=2.0)
PLACES = ((0, 1, 2), (1, 3, 4), (2, 4, 5))
"""Where xx, xy, xz, yy, yz, zz stand in the matrix of a node."""


def some_evidence(shape=SHAPE):
    """Evidence along random gradients; none in a corner, much more in another."""
    generator = np.random.default_rng(1)
    gradient = generator.normal(size=(3, *shape)).astype(np.float32)
    gradient[:, : shape[0] // 2, : shape[1] // 2] = 0
    gradient[:, -2:] *= 10
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    return np.stack([gradient[a] * gradient[b] for a, b in pairs])


def some_field(shape=SHAPE, seed=2):
    return np.random.default_rng(seed).normal(size=(3, *shape)).astype(np.float32)


def dense_matrix(evidence, stiffness, spacing_mm):
    """The whole system as a sparse matrix, from one-dimensional second differences."""
    shape = evidence.shape[1:]
    eyes = [sparse.identity(n) for n in shape]
    laplacian = sparse.csr_matrix((np.prod(shape),) * 2)
    for axis, n in enumerate(shape):
        step = sparse.diags([-np.ones(n), np.ones(n)], [0, 1], shape=(n - 1, n))
        parts = [*eyes[:axis], step.T @ step / spacing_mm**2, *eyes[axis + 1 :]]
        laplacian = laplacian + sparse.kron(sparse.kron(parts[0], parts[1]), parts[2])
    smooth = stiffness.membrane * laplacian + stiffness.bending * laplacian @ laplacian
    blocks = [[sparse.diags(evidence[k].ravel().astype(float)) for k in row] for row in PLACES]
    return (sparse.bmat(blocks) + sparse.block_diag([smooth] * 3)).tocsc()


def test_the_solution_is_that_of_a_direct_solver():
    evidence, right = some_evidence(), some_field()
    system = smoothness_system(evidence, SPACING_MM, STIFFNESS)
    assert len(system.levels) == 2
    expected = spsolve(dense_matrix(evidence, STIFFNESS, SPACING_MM), right.ravel().astype(float))
    found = solution(system, right, 1e-5)
    np.testing.assert_allclose(found.ravel(), expected, atol=5e-3 * np.abs(expected).max())
    rough = solution(system, right, 0.05)
    left = system.product(rough) - right
    assert np.linalg.norm(left) < 0.05 * np.linalg.norm(right)


def test_the_product_is_that_of_the_matrix():
    evidence, field = some_evidence(), some_field()
    expected = dense_matrix(evidence, STIFFNESS, SPACING_MM) @ field.ravel()
    found = smoothness_system(evidence, SPACING_MM, STIFFNESS).product(field)
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-4, atol=1e-3)


def test_the_diagonal_is_that_of_the_matrix_away_from_the_border():
    shape = (7, 7, 7)
    matrix = dense_matrix(np.zeros((6, *shape)), STIFFNESS, SPACING_MM)
    middle = np.ravel_multi_index((3, 3, 3), shape)
    assert STIFFNESS.diagonal(SPACING_MM) == pytest.approx(matrix.diagonal()[middle])


def test_large_grids_are_solved_in_few_steps():
    shape = (32, 48, 32)
    system = smoothness_system(some_evidence(shape), SPACING_MM, STIFFNESS)
    assert [level.evidence.shape[1] for level in system.levels] == [32, 16, 8, 4]
    assert [level.spacing_mm for level in system.levels] == [1.5, 3, 6, 12]
    right = some_field(shape)
    left = right - system.product(solution(system, right, 0.01))
    assert np.linalg.norm(left) < 0.01 * np.linalg.norm(right)


def test_a_sweep_calms_what_changes_sign_from_node_to_node():
    shape = (8, 8, 8)
    evidence = np.zeros((6, *shape), np.float32)
    system = smoothness_system(evidence, 2.0, Stiffness(membrane=0.01, bending=4.0))
    sign = np.where(np.indices(shape).sum(axis=0) % 2, -1, 1).astype(np.float32)
    field = np.stack([sign, 2 * sign, -sign])
    left = times(system.levels[0].inverse, system.product(field))
    inner = (slice(None), *[slice(2, -2)] * 3)
    assert np.abs(field - DAMPING * left)[inner].max() < 0.9 * np.abs(field).max()


def test_zero_gives_zero_and_the_negative_gives_the_negative():
    system = smoothness_system(some_evidence(), SPACING_MM, STIFFNESS)
    right = some_field()
    np.testing.assert_array_equal(solution(system, 0 * right, 0.01), 0 * right)
    np.testing.assert_array_equal(solution(system, -right, 0.01), -solution(system, right, 0.01))


def test_where_nothing_is_seen_the_shift_of_the_neighbours_is_carried_on():
    evidence = np.zeros((6, *SHAPE), np.float32)
    evidence[[0, 3, 5], :4] = 1
    right = np.zeros((3, *SHAPE), np.float32)
    right[:, :4] = np.float32([1, -2, 3])[:, None, None, None]
    system = smoothness_system(evidence, SPACING_MM, STIFFNESS)
    found = solution(system, right, 1e-4)
    expected = np.broadcast_to(np.float32([1, -2, 3])[:, None, None, None], found.shape)
    np.testing.assert_allclose(found, expected, rtol=0.02)


def test_weights_that_cannot_be_solved_are_refused():
    for wrong in (Stiffness(0.0, 1.0), Stiffness(1.0, -1.0)):
        with pytest.raises(ValueError, match="stiffness"):
            smoothness_system(some_evidence(), SPACING_MM, wrong)


def test_block_means_by_hand():
    volume = np.arange(2 * 2 * 4, dtype=np.float32).reshape(1, 2, 2, 4)
    np.testing.assert_array_equal(block_mean(volume, 2), [[[[6.5, 8.5]]]])
    np.testing.assert_array_equal(block_mean(volume, 1), volume)


def test_values_of_blocks_are_spread_between_their_centres():
    values = np.zeros((1, 1, 2), np.float32)
    values[0, 0] = [10, 20]
    # the centres of blocks of 4 are at voxels 1.5 and 5.5
    found = spread(values, 4, (1, 2, 7))
    expected = [10, 10, 11.25, 13.75, 16.25, 18.75, 20]
    np.testing.assert_allclose(found, [[expected, expected]])
    uneven = np.arange(6, dtype=np.float32).reshape(1, 3, 2, 1)
    np.testing.assert_array_equal(spread(uneven, 1, (3, 2, 1)), uneven)


def test_spread_brings_back_what_is_linear():
    index = np.indices((12, 8, 6), dtype=np.float32)
    plane = 2 * index[0] - index[1] + 3 * index[2]
    found = spread(block_mean(plane, 2), 2, plane.shape)
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(found[inner], plane[inner], atol=1e-5)


def test_minus_laplacian_by_hand_and_nothing_flows_over_the_border():
    field = np.zeros((3, 5, 1, 3), np.float32)
    field[1, :, 0, 1] = [0, 1, 4, 9, 16]
    found = minus_laplacian(field, 2.0)
    np.testing.assert_allclose(4 * found[1, :, 0, 1], [-1, 0, 6, 16, 39])
    np.testing.assert_allclose(4 * found[1, :, 0, 0], [0, -1, -4, -9, -16])
    np.testing.assert_allclose(found.sum(), 0, atol=1e-5)
    np.testing.assert_array_equal(found[[0, 2]], 0)


def test_six_arrays_are_a_symmetric_matrix_and_its_inverse():
    six = np.float32([4, 1, 0.5, 3, -0.25, 2])
    matrix = six[np.array(PLACES)]
    evidence = np.broadcast_to(six[:, None, None, None], (6, 1, 2, 1))
    field = some_field((1, 2, 1))
    expected = np.einsum("ab,bxyz->axyz", matrix, field)
    np.testing.assert_allclose(times(evidence, field), expected, rtol=1e-5)
    inverse = np.linalg.inv(matrix + 1.5 * np.eye(3))
    found = inverted(evidence, np.float32(1.5))[:, 0, 1, 0]
    np.testing.assert_allclose(found[np.array(PLACES)], inverse, rtol=1e-4)


def test_padded_sides_can_be_halved_four_times_and_have_a_border():
    assert padded_shape((14, 15, 30)) == (16, 32, 32)
