import numpy as np
import pytest

from kcseg.phantom.anatomy import Plane
from kcseg.phantom.growth import grow_kidney
from kcseg.phantom.vessels import Tube, grow_tubes

AXIS = np.arange(-60.0, 60.0)


def tube(radius: float = 3.0) -> Tube:
    return Tube("vein", np.array([-10.0, 0.0, 0.0]), np.array([10.0, 0.0, 0.0]), radius, radius)


def test_a_tube_is_as_wide_as_stated():
    cut = tube().cut(Plane(AXIS, AXIS, 0.0))
    assert cut is not None
    window, inside = cut
    share = np.zeros((120, 120))
    share[window] = inside > 0
    assert share[60].sum() == pytest.approx(6, abs=1)
    assert share[:, 60].sum() == pytest.approx(26, abs=1)


def test_a_plane_beside_a_tube_misses_it():
    assert tube().cut(Plane(AXIS, AXIS, 4.5)) is None


def test_every_kidney_has_arteries_veins_and_a_collecting_system():
    random = np.random.default_rng(0)
    tubes = grow_tubes(grow_kidney(random), random)
    assert {tube.content for tube in tubes} == {"artery", "vein", "urine"}


def test_arteries_come_from_the_midline_and_reach_the_columns():
    random = np.random.default_rng(0)
    tubes = [tube for tube in grow_tubes(grow_kidney(random), random) if tube.content == "artery"]
    assert max(tube.start_mm[1] for tube in tubes) > 40
    assert min(tube.radius_mm for tube in tubes) < 1.0
