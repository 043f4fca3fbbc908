import numpy as np
import pytest

from kcseg.phantom.shapes import inside_ellipsoid, random_directions, rounded_minimum


def test_a_ball_is_as_deep_as_its_distance_from_the_surface():
    along = np.linspace(0.5, 9, 18)
    found = inside_ellipsoid((along, np.zeros(18), np.zeros(18)), (5.0, 5.0, 5.0))
    np.testing.assert_allclose(found, 5 - along, atol=1e-6)


def test_the_surface_of_an_ellipse_has_no_depth():
    angle = np.linspace(0, 6, 50)
    np.testing.assert_allclose(
        inside_ellipsoid((8 * np.cos(angle), 3 * np.sin(angle)), (8.0, 3.0)), 0, atol=1e-6
    )


def test_the_rounded_minimum_leaves_the_plain_one_only_near_the_edge():
    first, second = np.meshgrid(np.linspace(-9, 9, 40), np.linspace(-9, 9, 40))
    found, plain = rounded_minimum(first, second, 2.0), np.minimum(first, second)
    far = np.abs(first - second) >= 2
    np.testing.assert_array_equal(found[far], plain[far])
    assert (found <= plain).all() and (plain - found).max() == pytest.approx(0.5, abs=0.01)


def test_directions_are_of_unit_length_and_of_no_preference():
    directions = random_directions(np.random.default_rng(0), 2000)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    assert np.abs(directions.mean(axis=0)).max() < 0.05
