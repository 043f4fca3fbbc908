import numpy as np
import pytest

from kcseg.data.canvas import Canvas, smooth_noise


@pytest.mark.parametrize("grain", [2.0, 7.5, 40.0])
def test_noise_has_unit_deviation_and_its_grain(grain):
    field = smooth_noise(np.random.default_rng(0), (300, 200), grain)
    assert field.shape == (300, 200) and field.std() == pytest.approx(1)
    near, far = (
        np.mean(field[:-step] * field[step:]) - field.mean() ** 2
        for step in (max(1, int(grain / 4)), 4 * int(grain))
    )
    assert near > 0.8 and abs(far) < 0.6


def test_paint_changes_its_region_alone():
    zeros = np.zeros((20, 20))
    canvas = Canvas(zeros.copy(), zeros, zeros, 1.0, np.random.default_rng(0))
    where = np.eye(20, dtype=bool)
    canvas.paint(where, 40.0, 5.0)
    assert (canvas.hu[~where] == 0).all() and canvas.hu[where].mean() == pytest.approx(40, abs=10)
