import numpy as np
import pytest

from kcseg.scan.outline import moved_to_edges, without_appendages
from kcseg.study.scores import dice

SHAPE = (60, 60, 120)
PLACES = np.indices(SHAPE).astype(float)
KIDNEY_HU, FAT_HU = 180.0, -90.0


def ball(centre, radius):
    return ((PLACES - np.reshape(centre, (3, 1, 1, 1))) ** 2).sum(axis=0) < radius**2


KIDNEY = ball((30, 30, 30), 22)


def image(**parts):
    """HU of a kidney in fat, with noise, and of other parts: name -> (mask, HU), which lie behind the kidney."""
    hu = np.full(SHAPE, FAT_HU)
    for mask, value in parts.values():
        hu[mask] = value
    hu[KIDNEY] = KIDNEY_HU
    return (hu + np.random.default_rng(0).normal(0, 15, SHAPE)).astype(np.float32)


@pytest.mark.parametrize("wrong_by_mm", [-4, -2, 3])
def test_it_is_moved_to_the_edge_nearby(wrong_by_mm):
    called = ball((30, 30, 30), 22 + wrong_by_mm)
    found = moved_to_edges(image(), called)
    off, still_off = (
        abs(np.cbrt(np.count_nonzero(mask) / np.count_nonzero(KIDNEY)) - 1) for mask in (called, found)
    )
    assert still_off < 0.1 * off and dice(found, KIDNEY) > 0.98


def test_what_strays_into_a_darker_organ_is_cut_off_at_its_edge():
    liver = ball((30, 30, 66), 18)
    strayed = KIDNEY | (liver & ball((30, 30, 56), 15))
    assert dice(strayed, KIDNEY) < 0.92
    assert dice(moved_to_edges(image(liver=(liver, 100.0)), strayed), KIDNEY) > 0.98


@pytest.mark.parametrize(("radius", "inner_hu"), [(14, 70.0), (10, -80.0), (8, 900.0)])
def test_medulla_fat_and_stones_within_a_kidney_stay_in_it(radius, inner_hu):
    hu = image()
    hu[ball((30, 30, 30), radius)] = inner_hu
    assert dice(moved_to_edges(hu, ball((30, 30, 30), 20)), KIDNEY) > 0.985


def test_nothing_called_is_nothing_outlined():
    assert not moved_to_edges(image(), np.zeros(SHAPE, bool)).any()


def test_what_hangs_on_a_kidney_by_a_bridge_is_cut_off():
    spleen = ball((30, 30, 95), 18)
    bridge = (np.hypot(PLACES[0] - 30, PLACES[1] - 30) < 4) & (PLACES[2] > 30) & (PLACES[2] < 95)
    found = without_appendages(KIDNEY | bridge | spleen)
    assert not (found & spleen).any()
    assert np.count_nonzero(found ^ KIDNEY) < 0.02 * np.count_nonzero(KIDNEY)
