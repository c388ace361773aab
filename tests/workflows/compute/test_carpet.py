import numpy as np

from workflows.compute.carpet import carpet_rows


def test_rows_are_sorted_by_tissue_scaled_and_without_trend():
    time = np.linspace(-1, 1, 40)
    segmentation = np.array([3, 0, 1, 2, 1, 3]).reshape(6, 1, 1)
    wave = np.sin(9 * np.arange(40))
    series = (np.arange(1, 7)[:, None] * wave + 30 * time + 500).reshape(6, 1, 1, 40)
    series[4] = 7
    carpet, tissue = carpet_rows(series, segmentation)
    assert tissue.tolist() == [1, 1, 2, 3, 3]
    flat = wave - wave.mean() - time * (wave @ time) / (time @ time)
    np.testing.assert_allclose(carpet[0], flat / flat.std(), atol=1e-5)
    np.testing.assert_array_equal(carpet[1], 0)


def test_thinning_keeps_the_share_of_each_tissue():
    segmentation = np.repeat([1, 2], [600, 300]).reshape(30, 30, 1)
    series = np.random.default_rng(41).normal(size=(30, 30, 1, 12))
    carpet, tissue = carpet_rows(series, segmentation, max_rows=90)
    assert carpet.shape == (90, 12)
    assert (tissue == 1).sum() == 60
