import numpy as np
import pytest

from kcseg.phantom.growth import grow_kidney
from kcseg.phantom.shapes import Planes
from kcseg.phantom.vessels import Tubes, grow_tubes

AXIS = np.arange(-60.0, 60.0)


def tube(radius: float = 3.0) -> Tubes:
    start, end = np.array([[-10.0, 0.0, 0.0]]), np.array([[10.0, 0.0, 0.0]])
    return Tubes(np.array(["vein"]), start, end, np.array([radius]), np.array([radius]))


def test_a_tube_is_as_wide_as_stated():
    ((content, window, inside),) = tube().cut(Planes(AXIS, AXIS, np.zeros(1)))
    assert content == "vein"
    share = np.zeros((1, 120, 120))
    share[window] = inside > 0
    share = share[0]
    assert share[60].sum() == pytest.approx(6, abs=1)
    assert share[:, 60].sum() == pytest.approx(26, abs=1)


def test_a_plane_beside_a_tube_misses_it():
    assert not list(tube().cut(Planes(AXIS, AXIS, np.array([4.5]))))


def test_every_kidney_has_arteries_veins_and_a_collecting_system():
    random = np.random.default_rng(0)
    tubes = grow_tubes(grow_kidney(random), random)
    assert set(tubes.contents) == {"artery", "vein", "urine"}


def test_arteries_come_from_the_midline_and_reach_the_columns():
    random = np.random.default_rng(0)
    tubes = grow_tubes(grow_kidney(random), random)
    arteries = tubes.contents == "artery"
    assert tubes.starts_mm[arteries, 1].max() > 40
    assert tubes.radii_mm[arteries].min() < 1.0
