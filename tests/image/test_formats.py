import gzip
import struct
import tempfile
import zlib
from pathlib import Path

import nibabel
import numpy as np
import PIL.Image
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEGLosslessSV1,
)
from skimage.feature import match_template

from kcseg.errors import InputError
from kcseg.image.formats import identifier, read_image, read_mask, suffix, write_mask
from kcseg.image.image import resample

REAL = Path(__file__).parents[3] / "shared" / "data"
needs_real_data = pytest.mark.skipif(
    not REAL.is_dir(), reason="the public CT slices are not beside the project"
)


@pytest.fixture
def hu() -> np.ndarray:
    """A picture no flip or transposition leaves alone."""
    return np.random.default_rng(0).integers(-1000, 1000, (20, 24)).astype(np.int16)


def save_npy(path: Path, array: np.ndarray) -> Path:
    np.save(path, array, allow_pickle=True)
    return path


def save_nifti(path: Path, hu: np.ndarray, axes: str = "LPI", mm: tuple = (2.0, 3.0, 1.5)) -> Path:
    """Store a picture as a volume whose indices grow towards `axes`; width, depth and height in mm."""
    volume = hu.T[:, np.newaxis, :]  # right to left, one slice, head to foot: towards L, P and I
    start = nibabel.orientations.axcodes2ornt("LPI")
    moves = nibabel.orientations.ornt_transform(start, nibabel.orientations.axcodes2ornt(axes))
    affine = np.diag([-mm[0], -mm[1], -mm[2], 1.0]) @ nibabel.orientations.inv_ornt_aff(moves, volume.shape)
    nibabel.save(nibabel.Nifti1Image(nibabel.apply_orientation(volume, moves), affine), path)
    return path


