"""Standard errors of deformations and segmentations, against made-up repetitions."""

import numpy as np
import pytest
from scipy import ndimage

from workflows.compute.deformation import deformations, frame_of, scan_of
from workflows.compute.deformation_error import (
    Noise,
    deformation_noise,
    expansion_functional,
    functional_error,
    scatter_error,
)
from workflows.compute.geometry import jacobian_determinant

SHAPE = (28, 28, 28)
CENTRE = np.array([13.5, 13.5, 13.5])
DISTANCE = np.linalg.norm(np.indices(SHAPE) - CENTRE[:, None, None, None], axis=0)
MASK = DISTANCE < 10
FRAME = frame_of(MASK, np.eye(4))
NOISE_SD = 3.0
PLACE = np.eye(4)
PLACE[:3, 3] = [0.3, 0.5, 0.2]
"""Between voxels, as sessions are."""


def head():
    texture = np.random.default_rng(0).normal(size=SHAPE)
    smooth = ndimage.gaussian_filter(texture, 1.5)
    return 100 + 20 * smooth / smooth.std()


def some_noise():
    """Noise record of two noisy copies of a head."""
    generator = np.random.default_rng(3)
    scans = [
        scan_of(head() + generator.normal(scale=NOISE_SD, size=SHAPE), np.eye(4), PLACE)
        for _ in range(2)
    ]
    found = deformations(scans, FRAME)
    return deformation_noise(found.warped, FRAME, found.noise)


NOISE = some_noise()


def test_the_functional_of_a_growth_is_its_relative_change_of_volume():
    weight = np.where(DISTANCE < 6, 0.7, 0).astype(np.float32)
    nodes = np.indices(NOISE.evidence.shape[1:]) * 2.0 + 0.5 - 13.5
    growth = nodes * np.array([0.01, 0.02, -0.005])[:, None, None, None]
    found = float((expansion_functional(weight, NOISE) * growth).sum())
    assert found == pytest.approx(0.025, rel=0.02)
    shift = np.ones_like(nodes)
    assert float((expansion_functional(weight, NOISE) * shift).sum()) == pytest.approx(0, abs=1e-5)


def test_a_functional_knows_its_axes_and_its_place():
    weight = np.zeros(SHAPE, np.float32)
    weight[16:20, 6:14, 20:24] = 1
    found = expansion_functional(weight, NOISE)
    places = np.argwhere(np.abs(found[1]) > 0.01)
    # the walls along y are at voxels 6 and 14, which are nodes 2, 3 and 6, 7
    assert set(places[:, 1]) == {2, 3, 6, 7}
    assert (places[:, 0].min(), places[:, 0].max()) == (8, 9)
    assert found[1, 8, 2:4, 10].sum() < 0 < found[1, 8, 6:8, 10].sum()
    with pytest.raises(ValueError, match="weight"):
        expansion_functional(0 * weight, NOISE)


def test_a_region_at_the_corner_of_the_grid_is_no_special_case():
    weight = np.zeros(SHAPE, np.float32)
    weight[:5, :5, :5], weight[24:, 24:, 24:] = 1, 1
    assert functional_error(expansion_functional(weight, NOISE), NOISE) > 0


def test_twice_the_noise_is_about_twice_the_error_where_the_image_decides():
    weight = np.where(DISTANCE < 7, 1, 0).astype(np.float32)
    functional = expansion_functional(weight, NOISE)
    parts = {name: getattr(NOISE, name) for name in Noise.__dataclass_fields__}
    evidence, slopes = 1e4 * NOISE.evidence, 1e4 * NOISE.slopes
    small = Noise(**(parts | {"evidence": evidence, "slopes": slopes}))
    parts |= {"evidence": evidence / 4, "slopes": slopes / 4, "size": 2 * NOISE.size}
    ratio = functional_error(functional, Noise(**parts)) / functional_error(functional, small)
    assert ratio == pytest.approx(2, rel=0.1)


@pytest.mark.slow
def test_the_error_of_a_region_is_the_spread_over_repetitions():
    regions = [DISTANCE < 5, (DISTANCE < 8) & (np.indices(SHAPE)[0] > 15)]
    generator = np.random.default_rng(11)
    known, measured = [], []
    for _ in range(60):
        scans = [
            scan_of(head() + generator.normal(scale=NOISE_SD, size=SHAPE), np.eye(4), PLACE)
            for _ in range(2)
        ]
        found = deformations(scans, FRAME)
        noise = deformation_noise(found.warped, FRAME, found.noise)
        functionals = [expansion_functional(region.astype(np.float32), noise) for region in regions]
        known.append([np.sqrt(2) * functional_error(part, noise) for part in functionals])
        moved = [np.moveaxis(part, 0, -1) for part in found.displacements]
        first, second = (jacobian_determinant(part, np.eye(4)) for part in moved)
        measured.append([(second - first)[region].mean() for region in regions])
    np.testing.assert_allclose(np.mean(known, axis=0), np.std(measured, axis=0), rtol=0.25)
    np.testing.assert_allclose(np.mean(measured, axis=0), 0, atol=4 * np.std(measured) / 60**0.5)


def test_the_scatter_of_grey_matter_is_the_spread_over_repetitions():
    labels = np.zeros((24, 24, 24), int)
    labels[4:20, 4:20, 4:12], labels[4:20, 4:20, 12:16] = 7, 3
    generator = np.random.default_rng(4)
    sums, errors = [], []
    for _ in range(60):
        # half of the noise of 2 x 2 x 2 voxels is common; region 7 shrinks by 3 % in session two
        common = generator.normal(scale=0.1, size=(2, 12, 12, 12))
        common = common.repeat(2, 1).repeat(2, 2).repeat(2, 3)
        shares = 0.6 + common + generator.normal(scale=0.1, size=(2, 24, 24, 24))
        shares[1][labels == 7] *= 0.97
        errors.append(scatter_error(list(shares), labels, [3, 5, 7], 4))
        sums.append([shares[0][labels == 3].sum(), shares[0][labels == 7].sum()])
    spread = np.std(sums, axis=0) / np.mean(sums, axis=0)
    typical = np.sqrt(np.mean(np.square(errors), axis=0))
    np.testing.assert_allclose(typical[[0, 2]], spread, rtol=0.25)
    assert np.isnan(typical[1])


def test_a_change_of_the_whole_region_is_no_noise():
    labels = np.ones((8, 8, 8), int)
    share = np.random.default_rng(0).uniform(size=labels.shape)
    np.testing.assert_allclose(scatter_error([share, 1.2 * share], labels, [1], 4), [0], atol=1e-12)


def test_scatter_by_hand():
    labels = np.full((4, 1, 1), 2)
    first, second = np.array([1.0, 1, 3, 3]), np.array([2.0, 2, 2, 2])
    shares = [first.reshape(4, 1, 1), second.reshape(4, 1, 1)]
    # blocks of two: sums 2, 6 and 4, 4; mean 3, 5; nothing is common; away -1, 1 and 1, -1
    expected = np.sqrt(4 / 1 * 2 / 1) / 8
    np.testing.assert_allclose(scatter_error(shares, labels, [2], 2), [expected])
    assert np.isnan(scatter_error(shares, labels, [2], 4)).all()
    assert np.isnan(scatter_error([0 * share for share in shares], labels, [2], 2)).all()
