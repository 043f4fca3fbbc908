from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from kcseg.image.doubts import image_doubts
from kcseg.image.formats import read_image
from kcseg.image.image import Image

REAL = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def crop() -> np.ndarray:
    """A kidney on fat beside bone and air, float HU."""
    random = np.random.default_rng(0)
    distance = np.hypot(*(np.indices((96, 96)) - 48))
    hu = np.select([distance < 20, distance < 28, distance < 44], [60, 160, -90], -60) + random.normal(
        0, 12, (96, 96)
    )
    hu[:6], hu[-6:, :40] = random.normal(-950, 30, (6, 96)), random.normal(700, 200, (6, 40))
    return hu.astype(np.float32)


def doubts(hu: np.ndarray) -> str:
    return "; ".join(image_doubts(Image(hu.astype(np.float32))))


def picture(hu: np.ndarray) -> np.ndarray:
    return ((hu.clip(-150, 200) + 150) / 350 * 255).round()


@pytest.mark.parametrize(
    "change, words",
    [
        (picture, "values 0 to 255: a picture, not HU"),
        (lambda hu: picture(hu) - 128, "a picture, not HU"),
        (lambda hu: picture(hu) - 1024, "a picture, not HU"),
        (lambda hu: picture(hu) / 255, "values 0 to 1: scaled, not HU"),
        (lambda hu: picture(hu) / 127.5 - 1, "values -1 to 1: scaled, not HU"),
        (lambda hu: (hu - hu.mean()) / hu.std(), "scaled, not HU"),
        (lambda hu: hu / 1000, "scaled, not HU"),
        (lambda hu: hu + 1024, "is an offset such as -1024 missing?"),
        (lambda hu: (hu + 1024).clip(0, 4095), "is an offset such as -1024 missing?"),
        (lambda hu: np.where(hu < -900, -1030, hu + 1024), "is the offset wrong?"),
        (lambda hu: hu - 1024, "is the offset wrong?"),
        (
            lambda hu: np.where(hu < 0, hu + 4096, hu),
            "is an offset such as -1024 missing?",
        ),  # 12 bits, unsigned
        (lambda hu: hu.clip(0, None), "neither fat nor air"),
    ],
)
def test_values_that_are_no_hu_are_named(crop, change, words):
    found = doubts(change(crop))
    assert words in found and len(found) < 110 and "\n" not in found


def test_hu_raise_no_doubts(crop):
    for hu in (crop, crop.clip(-150, 200), np.where(crop < -900, -3024, crop), crop.round()):
        assert doubts(hu) == ""


def test_what_the_reader_noted_comes_first(crop):
    assert image_doubts(Image(crop + 1024, notes=("the qform is used",)))[0] == "the qform is used"
    assert len(image_doubts(Image(crop + 1024, notes=("the qform is used",)))) == 2


def test_a_picture_in_a_png_is_named_whatever_its_offset(tmp_path, crop):
    PIL.Image.fromarray(picture(crop).astype(np.uint16)).save(tmp_path / "a.png")
    for offset in (0, -1024):
        assert "a picture" in image_doubts(read_image(tmp_path / "a.png", hu_offset=offset))[0]


@pytest.mark.skipif(not REAL.is_dir(), reason="the public CT slices are not beside the project")
def test_real_slices_raise_no_doubts():
    paths = [*(REAL / "ct_crops").glob("*.npy"), *(REAL / "ct_coronal_dicom").glob("*.dcm")]
    for path in paths:
        assert "rough" in path.name or image_doubts(read_image(path)) == ()
    assert len(paths) > 15
