from functools import cache

import numpy as np
import pytest

from kcseg.phantom.canvas import Canvas
from kcseg.phantom.contrast import contrast_at
from kcseg.phantom.organs import paint_liver, paint_spleen
from kcseg.phantom.skeleton import paint_body_wall, paint_spine
from kcseg.phantom.surroundings import paint_surroundings

CONTRAST = contrast_at(0.65, np.random.default_rng(0))


def fat(seed: int = 0) -> Canvas:
    return Canvas(np.full((192, 192), -100.0), CONTRAST, np.random.default_rng(seed))


KIDNEY = fat().ellipse((96.0, 96.0), (55.0, 28.0), tilt=0.25)


@cache
def painted(right: bool) -> np.ndarray:
    return np.stack(
        [
            paint_surroundings(KIDNEY, right=right, contrast=CONTRAST, random=np.random.default_rng(seed))
            for seed in range(30)
        ]
    )


@pytest.mark.parametrize("right", [True, False])
def test_the_kidney_lies_mostly_in_fat(right):
    ring = (KIDNEY < -1) & (KIDNEY > -5)
    assert np.median(painted(right)[:, ring]) == pytest.approx(-95, abs=15)


@pytest.mark.parametrize("right", [True, False])
def test_bone_lies_medial_and_lateral_but_never_at_the_kidney(right):
    bone = painted(right) > 420
    assert bone[:, :, 150:].any(axis=(1, 2)).mean() > 0.5
    assert bone[:, :, :45].any(axis=(1, 2)).mean() > 0.4
    assert not bone[:, KIDNEY > -2].any()


def test_air_appears_outside_the_body_and_nothing_is_below_it():
    everything = np.concatenate([painted(True), painted(False)])
    assert everything.min() >= -1001
    assert 0.1 < (everything < -950).any(axis=(1, 2)).mean() < 0.9


def test_the_liver_is_larger_than_the_spleen_and_both_lie_above_and_lateral():
    areas = {}
    for paint in (paint_liver, paint_spleen):
        shares = []
        for seed in range(20):
            canvas = fat(seed)
            paint(canvas, KIDNEY)
            shares.append(canvas.hu > 0)
        rows, columns = np.nonzero(np.sum(shares, axis=0))[:2]
        weight = np.sum(shares, axis=0)[rows, columns]
        assert np.average(rows, weights=weight) < 75
        assert np.average(columns, weights=weight) < 96
        areas[paint.__name__] = np.mean(shares)
    assert areas["paint_liver"] > areas["paint_spleen"] > 0.02


def test_the_body_wall_keeps_clear_of_the_kidney():
    for seed in range(20):
        wall = paint_body_wall(fat(seed), 60.0)
        assert wall.shape == (192, 1)
        assert wall[47:145].max() < 60


def test_the_spine_shows_vertebrae_and_discs_in_turn():
    canvas = fat()
    spine = paint_spine(canvas, 124.0)
    assert spine >= 134
    column = canvas.hu[:, min(185, int(spine) + 12)]
    assert column.max() > 400
    assert column.min() > 0
    rises = np.flatnonzero(np.diff((column > 350).astype(int)) == 1)
    assert len(rises) >= 5
