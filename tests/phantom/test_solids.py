import numpy as np
import pytest

from kcseg.phantom.fields import Waves
from kcseg.phantom.shapes import Planes
from kcseg.phantom.solids import Part, Texture, ellipsoid, paint, tube

AXIS = np.arange(-30.0, 31)
PLANES = Planes(AXIS, AXIS, AXIS)


def volume_of(shape):
    return np.count_nonzero(shape.inside(PLANES) > 0)


def test_an_ellipsoid_has_its_volume_wherever_it_is_turned():
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    for axes in (None, turned):
        found = volume_of(ellipsoid((2.0, -3.0, 1.0), (20, 12, 8), axes))
        assert found == pytest.approx(4 / 3 * np.pi * 20 * 12 * 8, rel=0.02)


def test_a_tube_is_a_cylinder_with_round_ends():
    shape = tube([(-10.0, 0, 0), (0, 0, 0), (10, 0, 0)], [6, 6, 6])
    assert volume_of(shape) == pytest.approx(np.pi * 36 * 20 + 4 / 3 * np.pi * 216, rel=0.03)


@pytest.mark.parametrize(
    "shape", [ellipsoid((4.0, 2, -6), (9, 14, 5)), tube([(0.0, 0, 0), (8, 12, 4)], [3, 5])]
)
def test_nothing_lies_outside_of_the_box(shape):
    low, high = shape.box_mm
    points = np.stack(np.broadcast_arrays(*PLANES.point))[:, shape.inside(PLANES) > 0]
    assert (points.min(axis=1) >= low).all() and (points.max(axis=1) <= high).all()


def test_later_parts_cover_earlier_ones_and_only_their_box_is_touched():
    hu = np.full((len(AXIS),) * 3, -100.0, np.float32)
    large, small = ellipsoid((0.0, 0, 0), (20, 20, 20)), ellipsoid((0.0, 0, 0), (8, 8, 8))
    grain = Waves.draw(np.random.default_rng(0), 9)
    paint(hu, PLANES, [Part(large, Texture(50.0)), Part(small, Texture(300.0, grain, 10.0))])
    assert hu[30, 30, 45] == 50 and hu[0, 0, 0] == -100
    core = hu[small.less(2).inside(PLANES) > 0]
    assert core.mean() == pytest.approx(300, abs=5) and 5 < core.std() < 15


def test_both_and_less():
    one, other = ellipsoid((0.0, 0, 0), (20, 20, 20)), ellipsoid((0.0, 10, 0), (20, 20, 20))
    both = (one & other).inside(PLANES) > 0
    np.testing.assert_array_equal(both, (one.inside(PLANES) > 0) & (other.inside(PLANES) > 0))
    assert volume_of(one.less(5)) == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.03)
