from functools import cache

import numpy as np

from kcseg.phantom.body import Body
from kcseg.phantom.case import draw_patient, draw_slice, draw_wide_case
from kcseg.phantom.contrast import contrast_at

ROWS, COLUMNS = np.arange(-200.0, 280), np.arange(-200.0, 200)


@cache
def body(seed: int) -> Body:
    return draw_patient(np.random.default_rng(seed), absent_rate=0.0)[0]


def test_a_slice_through_both_kidneys_shows_them_on_their_sides():
    for seed in range(4):
        there = body(seed)
        depth = float(np.mean([kidney.centre_mm[2] for kidney in there.kidneys]))
        slab = there.cut(ROWS, COLUMNS, depth, 2.0)
        cortex, medulla, _, kidney = slab.masks
        for side, half in (("right", kidney[:, COLUMNS < 0]), ("left", kidney[:, COLUMNS > 0])):
            assert 800 < half.sum() < 9000, side
        assert not (cortex & medulla).any() and (cortex & ~kidney).sum() < 30


def test_tissues_have_the_hu_of_their_kind():
    there = body(3)  # without arms
    slab = there.cut(ROWS, COLUMNS, float(there.kidneys[0].centre_mm[2]), 2.0)
    assert (slab.hu[:, [0, -1]] < -900).mean() > 0.5  # air beside the body
    assert ((slab.hu > -130) & (slab.hu < -70)).mean() > 0.03  # fat
    assert (slab.hu > 300).any() and (slab.hu < -700).any()  # bone and lung


def test_slices_of_one_body_fit_together():
    there = body(2)
    depth = float(there.kidneys[0].centre_mm[2])
    one, next_one, far = (there.cut(ROWS, COLUMNS, depth + step, 1.0) for step in (0, 1, 25))
    assert np.abs(one.hu - next_one.hu).mean() < 0.3 * np.abs(one.hu - far.hu).mean()


def test_behind_and_in_front_of_the_kidneys_there_are_none():
    there = body(3)
    for depth in (-80.0, 100.0):
        assert not there.cut(ROWS, COLUMNS, depth, 2.0).masks.any()


def test_slices_come_in_all_phases_with_and_without_kidneys():
    cases = [draw_slice(np.random.default_rng([1, seed])) for seed in range(8)]
    areas = [int(case.kidney.sum()) for case in cases]
    assert 0 in areas and max(areas) > 5000
    phases = [case.facts["phase"] for case in cases]
    assert min(phases) < 0.6 and max(phases) > 0.8
    assert len({case.hu.shape for case in cases}) > 4


def test_the_same_generator_gives_the_same_bytes():
    one, again = (draw_wide_case(np.random.default_rng([3, 4])) for _ in range(2))
    assert one.hu.tobytes() == again.hu.tobytes() and one.facts == again.facts


def test_without_contrast_cortex_and_medulla_are_nearly_alike():
    contrast = contrast_at(0.5, np.random.default_rng(0), dose=0.0)
    assert abs(contrast.cortex - contrast.medulla) < 20 and contrast.cortex < 60
