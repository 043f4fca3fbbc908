import numpy as np
import pytest

from kcseg.data.canvas import Canvas
from kcseg.data.enhancement import draw_enhancement
from kcseg.data.surroundings import paint_surroundings


def paint(seed):
    random = np.random.default_rng(seed)
    down, medial = np.mgrid[-96:96, -96:96].astype(float)
    canvas = Canvas(np.zeros(down.shape), down, medial, 1.0, random)
    kidney_mm = np.hypot(down / 1.8, medial) - 28
    paint_surroundings(canvas, kidney_mm, draw_enhancement(random))
    return canvas, kidney_mm


@pytest.fixture(scope="module")
def pictures():
    return [paint(seed) for seed in range(40)]


def test_every_picture_has_fat_around_the_kidney(pictures):
    for canvas, kidney_mm in pictures:
        rim = (kidney_mm > 0) & (kidney_mm < 4)
        assert np.mean((canvas.hu[rim] < -60) & (canvas.hu[rim] > -140)) > 0.25


def test_organs_bone_gas_and_air_come_up_where_they_belong(pictures):
    mean = np.mean([canvas.hu for canvas, _ in pictures], axis=0)
    assert mean[:40, 20:60].mean() > mean[150:, 60:100].mean() + 40  # liver or spleen above and lateral
    assert mean[:, 180:].mean() > mean[:, 120:140].mean() + 60  # spine medially
    assert np.mean([(canvas.hu[:, :8] < -800).any() for canvas, _ in pictures]) > 0.1  # air beyond the skin
    assert np.mean([(canvas.hu > 350).any() for canvas, _ in pictures]) > 0.6  # ribs, vertebrae


def test_pictures_differ(pictures):
    assert np.mean(np.abs(pictures[0][0].hu - pictures[1][0].hu)) > 20
