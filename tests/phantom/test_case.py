from functools import cache

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion
from skimage.measure import label

from kcseg.files import sha256
from kcseg.phantom.case import Case, draw_case

# When this changes, the seed stands for other pictures: every number measured on them is measured again.
GOLDEN = "dd8be14ac9347c1fd0c30bb9785aae14b310a6f7a17d7f9c42f695c2d9a5c6fa"


@cache
def cases() -> tuple[Case, ...]:
    return tuple(draw_case(np.random.default_rng([5, index])) for index in range(36))


def test_shapes_and_types():
    for case in cases():
        assert case.hu.shape == case.truth.shape == (192, 192)
        assert case.hu.dtype == np.int16
        assert case.truth.dtype == case.vessels.dtype == case.kidney.dtype == bool


def test_the_same_generator_gives_the_same_bytes():
    case = draw_case(np.random.default_rng(2018))
    assert sha256(case.hu.tobytes(), case.truth.tobytes()) == GOLDEN


def test_cortex_lies_within_the_capsule_and_leaves_vessels_out():
    for case in cases():
        assert not (case.truth & ~binary_dilation(case.kidney)).any()
        assert not (case.truth & case.vessels).any()


def test_cortex_outshines_the_pyramids_the_less_the_later():
    gaps = {"early": [], "late": []}
    for case in cases():
        core = binary_erosion(case.medulla)
        if core.sum() > 40:
            cortex, medulla = np.median(case.hu[binary_erosion(case.truth)]), np.median(case.hu[core])
            assert cortex > medulla - 8
            gaps["early" if case.facts["phase"] < 0.5 else "late"].append((cortex - medulla) / cortex)
    assert min(len(phase) for phase in gaps.values()) > 5
    assert np.mean(gaps["early"]) > 1.4 * np.mean(gaps["late"]) > 0.05


def test_cortex_shows_the_stated_brightness():
    for case in cases():
        core = binary_erosion(case.truth, iterations=2)
        assert case.hu[core].mean() == pytest.approx(case.facts["cortex_hu"], abs=40)


def test_the_cortex_rims_the_kidney():
    for case in cases():
        rim = case.kidney & ~binary_erosion(case.kidney, iterations=3)
        assert case.truth[rim].mean() > 0.6


def test_the_cortex_is_nearly_one_piece_without_specks():
    for case in cases():
        parts = np.bincount(label(case.truth, connectivity=2).ravel())[1:]
        assert parts.min() >= 12
        # a cyst may part it
        assert case.facts["lesions"] or parts.max() > 0.85 * parts.sum()


def test_the_kidney_is_centred_and_whole():
    for case in cases():
        rows, columns = np.nonzero(case.kidney)
        assert abs((rows.min() + rows.max()) / 2 - 95.5) < 30
        assert abs((columns.min() + columns.max()) / 2 - 95.5) < 30
        assert rows.min() > 2 and rows.max() < 189 and columns.min() > 2 and columns.max() < 189
        assert 1500 < len(rows) < 9000


def test_the_upper_pole_lies_nearer_the_midline_on_both_sides():
    for side, sign in (("right", 1), ("left", -1)):
        leanings = []
        for case in cases():
            if case.facts["side"] == side:
                rows, columns = np.nonzero(case.kidney)
                leanings.append(sign * np.polyfit(rows, columns, 1)[0])
        assert len(leanings) > 10
        assert np.mean(leanings) < -0.1


def test_the_kidney_lies_in_fat_and_bone_lies_outside():
    nearby = [
        case.hu[binary_dilation(case.kidney, iterations=5) & ~binary_dilation(case.kidney, iterations=2)]
        for case in cases()
    ]
    assert -130 < np.median(np.concatenate(nearby)) < -20
    assert np.mean([case.hu.max() > 400 for case in cases()]) > 0.7
    for case in cases():
        if "stone" not in case.facts["lesions"]:
            assert np.percentile(case.hu[case.kidney], 99) < 420


def test_off_centre_cuts_hold_more_cortex_for_their_size():
    share = {False: [], True: []}
    for case in cases():
        share[case.facts["off_centre"]].append(case.truth.sum() / case.kidney.sum())
    assert 0.15 < len(share[True]) / len(cases()) < 0.5
    assert np.mean(share[True]) > np.mean(share[False])


def test_facts_are_plain_values():
    case = cases()[0]
    assert case.facts["side"] in ("left", "right")
    assert all(isinstance(value, str | float | bool | list) for value in case.facts.values())
    assert 90 <= case.facts["length_mm"] <= 130
