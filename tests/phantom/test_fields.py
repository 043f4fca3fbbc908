import numpy as np

from kcseg.phantom.fields import Waves, smooth_field, window_around
from kcseg.phantom.shapes import Planes


def test_a_smooth_field_has_the_stated_deviation_and_scale():
    random = np.random.default_rng(0)
    fields = np.stack([smooth_field(random, (80, 90), 10) for _ in range(60)])
    assert abs(fields.mean()) < 0.1
    assert 0.9 < fields.std() < 1.1
    assert np.abs(np.diff(fields, axis=1)).mean() < 0.15
    assert abs((fields[:, 20] * fields[:, 60]).mean()) < 0.1


def test_a_field_of_one_column_is_a_smooth_curve():
    curve = smooth_field(np.random.default_rng(0), (200, 1), 25)
    assert curve.shape == (200, 1)
    assert np.abs(np.diff(curve, axis=0)).max() < 0.3


def test_waves_are_the_sum_of_cosines_they_stand_for():
    waves = Waves.draw(np.random.default_rng(1), 20)
    rows, columns, depths = np.arange(-4.0, 5), np.arange(-3.0, 8), np.array([-1.0, 2.5])
    points = np.stack(np.broadcast_arrays(rows[:, None], columns, depths[:, None, None]), axis=-1)
    expected = np.cos(points @ waves.vectors.T + waves.phases).sum(axis=-1) * np.sqrt(2 / 12)
    np.testing.assert_allclose(waves.on_planes(Planes(rows, columns, depths)), expected, atol=1e-5)


def test_waves_have_deviation_one():
    axis = np.arange(-100.0, 100, 2)
    drawn = [Waves.draw(np.random.default_rng(seed), 20) for seed in range(10)]
    fields = [waves.on_planes(Planes(axis, axis, np.zeros(1))) for waves in drawn]
    assert 0.85 < np.std(fields) < 1.15


def test_a_window_of_a_field_is_that_part_of_the_whole():
    window = slice(10, 30), slice(5, 20)
    whole, part = (smooth_field(np.random.default_rng(2), (80, 90), 10, *more) for more in ((), (window,)))
    np.testing.assert_allclose(part, whole[window], atol=1e-12)


def test_a_window_holds_all_that_is_near():
    rows, columns = window_around([(10.2, 30.0), (20.0, 35.5)], 3.0)
    assert (rows.start, rows.stop, columns.start, columns.stop) == (7, 24, 27, 40)
    assert window_around([(1.0, 1.0)], 5.0)[0].start == 0
