import gzip
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from skimage.feature import match_template

from kcseg.image.formats import read_image
from kcseg.image.image import resample

REAL = Path(__file__).parents[3] / "shared" / "data"
needs_real_data = pytest.mark.skipif(
    not REAL.is_dir(), reason="the public CT slices are not beside the project"
)


@pytest.mark.parametrize("axes", ["LPI", "RAS", "LAS", "RPI", "IPL", "SRA", "ALS"])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_nifti_is_turned_head_up_and_patients_right_first(tmp_path, hu, axes, ending, save_nifti):
    image = read_image(save_nifti(tmp_path / f"a{ending}", hu, axes))
    np.testing.assert_array_equal(image.hu, hu)
    assert image.spacing_mm == pytest.approx((1.5, 2.0))


def test_nifti_column_0_lies_at_the_patients_right_in_world_coordinates(tmp_path, hu, save_nifti):
    path = save_nifti(tmp_path / "a.nii", hu, "RAS")
    volume = nibabel.load(path)
    x, _, z = np.argwhere(np.asarray(volume.dataobj) == hu[0, 0])[0]
    corner = volume.affine @ [x, 0, z, 1]
    centre = volume.affine @ [*(np.array(volume.shape) / 2), 1]
    assert corner[0] > centre[0] and corner[2] > centre[2]  # RAS+: further right, further up


def test_nifti_scaling_is_applied(tmp_path, hu):
    volume = nibabel.Nifti1Image((hu[:, np.newaxis, :] + 1024).astype(np.uint16), np.diag([1, 1, 1, 1]))
    volume.header.set_slope_inter(1, -1024)
    nibabel.save(volume, tmp_path / "a.nii")
    image = read_image(tmp_path / "a.nii")
    np.testing.assert_array_equal(np.unique(image.hu), np.unique(hu))


def test_second_version_of_nifti_is_read(tmp_path, hu):
    volume = nibabel.Nifti2Image(hu.T[::-1, np.newaxis, ::-1], np.eye(4))
    nibabel.save(volume, tmp_path / "a.nii")
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii").hu, hu)


def test_nifti_that_is_not_one_coronal_slice_is_refused(tmp_path, hu, refusal):
    path = tmp_path / "a.nii"
    for shape, words in {
        (24, 20): "one coronal slice",
        (24, 20, 1): "1 high",
        (24, 2, 20): "2 deep",
        (24, 1, 20, 3): "one coronal slice",
    }.items():
        nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.int16), np.eye(4)), path)
        assert words in refusal(read_image, path)
    turn = np.radians(30)
    oblique = np.eye(4)
    oblique[1:3, 1:3] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    nibabel.save(nibabel.Nifti1Image(hu[:, np.newaxis, :], oblique), path)
    assert "20 degrees" in refusal(read_image, path)


@needs_real_data
def test_slice_cut_from_a_volume_as_the_data_guide_shows_keeps_its_place(tmp_path):
    """The right kidney of a real axial series, cut by index, against the crop published beside it."""
    paths = sorted((REAL / "ct_volume_dicom").glob("*.dcm"))
    slices = sorted(map(pydicom.dcmread, paths), key=lambda slice: float(slice.ImagePositionPatient[2]))
    voxels = np.stack(
        [slice.pixel_array * slice.RescaleSlope + slice.RescaleIntercept for slice in slices], axis=-1
    )
    across_mm = float(slices[0].PixelSpacing[0])
    up_mm = float(slices[1].ImagePositionPatient[2] - slices[0].ImagePositionPatient[2])
    # this series' columns run to the left and its rows to the front: towards L, A and S
    assert slices[0].ImageOrientationPatient == [1, 0, 0, 0, -1, 0]
    affine = np.diag([-across_mm, across_mm, up_mm, 1])
    volume = nibabel.Nifti1Image(voxels.transpose(1, 0, 2).astype(np.int16), affine)
    nibabel.save(volume, tmp_path / "exam.nii")
    crop = read_image(REAL / "ct_crops" / "lits0_R_y154.npy").hu.clip(-150, 200)
    canonical = nibabel.as_closest_canonical(nibabel.load(tmp_path / "exam.nii"))
    depth = round(154 / across_mm)  # the crop's name counts mm from the back
    nibabel.save(canonical.slicer[:, depth : depth + 1, :], tmp_path / "slice.nii")
    whole = resample(read_image(tmp_path / "slice.nii")).hu.clip(-150, 200)
    likeness = match_template(whole, crop, pad_input=True)
    assert likeness.max() > 0.95
    assert match_template(whole, crop[:, ::-1], pad_input=True).max() < 0.9
    assert np.unravel_index(likeness.argmax(), likeness.shape)[1] < whole.shape[1] / 2


