import numpy as np
import pytest

from kcseg.phantom.canvas import Canvas
from kcseg.phantom.contrast import contrast_at


@pytest.fixture
def canvas() -> Canvas:
    random = np.random.default_rng(0)
    return Canvas(np.zeros((60, 60)), contrast_at(0.3, random), random)


def test_painting_covers_the_inside_and_leaves_a_soft_edge(canvas):
    canvas.paint(canvas.columns - 29.5 + 0 * canvas.rows, 100.0, edge_mm=4.0)
    assert canvas.hu[30, 20] == 0
    assert canvas.hu[30, 40] == 100
    assert 0 < canvas.hu[30, 29] < 50 < canvas.hu[30, 30] < 100


def test_an_ellipse_is_as_large_as_stated(canvas):
    inside = canvas.ellipse((30.0, 30.0), (20.0, 10.0)) > 0
    assert inside.sum() == pytest.approx(np.pi * 200, rel=0.03)
    assert inside.any(axis=1).sum() == pytest.approx(40, abs=1)
    assert inside.any(axis=0).sum() == pytest.approx(20, abs=1)


def test_a_tilted_ellipse_has_its_lower_end_lateral(canvas):
    rows, columns = np.nonzero(canvas.ellipse((30.0, 30.0), (20.0, 8.0), tilt=0.5) > 0)
    assert columns[rows > 40].mean() < 28 < 32 < columns[rows < 20].mean()


def test_a_line_has_round_ends(canvas):
    inside = canvas.line((10.0, 30.0), (40.0, 30.0), 3.0)
    assert inside[25, 30] == pytest.approx(3)
    assert inside[25, 34] == pytest.approx(-1)
    assert inside[44, 30] == pytest.approx(-1)


def test_a_part_is_painted_as_the_whole_and_nothing_else_is(canvas):
    part = canvas.around([(20.0, 30.0)], 6.0)
    part.paint(part.ellipse((20.0, 30.0), (5.0, 5.0)), 100.0)
    assert canvas.hu[20, 30] == 100 and part.hu.shape == (13, 13)
    assert canvas.hu.sum() == part.hu.sum() == pytest.approx(100 * np.pi * 25, rel=0.05)