def save_dicom(path: Path, hu: np.ndarray, **changes) -> Path:
    """Store a picture as a coronal CT slice with slope 2 and intercept -1024; None deletes an element."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = changes.pop("encoding", ExplicitVRLittleEndian)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
    dataset.PatientName, dataset.Modality = "Doe^Jane", "CT"
    dataset.Rows, dataset.Columns = hu.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept = 2, -1024
    dataset.PixelSpacing, dataset.ImageOrientationPatient = [1.5, 2.0], [1, 0, 0, 0, 0, -1]
    dataset.PixelData = ((hu.astype(int) + 1024) // 2).astype("<i2").tobytes()
    for name, value in changes.items():
        if value is None:
            del dataset[name]
        else:
            setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def refusal(read, path: Path, **options) -> str:
    with pytest.raises(InputError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


# npy


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64", ">i2"])
def test_npy_is_read_as_float32_hu_without_spacing(tmp_path, hu, dtype):
    image = read_image(save_npy(tmp_path / "a.npy", hu.astype(dtype)))
    assert image.hu.dtype == np.float32 and image.spacing_mm is None
    np.testing.assert_array_equal(image.hu, hu)


def test_image_does_not_change_with_its_file(tmp_path, hu):
    path = save_npy(tmp_path / "a.npy", hu.astype(np.float32))
    image = read_image(path)
    with path.open("r+b") as file:
        file.seek(-400, 2)
        file.write(bytes(400))
    np.testing.assert_array_equal(image.hu, hu)
    assert type(image.hu) is np.ndarray


def test_npy_in_column_order_is_read_the_same(tmp_path, hu):
    np.testing.assert_array_equal(read_image(save_npy(tmp_path / "a.npy", np.asfortranarray(hu))).hu, hu)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "bool", "complex64", "U4"])
def test_npy_of_a_kind_that_holds_no_hu_is_refused(tmp_path, hu, dtype):
    message = refusal(read_image, save_npy(tmp_path / "a.npy", hu.astype(dtype)))
    assert "expected signed integers or floats" in message and "save the image as int16" in message


def test_npy_with_pickled_objects_is_refused_unopened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    array = np.full((20, 20), Bomb(), dtype=object)
    refusal(read_image, save_npy(tmp_path / "a.npy", array))
    assert not (tmp_path / "ran").exists()


def test_volume_is_refused_with_its_shape_and_the_mend(tmp_path):
    message = refusal(read_image, save_npy(tmp_path / "exam.npy", np.zeros((75, 512, 512), np.int8)))
    assert message == (
        f"expected a 2D image in {tmp_path}/exam.npy, got shape (75, 512, 512); cut one coronal slice per file"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30, 1e300])
def test_values_that_are_no_hu_are_refused(tmp_path, hu, value):
    array = hu.astype(np.float64)
    array[3, 4] = value
    assert "no HU" in refusal(read_image, save_npy(tmp_path / "a.npy", array))


def test_constant_image_is_refused(tmp_path):
    assert "every pixel" in refusal(read_image, save_npy(tmp_path / "a.npy", np.full((20, 20), -1024)))


@pytest.mark.parametrize("shape", [(15, 20), (20, 4097), (0, 20)])
def test_sizes_out_of_bounds_are_refused(tmp_path, shape):
    refusal(read_image, save_npy(tmp_path / "a.npy", np.zeros(shape, np.int16)))


def test_header_that_promises_more_than_the_file_holds_takes_no_memory(tmp_path):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (10**7, 10**7)}
        )
    refusal(read_image, path)


# Files as such


def test_missing_empty_truncated_and_foreign_files_are_refused(tmp_path, hu):
    assert "not a file" in refusal(read_image, tmp_path / "missing.npy")
    assert "not a file" in refusal(read_image, tmp_path)
    (tmp_path / "empty.npy").touch()
    assert "is empty" in refusal(read_image, tmp_path / "empty.npy")
    whole = save_npy(tmp_path / "whole.npy", hu).read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-100])
    assert "copy it again" in refusal(read_image, tmp_path / "cut.npy")
    (tmp_path / "text.csv").write_text("a,b")
    assert ".npy, .png, .nii, .nii.gz, .dcm" in refusal(read_image, tmp_path / "text.csv")


def test_file_beyond_the_limit_is_refused_unread(tmp_path):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        file.truncate(300 << 20)  # sparse: takes no disk
    assert "at most 256 MiB" in refusal(read_image, path)


def test_suffix_and_identifier_treat_nii_gz_as_one():
    assert suffix(Path("x/A.NII.GZ")) == ".nii.gz" and identifier(Path("x/a.b.nii.gz")) == "a.b"
    assert identifier(Path("0001.npy")) == "0001" and identifier(Path("1.2.840.7")) == "1.2.840.7"


# PNG


def test_16_bit_png_is_read_with_the_stated_offset(tmp_path, hu):
    path = tmp_path / "a.png"
    PIL.Image.fromarray((hu.astype(int) + 1024).astype(np.uint16)).save(path)
    np.testing.assert_array_equal(read_image(path, hu_offset=-1024).hu, hu)
    assert "batch.json" in refusal(read_image, path)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1", "LA"])
def test_other_png_is_refused_as_image(tmp_path, mode):
    PIL.Image.new(mode, (20, 20)).save(tmp_path / "a.png")
    assert "16-bit grey PNG" in refusal(read_image, tmp_path / "a.png", hu_offset=-1024)


@pytest.mark.parametrize("side", [5000, 10_000, 100_000])
def test_png_of_too_many_pixels_is_refused_before_it_is_unpacked(tmp_path, hu, side):
    path = tmp_path / "a.png"
    PIL.Image.fromarray(hu.astype(np.uint16)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", side, side)  # width and height of the header
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    message = refusal(read_image, path, hu_offset=0)
    assert f"{side} x {side}" in message or "DecompressionBomb" in message


# NIfTI


@pytest.mark.parametrize("axes", ["LPI", "RAS", "LAS", "RPI", "IPL", "SRA", "ALS"])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_nifti_is_turned_head_up_and_patients_right_first(tmp_path, hu, axes, ending):
    image = read_image(save_nifti(tmp_path / f"a{ending}", hu, axes))
    np.testing.assert_array_equal(image.hu, hu)
    assert image.spacing_mm == pytest.approx((1.5, 2.0))


def test_nifti_column_0_lies_at_the_patients_right_in_world_coordinates(tmp_path, hu):
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


def test_nifti_that_is_not_one_coronal_slice_is_refused(tmp_path, hu):
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


def test_nifti_without_orientation_or_numbers_is_refused(tmp_path, hu):
    nibabel.save(nibabel.Nifti1Image(hu[:, np.newaxis, :], None), tmp_path / "a.nii")
    assert "no orientation" in refusal(read_image, tmp_path / "a.nii")
    colour = np.zeros((20, 1, 20), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(colour, np.eye(4)), tmp_path / "b.nii")
    assert "integers or floats" in refusal(read_image, tmp_path / "b.nii")


def test_nifti_with_absurd_spacing_is_refused(tmp_path, hu):
    assert "0.1 to 5.0 mm" in refusal(read_image, save_nifti(tmp_path / "a.nii", hu, mm=(0.01, 1, 1)))
    assert "field of view" in refusal(read_image, save_nifti(tmp_path / "b.nii", hu, mm=(0.2, 1, 1)))


def test_gzip_bomb_is_refused(tmp_path):
    path = tmp_path / "a.nii.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        for _ in range(5):
            file.write(bytes(64 << 20))
    assert "unpacks to more than 256 MiB" in refusal(read_image, path)


# DICOM


def test_dicom_is_rescaled_and_carries_its_spacing(tmp_path, hu):
    image = read_image(save_dicom(tmp_path / "a.dcm", hu // 2 * 2))
    assert image.hu.dtype == np.float32 and image.spacing_mm == (1.5, 2.0)
    np.testing.assert_array_equal(image.hu, hu // 2 * 2)


@pytest.mark.parametrize("towards_left, towards_head", [(1, -1), (-1, -1), (1, 1), (-1, 1)])
def test_dicom_is_turned_head_up_and_patients_right_first(tmp_path, hu, towards_left, towards_head):
    stored = (hu // 2 * 2)[::-towards_head, ::towards_left]
    orientation = [towards_left, 0, 0, 0, 0, towards_head]
    image = read_image(save_dicom(tmp_path / "a.dcm", stored, ImageOrientationPatient=orientation))
    np.testing.assert_array_equal(image.hu, hu // 2 * 2)


def test_dicom_is_known_by_its_mark_where_the_name_says_nothing(tmp_path, hu):
    assert read_image(save_dicom(tmp_path / "1.2.840.7", hu)).hu.shape == hu.shape
    assert read_image(save_dicom(tmp_path / "IM0001", hu)).hu.shape == hu.shape


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}, "coronal"),
        ({"ImageOrientationPatient": [0, 0, -1, 1, 0, 0]}, "coronal"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0.5, -0.866]}, "20 degrees"),
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"Modality": "MR"}, "modality MR"),
        ({"RescaleSlope": None}, "lacks RescaleSlope"),
        ({"PixelSpacing": None, "PixelData": None}, "lacks PixelSpacing, PixelData"),
        ({"PixelSpacing": [0.0, 1.0]}, "0.1 to 5.0 mm"),
        ({"Rows": 5000}, "16 to 4096"),
        ({"PixelData": bytes(10)}, "truncated"),
        ({"SamplesPerPixel": 3}, "one value of 8, 16 or 32 bits a pixel"),
        ({"SamplesPerPixel": None}, "one value of 8, 16 or 32 bits a pixel"),
        ({"BitsAllocated": 64}, "one value of 8, 16 or 32 bits a pixel"),
        ({"encoding": DeflatedExplicitVRLittleEndian}, "gdcmconv --raw"),
    ],
)
def test_dicom_that_is_not_one_coronal_ct_slice_is_refused(tmp_path, hu, changes, words):
    assert words in refusal(read_image, save_dicom(tmp_path / "a.dcm", hu, **changes))


def test_compressed_dicom_is_refused_with_the_tool_that_unpacks_it(tmp_path, hu):
    dataset = pydicom.dcmread(save_dicom(tmp_path / "a.dcm", hu))
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(tmp_path / "b.dcm")
    assert "JPEG Lossless" in refusal(read_image, tmp_path / "b.dcm")


@pytest.mark.filterwarnings("ignore:Invalid value for VR DA")
def test_no_identifier_is_quoted_in_messages_logs_or_output(tmp_path, hu, caplog, capfd):
    path = save_dicom(tmp_path / "a.dcm", hu, PatientBirthDate="Doe^Jane", Modality="MR")
    caplog.clear()
    capfd.readouterr()
    assert "Doe" not in refusal(read_image, path)
    assert "Doe" not in caplog.text + "".join(capfd.readouterr())


def test_no_identifier_is_quoted_of_a_damaged_file(tmp_path, hu):
    path = save_dicom(tmp_path / "a.dcm", hu)
    content = bytearray(path.read_bytes())
    length = content.index(b"\x08\x00\x60\x00CS") + 6
    content[length] = 26  # the modality takes in the patient's name, which follows it
    path.write_bytes(content)
    assert "another modality" in refusal(read_image, path)


def test_nothing_is_printed_of_a_damaged_header(tmp_path, hu, capfd):
    path = save_nifti(tmp_path / "a.nii", hu)
    content = bytearray(path.read_bytes())
    content[252:254] = b"\x07\x07"  # qform_code
    path.write_bytes(content)
    read_image(path)
    assert not "".join(capfd.readouterr())


@needs_real_data
@pytest.mark.parametrize("name", sorted(path.stem for path in (REAL / "ct_coronal_dicom").glob("*.dcm")))
def test_real_slices_hold_the_crops_cut_from_them_unflipped(name):
    whole = resample(read_image(REAL / "ct_coronal_dicom" / f"{name}.dcm")).hu.clip(-150, 200)
    columns = {}
    for side in "RL":
        crop = read_image(REAL / "ct_crops" / f"sbu_{name}_{side}.npy").hu.clip(-150, 200)
        likeness = match_template(whole, crop)
        assert likeness.max() > 0.99
        assert match_template(whole, crop[:, ::-1]).max() < 0.9
        columns[side] = np.unravel_index(likeness.argmax(), likeness.shape)[1]
    assert columns["R"] < columns["L"]


# Masks


@pytest.fixture
def mask() -> np.ndarray:
    return np.random.default_rng(1).random((20, 24)) > 0.7


@pytest.mark.parametrize(
    "dtype, high", [("bool", 1), ("uint8", 1), ("uint8", 255), ("float32", 1), ("int64", 255)]
)
def test_npy_masks_of_two_values_are_read(tmp_path, mask, dtype, high):
    found = read_mask(save_npy(tmp_path / "a.npy", (mask * high).astype(dtype)))
    assert found.pixels.dtype == bool and found.spacing_mm is None
    np.testing.assert_array_equal(found.pixels, mask)


@pytest.mark.parametrize("high, mode", [(1, "L"), (255, "L"), (255, "1")])
def test_png_masks_are_read(tmp_path, mask, high, mode):
    PIL.Image.fromarray((mask * high).astype(np.uint8)).convert(mode).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png").pixels, mask)


def test_nifti_masks_are_turned_like_images(tmp_path, mask):
    found = read_mask(save_nifti(tmp_path / "a.nii.gz", mask.astype(np.uint8), "RAS"))
    np.testing.assert_array_equal(found.pixels, mask)
    assert found.spacing_mm == pytest.approx((1.5, 2.0))


@pytest.mark.parametrize("values", [[0, 2], [0, 1, 255], [0.0, 0.5], [0.0, np.nan], [-1, 0], [0, 1j]])
def test_masks_of_other_values_are_refused(tmp_path, mask, values):
    array = np.resize(values, (20, 24))
    assert "mask is not binary" in refusal(read_mask, save_npy(tmp_path / "a.npy", array))


def test_masks_in_formats_for_images_alone_are_refused(tmp_path, hu):
    assert "expected a mask" in refusal(read_mask, save_dicom(tmp_path / "a.dcm", hu))
    PIL.Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    assert "grey PNG" in refusal(read_mask, tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.npy", "a.png"])
def test_written_masks_are_read_back_equal(tmp_path, mask, name):
    write_mask(tmp_path / "new" / name, mask)
    np.testing.assert_array_equal(read_mask(tmp_path / "new" / name).pixels, mask)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


def test_mask_is_written_in_known_formats_alone(tmp_path, mask):
    with pytest.raises(InputError, match="rename it"):
        write_mask(tmp_path / "a.jpg", mask)


# Any bytes

NAMES = ("a.npy", "a.png", "a.nii", "a.nii.gz", "a.dcm", "a")


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> dict[str, bytes]:
    """A file of each format as it should be."""
    folder = tmp_path_factory.mktemp("sound")
    hu = np.random.default_rng(0).integers(-1000, 1000, (20, 24)).astype(np.int16)
    np.save(folder / "a.npy", hu)
    PIL.Image.fromarray((hu.astype(int) + 1024).astype(np.uint16)).save(folder / "a.png")
    save_nifti(folder / "a.nii", hu)
    nibabel.save(nibabel.load(folder / "a.nii"), folder / "a.nii.gz")
    save_dicom(folder / "a.dcm", hu)
    save_dicom(folder / "a", hu)
    return {name: (folder / name).read_bytes() for name in NAMES}


def read_all(name: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            image = read_image(path, hu_offset=-1024)
        except InputError as error:
            assert str(path) in str(error)
        else:
            assert image.hu.dtype == np.float32 and image.hu.ndim == 2 and np.isfinite(image.hu).all()
            assert image.spacing_mm is None or all(0.1 <= step <= 5 for step in image.spacing_mm)
        try:
            mask = read_mask(path)
        except InputError as error:
            assert str(path) in str(error)
        else:
            assert mask.pixels.dtype == bool and mask.pixels.ndim == 2


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(NAMES), content=st.binary(max_size=600))
def test_random_bytes(name, content):
    read_all(name, content)


@settings(max_examples=600, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    changes=st.lists(st.tuples(st.integers(0, 1023), st.integers(0, 255)), max_size=8),
    length=st.integers(0, 6000) | st.none(),
)
def test_sound_files_with_bytes_changed_or_cut_off(sound, name, changes, length):
    content = bytearray(sound[name])
    for position, value in changes:
        content[position % len(content)] = value
    read_all(name, bytes(content[:length]))


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(NAMES), other=st.sampled_from(NAMES))
def test_files_under_the_name_of_another_format(sound, name, other):
    read_all(name, sound[other])