def test_nifti_without_orientation_or_numbers_is_refused(tmp_path, hu, refusal):
    nibabel.save(nibabel.Nifti1Image(hu[:, np.newaxis, :], None), tmp_path / "a.nii")
    assert "no orientation" in refusal(read_image, tmp_path / "a.nii")
    colour = np.zeros((20, 1, 20), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(colour, np.eye(4)), tmp_path / "b.nii")
    assert "integers or floats" in refusal(read_image, tmp_path / "b.nii")


def test_nifti_with_absurd_spacing_is_refused(tmp_path, hu, save_nifti, refusal):
    assert "0.1 to 5.0 mm" in refusal(read_image, save_nifti(tmp_path / "a.nii", hu, mm=(0.01, 1, 1)))
    assert "field of view" in refusal(read_image, save_nifti(tmp_path / "b.nii", hu, mm=(0.2, 1, 1)))


def test_gzip_bomb_is_refused(tmp_path, refusal):
    path = tmp_path / "a.nii.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        for _ in range(5):
            file.write(bytes(64 << 20))
    assert "unpacks to more than 256 MiB" in refusal(read_image, path)


# What headers say


def edited(path: Path, **changes) -> Path:
    """Change elements of a header where they lie, as no library would."""
    content = bytearray(path.read_bytes())
    header = nibabel.Nifti1Header(bytes(content[:348]), check=False)
    for name, value in changes.items():
        header[name] = value
    content[:348] = header.binaryblock
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("unit, scale", [("micron", 1000), ("meter", 0.001), ("mm", 1), ("unknown", 1)])
def test_units_are_brought_to_mm(tmp_path, hu, unit, scale, save_nifti):
    volume = nibabel.load(save_nifti(tmp_path / "mm.nii", hu))
    scaled = nibabel.Nifti1Image(np.asarray(volume.dataobj), np.diag([scale] * 3 + [1]) @ volume.affine)
    scaled.header.set_xyzt_units(unit)
    nibabel.save(scaled, tmp_path / "a.nii")
    image = read_image(tmp_path / "a.nii")
    assert image.spacing_mm == pytest.approx((1.5, 2.0)) and image.notes == ()
    np.testing.assert_allclose(image.grid.affine, volume.affine, rtol=1e-5)
    edited(tmp_path / "mm.nii", xyzt_units=7)
    assert read_image(tmp_path / "mm.nii").spacing_mm == pytest.approx((1.5, 2.0))


@pytest.mark.parametrize("further", [(1,), (1, 1)])
def test_further_axes_of_length_1_are_dropped(tmp_path, hu, further):
    affine = np.diag([-2.0, 3.0, -1.5, 1.0])
    nibabel.save(
        nibabel.Nifti1Image(hu.T[:, np.newaxis].reshape(24, 1, 20, *further), affine), tmp_path / "a.nii"
    )
    image = read_image(tmp_path / "a.nii")
    np.testing.assert_array_equal(image.hu, hu)
    assert image.grid.shape == (24, 1, 20)


