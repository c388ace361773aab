from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from workflows.compute import planted, planted_bold
from workflows.compute.planted_bold import BoldScan, BoldTemplate

NETWORKS = [0, 0, 1, 2, 2]
GRID = planted.box_grid((13, 13, 11), 4.0)
STILL = np.zeros((2, 6))
SCAN = BoldScan(GRID, 2.0, 2, signal=0.02, pulsation=0.0, drift=0.0, bias=0.0, noise=0.0)


def blob_template():
    image = np.zeros(GRID.shape, dtype=np.float32)
    image[4:7, 5:9, 4:8] = np.random.default_rng(1).uniform(0.5, 1, (3, 4, 4))
    region = np.zeros(GRID.shape)
    region[5, 6:8, 5:7] = 1
    maps = sparse.csr_matrix(np.stack([region.ravel(), 0 * region.ravel()]).T)
    return BoldTemplate(GRID, image, GRID, maps)


def series_of(motion, signals=None, scan=SCAN):
    signals = np.zeros((len(motion), 1)) if signals is None else signals
    inward = planted.grid_points(GRID)
    scan = replace(scan, n_volumes=len(motion))
    return planted_bold.bold_series(
        blob_template(), inward, signals, np.asarray(motion, float), scan, np.random.default_rng(0)
    )


def test_regions_of_one_network_are_more_alike():
    correlation = planted_bold.network_correlation([3, 3, 1], within=0.6, between=0.1)
    np.testing.assert_array_equal(correlation, [[1, 0.6, 0.1], [0.6, 1, 0.1], [0.1, 0.1, 1]])


def test_an_edge_set_gets_its_fisher_z_and_nothing_else_changes():
    before = planted_bold.network_correlation(NETWORKS)
    after = planted_bold.with_edges(before, [0, 1], [2], 0.3)
    assert after[2, 1] == after[0, 2] == pytest.approx(0.2913126)
    assert planted_bold.edge_set_z(after, [0, 1], [2]) == pytest.approx(0.3)
    changed = np.argwhere(after != before)
    assert {tuple(sorted(pair)) for pair in changed.tolist()} == {(0, 2), (1, 2)}
    assert before[0, 2] == 0.1


def test_impossible_correlations_are_refused():
    correlation = planted_bold.network_correlation(NETWORKS)
    with pytest.raises(ValueError, match="does not fit"):
        planted_bold.with_edges(correlation, [0], [3], 2.5)
    with pytest.raises(ValueError, match="overlap"):
        planted_bold.with_edges(correlation, [0, 1], [1, 2], 0.3)


def test_signals_have_the_correlation_of_their_population():
    population = planted_bold.with_edges(
        planted_bold.network_correlation(NETWORKS), [0, 1], [2], -0.3
    )
    signals = planted_bold.regional_series(population, 20000, 2.0, np.random.default_rng(7))
    np.testing.assert_allclose(np.corrcoef(signals.T), population, atol=0.04)
    np.testing.assert_allclose(signals.std(axis=0), 1, atol=0.03)


def test_signals_are_slow():
    signals = planted_bold.slow_noise(300, 2, 2.0, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(signals, axis=0)) ** 2
    frequency = np.fft.rfftfreq(300, 2.0)
    assert power[frequency > 0.1].max() < 1e-20
    assert power[(frequency > 0.04) & (frequency < 0.06)].mean() > 100


def test_the_head_starts_at_rest_and_jumps_once_in_the_middle_half():
    motion = planted_bold.head_motion(80, np.random.default_rng(11))
    np.testing.assert_array_equal(motion[0], 0)
    steps = np.linalg.norm(np.diff(motion[:, :3], axis=0), axis=1)
    jumps = np.flatnonzero(steps > 0.3) + 1
    assert len(jumps) == 1
    assert 20 <= jumps[0] < 60
    assert steps[jumps[0] - 1] == pytest.approx(0.6, abs=0.15)


def test_a_shift_of_one_voxel_is_seen_as_one_voxel():
    run = series_of([[0] * 6, [4, 0, 0, 0, 0, 0]])
    assert run[..., 0].max() > 0.5
    np.testing.assert_allclose(run[1:, ..., 1], run[:-1, ..., 0], atol=1e-5)


def test_a_quarter_turn_about_z_is_seen_as_a_quarter_turn():
    run = series_of([[0] * 6, [0, 0, 0, 0, 0, np.pi / 2]])
    turned = np.rot90(run[..., 0], axes=(0, 1))
    inside = run[..., 1] > 0
    np.testing.assert_allclose(run[..., 1], np.where(inside, turned, run[..., 1]), atol=1e-5)
    assert inside.sum() == (turned > 0).sum()


def test_a_region_follows_its_signal_and_its_surroundings_do_not():
    run = series_of(STILL, signals=np.array([[0.0], [2.0]]))
    ratio = run[4:7, 5:9, 4:8, 1] / run[4:7, 5:9, 4:8, 0]
    expected = np.ones((3, 4, 4))
    expected[1, 1:3, 1:3] = 1 + 2.0 * 0.02
    np.testing.assert_allclose(ratio, expected, rtol=1e-5)


def test_noise_is_in_every_volume():
    run = series_of(np.zeros((40, 6)), scan=replace(SCAN, noise=0.01))
    inside = run[4:7, 5:9, 4:8]
    assert inside.std(axis=-1).mean() == pytest.approx(0.01, rel=0.1)
