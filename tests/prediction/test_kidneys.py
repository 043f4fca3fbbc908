import numpy as np
import pytest

from kcseg.image.contrast import LEAST_CONTRAST_HU, measure_contrast
from kcseg.prediction.kidneys import doubts_of, find_kidneys
from kcseg.serving.runner import Segmentation

CORTEX_MM = 7.0
MM = (1.0, 1.0)


def ellipse(shape, centre, half_axes, spacing_mm=MM):
    """Depth inside an ellipse in mm, roughly; centre and half axes in mm."""
    rows, columns = (np.arange(size)[:, None] * mm for size, mm in zip(shape, spacing_mm, strict=True))
    square = ((rows - centre[0]) / half_axes[0]) ** 2 + ((columns.T - centre[1]) / half_axes[1]) ** 2
    return (1 - np.sqrt(square)) * min(half_axes)


def body(width=400, kidneys=((150, 120), (140, 280)), cortex_hu=180.0, medulla_hu=80.0, spacing_mm=MM):
    """A slice with kidneys, and what perfect members say of it."""
    shape = round(300 / spacing_mm[0]), round(width / spacing_mm[1])
    hu = np.where(ellipse(shape, (150, width / 2), (400, width * 0.45), spacing_mm) > 0, -100.0, -1000.0)
    cortex, kidney = np.zeros(shape, bool), np.zeros(shape, bool)
    for centre in kidneys:
        depth = ellipse(shape, centre, (50, 25), spacing_mm)
        kidney |= depth > 0
        cortex |= (depth > 0) & (depth < CORTEX_MM)
        hu[depth > 0] = medulla_hu
        hu[(depth > 0) & (depth < CORTEX_MM)] = cortex_hu
    share = cortex.astype(np.float32)
    return hu, Segmentation(cortex, share, 0 * share, kidney.astype(np.float32))


@pytest.mark.parametrize("spacing_mm", [MM, (0.8, 0.8), (2.0, 1.0)])
def test_both_kidneys_are_found_with_their_sides_and_contrast(spacing_mm):
    hu, found = body(spacing_mm=spacing_mm)
    right, left = find_kidneys(hu, found, spacing_mm)
    assert (right.side, left.side) == ("right", "left")
    np.testing.assert_array_equal(right.cortex | left.cortex, found.mask)
    for kidney in (right, left):
        assert kidney.contrast_hu == pytest.approx(100, abs=15)
        assert not list(doubts_of(kidney))


def test_a_crop_does_not_say_its_side():
    (kidney,) = find_kidneys(*body(width=190, kidneys=[(150, 95)]), MM)
    assert kidney.side == ""


def test_what_cannot_be_a_kidney_is_passed_over():
    hu, found = body(kidneys=())
    for hu_inside, half_axes in (
        (600.0, (50, 25)),
        (100.0, (90, 80)),
        (100.0, (8, 8)),
    ):  # bone, too large, too small
        inside = ellipse(hu.shape, (150, 120), half_axes) > 0
        there = replaced(found, kidney=inside)
        assert not find_kidneys(np.where(inside, hu_inside, hu), there, MM)
    assert not find_kidneys(hu, found, MM)


def test_a_third_part_and_a_sliver_beside_a_kidney_are_left_out():
    hu, found = body()
    sliver = ellipse(hu.shape, (250, 200), (14, 8)) > 0
    both = replaced(found, kidney=(found.kidney_probability > 0) | sliver)
    assert not any((kidney.kidney & sliver).any() for kidney in find_kidneys(hu, both, MM))


def test_cortex_outside_of_kidneys_is_dropped():
    hu, found = body()
    elsewhere = ellipse(hu.shape, (260, 200), (20, 20)) > 0
    found = Segmentation(
        found.mask | elsewhere, found.probability, found.disagreement, found.kidney_probability
    )
    assert not any((kidney.cortex & elsewhere).any() for kidney in find_kidneys(hu, found, MM))


@pytest.mark.parametrize("called", ["rim", "whole"])
def test_a_kidney_that_looks_alike_everywhere_is_said_to(called):
    hu, found = body(cortex_hu=150.0, medulla_hu=142.0)
    hu += np.random.default_rng(0).normal(0, 10, hu.shape)
    if called == "whole":
        found = replaced(found, kidney=found.kidney_probability > 0, cortex=found.kidney_probability > 0)
    for kidney in find_kidneys(hu, found, MM):
        assert abs(kidney.contrast_hu) < LEAST_CONTRAST_HU
        assert next(doubts_of(kidney)).startswith("cortex and medulla look alike (")


def test_sinus_fat_and_bright_urine_are_no_medulla():
    hu, found = body()
    for place, value in (((150, 120), -90.0), ((150, 280), 700.0)):
        hu[ellipse(hu.shape, place, (20, 8)) > 0] = value
    for kidney in find_kidneys(hu, found, MM):
        assert kidney.contrast_hu == pytest.approx(100, abs=15)


def test_a_pole_without_medulla_has_no_contrast():
    depth = ellipse((100, 100), (50, 50), (14, 10))
    contrast = measure_contrast(np.where(depth > 0, 180.0, -100.0), depth > 0, depth > 0, MM)
    assert contrast is None


def test_a_kidney_that_leaves_the_image_is_said_to():
    (kidney,) = find_kidneys(*body(width=190, kidneys=[(20, 95)]), MM)
    assert kidney.is_cut and "kidney cut by the edge" in list(doubts_of(kidney))


def replaced(found, *, kidney, cortex=None):
    mask = kidney & False if cortex is None else cortex
    share = mask.astype(np.float32)
    return Segmentation(mask, share, 0 * share, kidney.astype(np.float32))


def test_liver_that_the_outline_strays_into_is_no_dark_medulla():
    """The members call it kidney, and half as surely: a late phase stays one."""
    hu, found = body(cortex_hu=180.0, medulla_hu=176.0)
    liver = (ellipse(hu.shape, (95, 120), (38, 40)) > 0) & (found.kidney_probability == 0)
    hu[liver] = 110.0
    share = np.where(liver, 0.7, found.kidney_probability).astype(np.float32)
    strayed = Segmentation(found.mask, found.probability, found.disagreement, share)
    right, _ = find_kidneys(hu, strayed, MM)
    assert (right.kidney & liver).sum() > 0.5 * liver.sum()
    assert right.looks_alike and right.contrast_hu == pytest.approx(4, abs=3)
    assert measure_contrast(hu, right.cortex, right.kidney, MM) > 50  # of all that is called kidney


def test_slices_half_full_of_sinus_fat_are_no_dark_medulla():
    """In thick slices, what lies next to fat holds some: a late phase passed for one with contrast."""
    rows, columns = np.abs(np.indices((40, 100)) - np.array([19.5, 49.5]).reshape(2, 1, 1))
    kidney = (rows / 12) ** 2 + (columns / 34) ** 2 < 1
    cortex = kidney & ((rows / 10) ** 2 + (columns / 26) ** 2 >= 1)
    hu = np.where(kidney, 180.0, -100.0)
    sinus = (columns < 24) & (rows < 8)
    hu[sinus & (rows.astype(int) % 4 != 2)] = 45.0
    hu[sinus & (rows.astype(int) % 4 == 0)] = -90.0
    assert measure_contrast(hu, cortex, kidney, (5.0, 1.0)) == pytest.approx(0, abs=3)