@pytest.mark.parametrize("rows", [np.zeros(4), np.full(4, np.nan), np.array([0, 0, 1, 0])])
def test_an_sform_that_leads_nowhere_gives_way_to_the_qform_or_is_refused(
    tmp_path, hu, rows, save_nifti, refusal
):
    path = save_nifti(tmp_path / "a.nii", hu, "RAS")
    volume = nibabel.load(path)
    volume.set_qform(volume.affine, 1)
    nibabel.save(volume, tmp_path / "b.nii")
    edited(tmp_path / "b.nii", srow_x=rows, srow_y=rows, srow_z=rows)
    image = read_image(tmp_path / "b.nii")
    np.testing.assert_array_equal(image.hu, hu)
    assert image.notes == ("the sform's axes are zero or no numbers: the qform is used",)
    edited(tmp_path / "b.nii", qform_code=0)
    assert "got sform with axes" in refusal(read_image, tmp_path / "b.nii")
    edited(tmp_path / "b.nii", qform_code=1, quatern_b=5)
    assert "got sform and qform with axes" in refusal(read_image, tmp_path / "b.nii")


def test_a_qform_that_leads_nowhere_is_left_alone_where_the_sform_is_sound(tmp_path, hu, save_nifti):
    path = edited(save_nifti(tmp_path / "a.nii", hu), qform_code=1, quatern_b=5)
    assert read_image(path).notes == ()


@pytest.mark.parametrize(
    "change, words",
    [
        (np.diag([-1, 1, 1, 1]), "differ in side (LAS and RAS)"),
        (np.diag([1, 1, -1, 1]), "differ in side (RAI and RAS)"),
        (np.diag([0.5, 1, 1, 1]), "differ in spacing or tilt"),
        (np.eye(4), ""),
        (np.array([[1, 0, 0, 40], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), ""),
    ],
)
def test_the_sform_goes_before_a_qform_that_says_otherwise(tmp_path, hu, change, words, save_nifti):
    volume = nibabel.load(save_nifti(tmp_path / "a.nii", hu, "RAS"))
    volume.set_qform(volume.affine @ change, 1)
    nibabel.save(volume, tmp_path / "b.nii")
    image = read_image(tmp_path / "b.nii")
    np.testing.assert_array_equal(image.hu, hu)
    assert words in "".join(image.notes) and len(image.notes) == bool(words)
    assert not words or image.notes[0].endswith("the sform is used")


@pytest.mark.parametrize("slope, intercept", [(1, np.nan), (2, np.inf)])
def test_an_intercept_that_is_no_number_is_named(tmp_path, hu, slope, intercept, save_nifti, refusal):
    path = edited(save_nifti(tmp_path / "a.nii", hu), scl_slope=slope, scl_inter=intercept)
    message = refusal(read_image, path)
    assert "scl_inter" in message and "truncated" not in message


@pytest.mark.parametrize("slope", [0, np.nan])
def test_a_slope_of_none_means_unscaled(tmp_path, hu, slope, save_nifti):
    path = edited(save_nifti(tmp_path / "a.nii", hu), scl_slope=slope, scl_inter=np.nan)
    np.testing.assert_array_equal(read_image(path).hu, hu)


@pytest.mark.parametrize("changes", [{"datatype": 9999}, {"bitpix": 7, "datatype": 9999}, {"vox_offset": 20}])
def test_a_header_that_cannot_be_is_called_unsound(tmp_path, hu, changes, save_nifti, refusal):
    assert "is unsound" in refusal(read_image, edited(save_nifti(tmp_path / "a.nii", hu), **changes))


def test_truncated_files_are_called_so(tmp_path, hu, save_nifti, refusal):
    for name in ("a.nii", "b.nii.gz"):
        path = save_nifti(tmp_path / name, hu)
        path.write_bytes(path.read_bytes()[:-100])
        assert "is truncated" in refusal(read_image, path)


def test_a_compressed_file_is_known_by_its_content(tmp_path, hu, save_nifti):
    save_nifti(tmp_path / "a.nii.gz", hu).rename(tmp_path / "a.nii")
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii").hu, hu)
    save_nifti(tmp_path / "b.nii", hu).rename(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(read_image(tmp_path / "b.nii.gz").hu, hu)
