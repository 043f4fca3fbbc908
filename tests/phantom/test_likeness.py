import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from kcseg.phantom.likeness import hu_shares, noise, noise_range, noise_spectrum


def noisy(level_hu=15.0, grain_px=(0.8, 0.8), seed=0):
    """A bright disc in fat under correlated noise."""
    rows, columns = np.ogrid[:192, :192]
    image = np.where(np.hypot(rows - 95.5, columns - 95.5) < 40, 150.0, -100.0)
    grain = gaussian_filter(np.random.default_rng(seed).standard_normal(image.shape), grain_px, mode="wrap")
    return image + level_hu * grain / grain.std()


def test_the_level_of_the_noise_is_found():
    for level in (8.0, 20.0):
        assert noise(noisy(level))["level_hu"] == pytest.approx(level, rel=0.1)


def test_the_direction_of_the_grain_is_found():
    found = noise(noisy(grain_px=(0.6, 1.3)))
    assert found["along_rows_1_px"] > found["down_columns_1_px"] + 0.1
    assert found["along_rows_2_px"] > found["down_columns_2_px"] + 0.1


def test_an_image_of_air_alone_still_has_noise():
    assert noise(noisy() - 900)["level_hu"] > 5


def test_ranges_are_percentiles_over_the_images():
    low, middle, high = noise_range([noisy(level, seed=level) for level in (8, 12, 20)])["level_hu"]
    assert low < middle < high
    assert middle == pytest.approx(12, rel=0.1)


def test_finer_noise_has_a_higher_spectrum():
    frequencies, fine = noise_spectrum([noisy(grain_px=(0.5, 0.5), seed=seed) for seed in range(5)])
    _, coarse = noise_spectrum([noisy(grain_px=(1.5, 1.5), seed=seed) for seed in range(5)])
    assert frequencies.shape == fine.shape == (16,)
    assert fine.sum() == pytest.approx(1)
    assert (fine * frequencies).sum() > 1.5 * (coarse * frequencies).sum()


def test_shares_tell_the_kidney_from_its_surroundings():
    centre, around = hu_shares([noisy(1.0)], np.array([-200.0, 0.0, 300.0]))
    np.testing.assert_allclose(centre, [0, 1])
    np.testing.assert_allclose(around, [1, 0])
