from dataclasses import replace

import numpy as np
import pytest

from kcseg.phantom.scanner import draw_scanner, scan

PLAIN = replace(
    draw_scanner(np.random.default_rng(0)),
    slice_mm=1.0,
    blur_px=(0.6, 0.6),
    noise_hu=15.0,
    grain_px=(0.8, 1.1),
    streak_hu=0.0,
    shading_hu=0.0,
    offset_hu=0.0,
)


def water(hu: float = 50.0) -> np.ndarray:
    return np.full((192, 192), float(hu))


def test_noise_has_the_stated_level_and_runs_along_the_rows():
    noise = scan(water(), PLAIN, np.random.default_rng(1)).astype(float) - 50
    assert noise.std() == pytest.approx(15, rel=0.1)
    along = (noise[:, 2:] * noise[:, :-2]).mean()
    down = (noise[2:] * noise[:-2]).mean()
    assert along > 1.3 * down > 0


def test_the_mean_stays():
    assert scan(water(), PLAIN, np.random.default_rng(1)).mean() == pytest.approx(50, abs=1)


def test_edges_are_blurred_over_few_pixels():
    tissue = water(-100)
    tissue[:, 96:] = 100
    profile = scan(tissue, replace(PLAIN, noise_hu=0.0), np.random.default_rng(1))[96]
    assert (np.diff(profile) >= 0).all()
    assert 1 <= np.sum((profile > -90) & (profile < 90)) <= 6


def test_images_are_int16_and_end_at_air():
    image = scan(water(-1020), replace(PLAIN, offset_hu=-60.0), np.random.default_rng(1))
    assert image.dtype == np.int16
    assert image.min() == -1024


def test_the_tissue_is_not_changed():
    tissue = water()
    scan(tissue, draw_scanner(np.random.default_rng(3)), np.random.default_rng(1))
    np.testing.assert_array_equal(tissue, water())


def test_thick_slices_blur_along_the_body_and_shift_nothing():
    tissue = water(0)
    tissue[90:102] = 100.0
    quiet = replace(PLAIN, noise_hu=0.0)
    for slice_mm in (2.0, 3.3, 5.0):
        images = [
            scan(tissue, replace(quiet, slice_mm=slice_mm), np.random.default_rng(seed)) for seed in range(30)
        ]
        profile = np.mean(images, axis=0)[:, 96]
        assert np.average(np.arange(192), weights=profile) == pytest.approx(95.5, abs=0.15)
        assert (np.ptp(images[0], axis=1) == 0).all()
    steepest = np.abs(np.diff(scan(tissue, quiet, np.random.default_rng(1))[:, 96])).max()
    assert np.mean([np.abs(np.diff(image[:, 96].astype(int))).max() for image in images]) < 0.6 * steepest


def test_streaks_are_strongest_where_rows_cross_bone():
    tissue = water()
    tissue[60:120, 150:] = 600.0
    streaky = scan(tissue, replace(PLAIN, noise_hu=0.0, streak_hu=20.0), np.random.default_rng(2))
    left = streaky[:, :140].astype(float)
    assert left[70:110].std() > 1.3 * left[130:].std() > 5


def test_scanners_differ_within_the_usual_ranges():
    random = np.random.default_rng(0)
    scanners = [draw_scanner(random) for _ in range(200)]
    assert all(5 <= scanner.noise_hu <= 32 and 1 <= scanner.slab_mm <= 5 for scanner in scanners)
    assert 0.2 < np.mean([scanner.slice_mm > 1 for scanner in scanners]) < 0.5
