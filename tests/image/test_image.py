import numpy as np
import pytest

from kcseg.image.grid import Grid
from kcseg.image.image import Image, Mask, resample, resample_mask, same_spacing, to_shape


def drawn_disk(shape: tuple[int, int], spacing_mm: tuple[float, float]) -> np.ndarray:
    """A disc of 20 mm around a point off the centre, on any grid of an 80 mm field of view."""
    rows, columns = ((np.arange(side) + 0.5) * step for side, step in zip(shape, spacing_mm, strict=True))
    return np.hypot(rows[:, np.newaxis] - 35, columns - 44) < 20


def test_image_at_1_mm_or_without_spacing_stays_as_it_is():
    hu = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    for spacing in (None, (1.0, 1.0)):
        found = resample(Image(hu, Grid(spacing), ("noted",)))
        assert found.hu is hu and found.spacing_mm == (1.0, 1.0) and found.notes == ("noted",)


@pytest.mark.parametrize("spacing_mm", [(0.5, 0.5), (0.8, 0.8), (2.0, 1.6)])
def test_shapes_keep_their_place_and_size_in_mm(spacing_mm):
    shape = tuple(round(80 / step) for step in spacing_mm)
    drawn = drawn_disk(shape, spacing_mm)
    found = resample_mask(Mask(drawn, Grid(spacing_mm)))
    wanted = drawn_disk((80, 80), (1.0, 1.0))
    assert found.pixels.shape == (80, 80) and found.pixels.dtype == bool
    assert found.spacing_mm == pytest.approx((1.0, 1.0))
    assert 2 * (found.pixels & wanted).sum() / (found.pixels.sum() + wanted.sum()) > 0.97


def test_image_and_mask_get_the_same_grid():
    image = resample(Image(np.eye(67, 91, dtype=np.float32), Grid((0.873, 0.691))))
    mask = resample_mask(Mask(np.eye(67, 91) > 0, Grid((0.873, 0.691))))
    assert image.hu.shape == mask.pixels.shape == (58, 63) and image.spacing_mm == mask.spacing_mm
    assert image.hu.dtype == np.float32


def test_field_of_view_is_kept_exactly():
    found = resample(Image(np.eye(512, dtype=np.float32), Grid((0.703, 0.703))))
    assert np.multiply(found.hu.shape, found.spacing_mm) == pytest.approx([512 * 0.703] * 2)


def test_soft_mask_comes_back_to_the_grid_of_its_file():
    drawn = drawn_disk((160, 160), (0.5, 0.5))
    soft = to_shape(drawn, (80, 80))
    back = to_shape(soft, (160, 160))
    assert back.dtype == np.float32 and back.min() >= 0 and back.max() <= 1
    assert 2 * ((back > 0.5) & drawn).sum() / ((back > 0.5).sum() + drawn.sum()) > 0.98


def test_fine_noise_is_smoothed_and_not_sampled_when_pixels_are_dropped():
    noise = np.random.default_rng(0).normal(size=(400, 400)).astype(np.float32)
    assert resample(Image(noise, Grid((0.25, 0.25)))).hu.std() < 0.5


def test_spacings_agree_within_a_percent_or_where_one_is_not_stated():
    assert same_spacing((1.0, 1.0), (1.005, 1.0)) and same_spacing(None, (2.0, 2.0))
    assert not same_spacing((1.0, 1.0), (1.0, 1.02))
