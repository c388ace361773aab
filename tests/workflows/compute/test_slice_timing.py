import numpy as np
import pytest

from workflows.compute.slice_timing import (
    at_one_moment,
    later_in_time,
    middle_of_slices,
    slices_in_order,
)

TR_S = 2.0
TIMES_S = np.array([0.0, 1.0, 0.5, 1.5])
N_VOLUMES = 120


def wave(time_s):
    return 100 + 3 * np.sin(2 * np.pi * 0.08 * time_s + 0.4) + np.cos(2 * np.pi * 0.03 * time_s)


def scanned(axis):
    """Series (4 slices along `axis`) of one wave, each slice at its own time."""
    volumes = np.arange(N_VOLUMES) * TR_S
    shape = [2, 3, 5]
    shape[axis] = 4
    series = np.empty((*shape, N_VOLUMES))
    np.moveaxis(series, axis, 0)[...] = wave(TIMES_S[:, None] + volumes)[:, None, None]
    return series


def fourier_shift(values, later):
    """A second way: phases turned in the Fourier transform of the series and its mirror."""
    mirrored = np.concatenate([values, values[::-1]])
    turned = np.exp(2j * np.pi * np.fft.rfftfreq(len(mirrored)) * later)
    return np.fft.irfft(np.fft.rfft(mirrored) * turned, len(mirrored))[: len(values)]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_wave_is_recovered_at_the_moment_asked_for(axis):
    moment_s = 0.75
    corrected = at_one_moment(scanned(axis), TIMES_S, axis, (moment_s, TR_S))
    truth = wave(np.arange(N_VOLUMES) * TR_S + moment_s)
    assert corrected.dtype == np.float32
    assert np.abs(scanned(axis) - truth)[..., 6:-6].max() > 1
    assert np.abs(corrected - truth)[..., 6:-6].max() < 0.01


def test_a_spline_errs_less_than_fourier_and_straight_lines():
    at = np.arange(N_VOLUMES)
    truth = wave((at + 0.375) * TR_S)
    values = wave(at * TR_S)
    ways = {
        "spline": later_in_time(N_VOLUMES, 0.375) @ values,
        "fourier": fourier_shift(values, 0.375),
        "line": np.interp(at + 0.375, at, values),
    }
    error = {name: np.abs(found - truth)[12:-12].max() for name, found in ways.items()}
    assert error["spline"] < 0.2 * error["fourier"]
    assert error["spline"] < 0.05 * error["line"]


def test_whole_volumes_later_is_the_next_value():
    matrix = later_in_time(8, 1.0)
    np.testing.assert_allclose(matrix[:-1], np.eye(8)[1:], atol=1e-12)
    np.testing.assert_allclose(later_in_time(8, 0.0), np.eye(8), atol=1e-12)
    np.testing.assert_allclose(later_in_time(9, -0.3).sum(axis=1), 1)


def test_volumes_before_the_steady_state_stay_and_touch_nothing():
    series = scanned(2)
    series[..., :3] += 500
    moments = (0.75, TR_S)
    corrected = at_one_moment(series, TIMES_S, 2, moments, n_dummy=3)
    alone = at_one_moment(series[..., 3:], TIMES_S, 2, moments)
    np.testing.assert_array_equal(corrected[..., :3], series[..., :3].astype(np.float32))
    np.testing.assert_allclose(corrected[..., 3:], alone, rtol=1e-6)


def test_a_negative_direction_turns_the_times_round():
    times, axis = slices_in_order([0.0, 0.5, 1.5], "j-")
    assert (times.tolist(), axis) == ([1.5, 0.5, 0.0], 1)
    times, axis = slices_in_order([0.0, 0.5, 1.5], "k")
    assert (times.tolist(), axis) == ([0.0, 0.5, 1.5], 2)
    with pytest.raises(ValueError, match="slice_axis: expected i, j or k"):
        slices_in_order([0.0], "z")


def test_the_middle_lies_between_first_and_last_slice():
    assert middle_of_slices([0.4, 0.0, 1.0]) == 0.5


def test_another_number_of_slices_is_refused():
    with pytest.raises(ValueError, match=r"expected 4 times along axis 2, found 3"):
        at_one_moment(scanned(2), TIMES_S[:3], 2, (0.75, TR_S))
