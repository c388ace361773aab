import numpy as np
import pytest

from workflows.compute.tissue import (
    class_means,
    class_noise,
    expected_classes,
    first_labels,
    hard_labels,
    session_classes,
    smoothed_prior,
    template_classes,
    tissue_agreement,
    tissue_fractions,
)

SHAPE = (30, 20, 20)


def layers(noise, seed=0):
    """Image of slabs: CSF 30, grey 70, white 100, with truth as fractions (3, ...)."""
    truth = np.zeros((3, *SHAPE))
    truth[2, :10] = truth[0, 10:20] = truth[1, 20:] = 1
    truth[0, 10] = truth[2, 10] = 0.5
    truth[0, 19] = truth[1, 19] = 0.5
    pure = 30 * truth[2] + 70 * truth[0] + 100 * truth[1]
    volume = pure + np.random.default_rng(seed).normal(scale=noise, size=SHAPE)
    return volume.astype(np.float32), truth


ALL = np.ones(SHAPE, bool)


def test_three_intensities_get_their_labels_in_order_of_brightness():
    volume = np.array([[[10.0, 11, 50, 52, 90, 91, 0]]])
    mask = volume > 0
    np.testing.assert_array_equal(first_labels(volume, mask), [[[1, 1, 2, 2, 3, 3, 0]]])


def test_a_flat_brain_has_no_tissue():
    with pytest.raises(ValueError, match="three intensities"):
        first_labels(np.ones(SHAPE), ALL)


def test_mixed_classes_are_half_of_each_neighbour():
    classes = np.array([[[[0.1, 0.2, 0.3, 0.4, 0.0]]]])
    np.testing.assert_allclose(tissue_fractions(classes).ravel(), [0.6, 0.2, 0.2], rtol=1e-6)
    with pytest.raises(ValueError, match="five"):
        tissue_fractions(np.ones((2, 2, 2, 3)))


def test_hard_labels_take_the_largest_fraction_inside_the_mask():
    fractions = np.array([[0.5, 0.2, 0.1, 0.9], [0.3, 0.7, 0.1, 0.1], [0.2, 0.1, 0.8, 0.0]])
    labels = hard_labels(fractions[:, None, None], np.array([[[True, True, True, False]]]))
    np.testing.assert_array_equal(labels, [[[1, 2, 3, 0]]])


def test_expected_classes_add_up_to_one_and_follow_the_maps():
    mask = np.array([[[True, True, False]]])
    classes = expected_classes(np.array([[[1.0, 0.5, 1]]]), np.array([[[0.0, 0.5, 0]]]), mask)
    np.testing.assert_allclose(classes.sum(axis=-1), [[[1, 1, 0]]], rtol=1e-6)
    assert classes[0, 0, 0].argmax() == 2
    np.testing.assert_allclose(classes[0, 0, 1, 2], classes[0, 0, 1, 4])
    with pytest.raises(ValueError, match="shapes"):
        expected_classes(np.ones((1, 1, 2)), np.ones((1, 1, 3)), mask)


def test_template_classes_recover_the_fractions_of_noisy_layers():
    volume, truth = layers(noise=4)
    flat = expected_classes(np.full(SHAPE, 0.4), np.full(SHAPE, 0.3), ALL)
    fractions = tissue_fractions(template_classes(volume, flat, 1.0, 3))
    np.testing.assert_allclose(fractions.sum(axis=0), 1, atol=1e-5)
    totals = fractions.sum(axis=(1, 2, 3)) / truth.sum(axis=(1, 2, 3))
    np.testing.assert_allclose(totals, 1, atol=0.03)


def test_bright_grey_matter_is_found_where_it_is_expected():
    volume, _ = layers(noise=6)
    nucleus = (slice(24, 27), slice(5, 15), slice(5, 15))
    volume[nucleus] -= 14
    grey, white = np.full(SHAPE, 0.3), np.full(SHAPE, 0.3)
    flat = template_classes(volume, expected_classes(grey, white, ALL), 1.0, 3)
    grey[nucleus], white[nucleus] = 1, 0
    told = template_classes(volume, expected_classes(grey, white, ALL), 1.0, 3)
    gain = tissue_fractions(told)[0] - tissue_fractions(flat)[0]
    assert gain[nucleus].mean() > 0.2
    assert abs(gain[12:18].mean()) < 0.05


