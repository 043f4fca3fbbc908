import io

import nibabel
import numpy as np
import PIL.Image
import pytest

from kcseg.errors import InputError
from kcseg.image.formats import read_image
from kcseg.prediction.result import segment_image
from kcseg.serving.runner import Ensemble
from tests.prediction.test_predict import Disc, Kidneys, write_kidney, write_slice


def test_a_result_writes_its_cortex_on_the_grid_of_its_image(tmp_path):
    image = read_image(write_slice(tmp_path / "slice.nii", (2.0, 1.0)))
    result = segment_image(image, Ensemble(Disc()))
    result.save(str(tmp_path / "cortex.png"))
    result.save(tmp_path / "cortex.nii.gz")
    (row,) = result.rows
    written = nibabel.load(tmp_path / "cortex.nii.gz")
    np.testing.assert_allclose(written.affine, image.grid.affine)
    assert written.shape == image.grid.shape and written.dataobj[:].sum() * 2.0 == row.cortex_mm2
    picture = np.asarray(PIL.Image.open(tmp_path / "cortex.png"))
    assert (picture > 0).sum() * 2.0 == row.cortex_mm2 and picture.shape == image.hu.shape
    with pytest.raises(InputError, match="rename it"):
        result.save(tmp_path / "cortex.jpg")


def test_cortex_that_looks_like_medulla_is_given_where_asked_for(tmp_path):
    image = read_image(write_kidney(tmp_path / "alike.npy", 5, medulla_hu=180.0))
    held_back = segment_image(image, Ensemble(Kidneys()))
    given = segment_image(image, Ensemble(Kidneys()), any_contrast=True)
    assert held_back.rows[0].cortex_mm2 is None and not held_back.cortex.any() and held_back.kidneys.any()
    assert given.rows[0].cortex_mm2 == given.cortex.sum() > 0


def test_a_result_shows_itself(tmp_path):
    """Beside the image its outlines, and where the members disagree."""
    image = read_image(write_kidney(tmp_path / "one.npy", 20))
    result = segment_image(image, Ensemble(Kidneys()))
    picture = np.asarray(PIL.Image.open(io.BytesIO(result._repr_png_())))
    np.testing.assert_array_equal(picture, result.picture())
    plain, outlined, disagreement = np.split(picture.astype(int), 3, axis=1)
    blue = (outlined[..., 2] > 200) & (outlined[..., 0] < 80)
    assert blue.sum() > 500 and (plain == plain[..., :1]).all()
    orange = disagreement[..., 0] - disagreement[..., 2]
    inside = result.cortex.repeat(4, axis=0).repeat(4, axis=1)
    assert orange[inside].mean() > 20 > 5 > np.abs(orange[~inside]).mean()
    (axes,) = result.figure().axes
    assert f"cortex {result.cortex.sum()} mm²" in axes.get_title()
