import hashlib

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, gaussian_filter

from kcseg.data.phantom import draw_case


@pytest.fixture(scope="module")
def cases():
    return [draw_case(np.random.default_rng([1, number])) for number in range(24)]


def test_a_case_is_what_the_challenge_delivered(cases):
    for case in cases:
        assert case.hu.shape == case.truth.shape == case.vessels.shape == (192, 192)
        assert (case.hu.dtype, case.truth.dtype, case.vessels.dtype) == (np.int16, bool, bool)
        assert case.hu.min() >= -1024
        assert 900 < case.truth.sum() < 5500  # mm²


def test_equal_generators_draw_equal_bytes_the_same_on_every_machine():
    case = draw_case(np.random.default_rng(2018))
    again = draw_case(np.random.default_rng(2018))
    assert case.hu.tobytes() == again.hu.tobytes() and case.truth.tobytes() == again.truth.tobytes()
    digest = hashlib.sha256(case.hu.tobytes() + case.truth.tobytes()).hexdigest()
    assert digest == "c0a57fae6dbd90e3c5856170e68d82d956e03fbd936c0cabf2b5f634b89b7309"


def test_cortex_enhances_and_surroundings_have_their_hu(cases):
    for case in cases:
        inside = binary_erosion(case.truth)
        cortex = np.median(case.hu[inside])
        assert 75 < cortex < 260
        rim = gaussian_filter(case.truth.astype(float), 8)
        fat = case.hu[(rim < 0.02) & (case.hu < -40) & (case.hu > -300)]
        assert -125 < np.median(fat) < -80


def test_cortex_is_brighter_than_medulla(cases):
    gaps = []
    for case in cases:
        medulla = binary_erosion(case.medulla)
        if medulla.sum() > 40:
            gap = np.median(case.hu[binary_erosion(case.truth)]) - np.median(case.hu[medulla])
            assert gap > -10
            gaps.append(gap)
    assert np.median(gaps) > 50


def test_both_sides_and_off_centre_planes_come_up(cases):
    assert {case.side for case in cases} == {"left", "right"}
    assert max(abs(case.off_centre_mm) for case in cases) > 6
    assert min(abs(case.off_centre_mm) for case in cases) < 2


def test_the_spine_stands_on_the_medial_side(cases):
    bone = {"left": np.zeros(192), "right": np.zeros(192)}
    for case in cases:
        bone[case.side] += (gaussian_filter(case.hu.astype(float), 3) > 170)[:, :].sum(axis=0)
    assert bone["right"][150:].sum() > 2 * bone["right"][:42].sum()
    assert bone["left"][:42].sum() > 2 * bone["left"][150:].sum()


def test_noise_is_correlated_sideways_more_than_downwards(cases):
    def correlation(axis):
        values = []
        for case in cases:
            fine = case.hu - gaussian_filter(case.hu.astype(float), 4)
            calm = np.abs(gaussian_filter(case.hu.astype(float), 3) + 100) < 15
            near = np.roll(fine, 2, axis=axis)
            values.append(np.corrcoef(fine[calm], near[calm])[0, 1])
        return np.median(values)

    assert correlation(1) > correlation(0) + 0.05