def test_means_are_local_and_mixed_means_lie_between():
    volume, truth = layers(noise=0)
    classes = np.zeros((*SHAPE, 5))
    classes[:10, ..., 0] = classes[10:20, ..., 2] = classes[20:, ..., 4] = 1
    classes[[10, 19]] = 0
    means = class_means(volume, classes, 1.0)
    np.testing.assert_allclose(means[15, 10, 10], [30, 50, 70, 85, 100], atol=1e-3)
    with pytest.raises(ValueError, match="class 4"):
        class_means(volume, classes * [1, 1, 1, 1, 0], 1.0)


def test_noise_is_pooled_over_sessions_as_variance():
    volume = np.zeros((1, 1, 3))
    classes = np.zeros((1, 1, 3, 5))
    classes[0, 0, [0, 1, 2], [0, 2, 4]] = 1
    means = np.zeros((1, 1, 3, 5))
    sessions = [volume + 3, volume - 4]
    expected = 1.4826 * np.sqrt((9 + 16) / 2)
    np.testing.assert_allclose(class_noise(sessions, means, classes), expected)
    with pytest.raises(ValueError, match="empty"):
        class_noise(sessions, means, classes * 0)


def session_grey(volume, model):
    classes, means, noise = model
    answer = session_classes(volume, means, smoothed_prior(classes, 1.0), noise)
    return tissue_fractions(answer)[0]


@pytest.fixture(scope="module")
def model():
    volume, _ = layers(noise=2)
    flat = expected_classes(np.full(SHAPE, 0.4), np.full(SHAPE, 0.3), ALL)
    classes = template_classes(volume, flat, 1.0, 3)
    means = class_means(volume, classes, 1.0)
    return classes, means, class_noise([volume], means, classes)


def test_a_brighter_edge_of_csf_and_grey_holds_more_grey_matter(model):
    volume, _ = layers(noise=2)
    brighter = volume.copy()
    brighter[10] += 12
    change = session_grey(brighter, model) - session_grey(volume, model)
    assert change[10].mean() > 0.1
    np.testing.assert_array_equal(np.delete(change, 10, axis=0), 0)


def test_session_classes_need_noise_and_ignore_what_is_outside_of_the_brain(model):
    volume, _ = layers(noise=2)
    classes, means, noise = model
    prior = smoothed_prior(classes, 1.0)
    prior[:3] = 0
    answer = session_classes(volume, means, prior, noise)
    np.testing.assert_array_equal(answer[:3], 0)
    np.testing.assert_allclose(answer[3:].sum(axis=-1), 1, atol=1e-5)
    with pytest.raises(ValueError, match="noise"):
        session_classes(volume, means, prior, [1, 0, 1])


def test_agreement_is_the_smaller_chance_of_the_brighter_tissue():
    volume = np.array([9.0, 8, 5, 5, 6, 2, 5, 1]).reshape(8, 1, 1)
    white, grey = np.zeros(volume.shape), np.zeros(volume.shape)
    white[:3], grey[3:5] = 1, 1
    mask = np.ones(volume.shape, bool)
    # white 9 8 5, grey 5 6: 2 + 2 + .5 of 6 pairs; grey 5 6, fluid 2 5 1: 2.5 + 3 of 6
    assert tissue_agreement(volume, mask, grey, white) == pytest.approx(4.5 / 6)
    assert tissue_agreement(-volume, mask, grey, white) == pytest.approx(0.5 / 6)
    mask[7] = False
    assert tissue_agreement(volume, mask, grey, white) == pytest.approx(4.5 / 6)
    assert np.isnan(tissue_agreement(volume, mask, np.zeros(volume.shape), white))
