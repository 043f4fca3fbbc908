from types import SimpleNamespace

import numpy as np
import pytest
from skimage.measure import label

from kcseg.phantom.growth import grow_kidney
from kcseg.phantom.shapes import Planes

AXIS = np.arange(-80.0, 80.0)


def dense(tissues):
    """The depths of tissues on their one plane, far outside where nothing is stated."""

    def spread(values):
        plane = np.full(tissues.shape, -99.0)
        plane.ravel()[tissues.places] = values
        return plane[0]

    names = ("solid", "sinus", "medulla", "cortex")
    return SimpleNamespace(**{name: spread(getattr(tissues, name)) for name in names})


def kidney(seed: int):
    return grow_kidney(np.random.default_rng(seed))


def cut(seed: int, depth_mm: float = 0.0):
    return dense(kidney(seed).cut(Planes(AXIS, AXIS, np.array([depth_mm]))))


def tip_to_tip_mm(solid: np.ndarray) -> float:
    points = np.argwhere(solid)
    outline = points[:: max(1, len(points) // 500)]
    return float(np.sqrt(((outline[:, None] - outline[None]) ** 2).sum(axis=-1)).max())


def test_kidneys_are_9_to_13_cm_long_and_about_half_as_wide():
    lengths = []
    for seed in range(20):
        solid = cut(seed).solid > 0
        length = tip_to_tip_mm(solid)
        lengths.append(length)
        assert 80 < length < 135
        assert 0.35 < 4 * solid.sum() / np.pi / length**2 < 0.75
    assert 100 < np.mean(lengths) < 118


def test_the_upper_pole_lies_nearer_the_midline():
    leanings = []
    for seed in range(20):
        rows, columns = np.nonzero(cut(seed).solid > 0)
        leanings.append(np.polyfit(rows, columns, 1)[0])
    assert np.mean(leanings) < -0.1


def test_a_kidney_is_one_piece_with_cortex_around_every_pyramid():
    for seed in range(15):
        tissues = cut(seed)
        solid = tissues.solid > 0
        parts = np.bincount(label(solid).ravel())[1:]
        assert parts.max() > 0.97 * parts.sum()
        # no pyramid comes nearer to the capsule than the thinnest rim
        assert tissues.solid[tissues.medulla > 0].min() > 2.0


def test_the_cortex_hangs_together():
    for seed in range(15):
        parts = np.bincount(label(cut(seed).cortex > 0, connectivity=2).ravel())[1:]
        assert parts.max() > 0.9 * parts.sum()


def test_a_central_cut_shows_several_pyramids():
    counts = [np.sum(np.bincount(label(cut(seed).medulla > 0).ravel())[1:] > 20) for seed in range(20)]
    assert 4 <= np.mean(counts) <= 10


def test_the_sinus_opens_to_the_midline_in_most_central_cuts():
    opens = []
    for seed in range(20):
        tissues = cut(seed)
        parts = label((tissues.solid < 0) | (tissues.sinus > 0), connectivity=1)
        sinus = (tissues.sinus > 0) & (tissues.solid > 6)
        opens.append(bool((parts[sinus] == parts[0, -1]).any()))
        # never through the convex side
        row = parts.shape[0] // 2
        solid = np.flatnonzero(tissues.solid[row] > 0)
        if len(solid):
            assert tissues.sinus[row, solid[0]] < 0
    assert np.mean(opens) > 0.5


def test_the_sinus_shrinks_away_from_the_centre():
    central = np.mean([(cut(seed).sinus > 0)[cut(seed).solid > 0].mean() for seed in range(12)])
    beside = np.mean([(cut(seed, -16).sinus > 0)[cut(seed, -16).solid > 0].mean() for seed in range(12)])
    assert beside < 0.5 * central


@pytest.mark.parametrize("seed", range(3))
def test_points_of_the_kidney_are_found_where_to_body_puts_them(seed):
    grown = kidney(seed)
    centre = grown.to_body(grown.sinus_centre_mm)
    point = Planes(centre[:1], centre[1:2], centre[2:])
    assert dense(grown.cut(point)).sinus[0, 0] > 0


def test_neighbouring_planes_agree():
    near, far = cut(0, 0.0).solid > 0, cut(0, 0.5).solid > 0
    assert (near ^ far).mean() < 0.01


def test_the_depth_of_a_plane_is_that_of_its_cut():
    planes = Planes(AXIS, AXIS, np.array([3.0]))
    grown = kidney(1)
    tissues = grown.cut(planes)
    np.testing.assert_allclose(grown.depth(planes).ravel()[tissues.places], tissues.solid, atol=1e-4)
