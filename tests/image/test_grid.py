from itertools import permutations, product

import nibabel
import numpy as np
import pytest

from kcseg.errors import InputError
from kcseg.image.formats import read_image, read_mask
from kcseg.image.grid import Grid
from kcseg.image.image import Image
from kcseg.image.nifti import write_nifti

AXES = ["".join(order) for axes in product("LR", "AP", "SI") for order in permutations(axes)]


@pytest.fixture
def mask(hu) -> np.ndarray:
    return hu > 300


def world(volume, condition) -> np.ndarray:
    """Where the voxels that meet a condition lie, in mm, sorted."""
    places = nibabel.affines.apply_affine(volume.affine, np.argwhere(condition(np.asarray(volume.dataobj))))
    return places[np.lexsort(places.T)]


def test_there_are_48_orders_of_axes():
    assert len(set(AXES)) == 48


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_written_mask_lies_on_its_image_voxel_for_voxel(tmp_path, hu, mask, axes, ending, save_nifti):
    source = nibabel.load(save_nifti(tmp_path / "image.nii", hu, axes))
    image = read_image(tmp_path / "image.nii")
    np.testing.assert_array_equal(image.hu, hu)
    write_nifti(tmp_path / f"mask{ending}", mask, image.grid)
    written = nibabel.load(tmp_path / f"mask{ending}")
    assert written.shape == source.shape and written.get_data_dtype() == np.uint8
    np.testing.assert_allclose(written.affine, source.affine, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(source.dataobj) > 300)
    np.testing.assert_array_equal(read_mask(tmp_path / f"mask{ending}").pixels, mask)


def test_qform_and_sform_of_a_written_mask_agree_and_say_mm(tmp_path, hu, mask, save_nifti):
    write_nifti(tmp_path / "mask.nii", mask, read_image(save_nifti(tmp_path / "image.nii", hu, "RSA")).grid)
    header = nibabel.load(tmp_path / "mask.nii").header
    np.testing.assert_allclose(header.get_qform(coded=True)[0], header.get_sform(coded=True)[0], atol=1e-4)
    assert header.get_xyzt_units()[0] == "mm"


def test_a_mask_is_written_in_the_unit_of_its_image(tmp_path, hu, mask, save_nifti):
    volume = nibabel.load(save_nifti(tmp_path / "mm.nii", hu))
    microns = nibabel.Nifti1Image(volume.get_fdata(), np.diag([1000, 1000, 1000, 1]) @ volume.affine)
    microns.header.set_xyzt_units("micron")
    nibabel.save(microns, tmp_path / "image.nii")
    write_nifti(tmp_path / "mask.nii", mask, read_image(tmp_path / "image.nii").grid)
    written = nibabel.load(tmp_path / "mask.nii")
    np.testing.assert_allclose(written.affine, microns.affine, rtol=1e-6)
    assert written.header.get_xyzt_units()[0] == "micron"
    assert read_mask(tmp_path / "mask.nii").spacing_mm == pytest.approx((1.5, 2.0))


@pytest.mark.parametrize("sides", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize("upright", [True, False])
def test_a_mask_of_a_dicom_slice_lies_where_the_standard_puts_its_pixels(
    tmp_path, mask, sides, upright, save_dicom
):
    """The place of a pixel by the equation of PS3.3 C.7.6.2.1.1, from left, back, head to right, front, head."""
    towards_left, towards_head = sides
    across, up = [towards_left, 0, 0], [0, 0, towards_head]
    along, down = (across, up) if upright else (up, across)
    stored = mask[::-towards_head, ::towards_left] if upright else mask[::-towards_head, ::towards_left].T
    save_dicom(tmp_path / "a.dcm", np.where(stored, 400, -200), ImageOrientationPatient=[*along, *down])
    image = read_image(tmp_path / "a.dcm")
    np.testing.assert_array_equal(image.hu == 400, mask)
    write_nifti(tmp_path / "mask.nii", mask, image.grid)
    rows, columns = np.nonzero(stored)
    height_mm, width_mm, corner = 1.5, 2.0, np.array([-50, 30, 700])
    places = corner + np.outer(columns * width_mm, along) + np.outer(rows * height_mm, down)
    places *= (-1, -1, 1)
    written = nibabel.load(tmp_path / "mask.nii")
    np.testing.assert_allclose(world(written, lambda values: values > 0), places[np.lexsort(places.T)])
    np.testing.assert_allclose(nibabel.affines.voxel_sizes(written.affine), [*((2, 1.5)), 3])


def test_a_tilted_slice_keeps_its_tilt(tmp_path, hu, mask, save_dicom):
    turn = np.radians(15)
    tilted = [1, 0, 0, 0, np.sin(turn), -np.cos(turn)]
    image = read_image(save_dicom(tmp_path / "a.dcm", hu // 2 * 2, ImageOrientationPatient=tilted))
    assert image.spacing_mm == pytest.approx((1.5, 2.0))
    write_nifti(tmp_path / "mask.nii", mask, image.grid)
    down = nibabel.load(tmp_path / "mask.nii").affine[:3, 1] / 1.5
    np.testing.assert_allclose(down, [0, -np.sin(turn), -np.cos(turn)], atol=1e-6)


def test_without_a_grid_of_its_own_a_mask_is_one_coronal_slice(tmp_path, mask):
    for grid, spacing in ((Grid(), (1.0, 1.0)), (Grid((1.5, 0.8)), (1.5, 0.8))):
        write_nifti(tmp_path / "mask.nii", mask, grid)
        found = read_mask(tmp_path / "mask.nii")
        np.testing.assert_array_equal(found.pixels, mask)
        assert found.spacing_mm == pytest.approx(spacing)


def test_images_and_masks_without_a_grid_state_no_spacing(hu):
    assert Image(hu).spacing_mm is None and Image(hu).notes == ()


def test_another_suffix_is_refused(tmp_path, mask):
    with pytest.raises(InputError, match=r"expected .nii or .nii.gz"):
        write_nifti(tmp_path / "mask.png", mask, Grid())


def test_equal_masks_are_equal_bytes(tmp_path, mask):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(tmp_path / name, mask, Grid())
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
