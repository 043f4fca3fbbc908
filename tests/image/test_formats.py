import tempfile
import unicodedata
from pathlib import Path

import nibabel
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kcseg.errors import InputError
from kcseg.image.formats import identifier, read_image, read_mask, suffix, write_mask


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64", ">i2"])
def test_npy_is_read_as_float32_hu_without_spacing(tmp_path, hu, dtype, save_npy):
    image = read_image(save_npy(tmp_path / "a.npy", hu.astype(dtype)))
    assert image.hu.dtype == np.float32 and image.spacing_mm is None
    np.testing.assert_array_equal(image.hu, hu)


def test_image_does_not_change_with_its_file(tmp_path, hu, save_npy):
    path = save_npy(tmp_path / "a.npy", hu.astype(np.float32))
    image = read_image(path)
    with path.open("r+b") as file:
        file.seek(-400, 2)
        file.write(bytes(400))
    np.testing.assert_array_equal(image.hu, hu)
    assert type(image.hu) is np.ndarray


def test_npy_in_column_order_is_read_the_same(tmp_path, hu, save_npy):
    np.testing.assert_array_equal(read_image(save_npy(tmp_path / "a.npy", np.asfortranarray(hu))).hu, hu)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint16", "bool", "complex64", "U4"])
def test_npy_of_a_kind_that_holds_no_hu_is_refused(tmp_path, hu, dtype, save_npy, refusal):
    message = refusal(read_image, save_npy(tmp_path / "a.npy", hu.astype(dtype)))
    assert "expected signed integers or floats" in message and "save the image as int16" in message


def test_npy_with_pickled_objects_is_refused_unopened(tmp_path, save_npy, refusal):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    array = np.full((20, 20), Bomb(), dtype=object)
    assert "holds Python objects" in refusal(read_image, save_npy(tmp_path / "a.npy", array))
    assert not (tmp_path / "ran").exists()


def test_volume_is_refused_with_its_shape_and_the_mend(tmp_path, save_npy, refusal):
    message = refusal(read_image, save_npy(tmp_path / "exam.npy", np.zeros((75, 512, 512), np.int8)))
    assert message == (
        f"expected a 2D image in {tmp_path}/exam.npy, got shape (75, 512, 512); cut one coronal slice per file"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_no_hu_are_refused(tmp_path, hu, value, save_npy, refusal):
    array = hu.astype(np.float64)
    array[3, 4] = value
    assert "no HU" in refusal(read_image, save_npy(tmp_path / "a.npy", array))


@pytest.mark.parametrize("value", [31001, 65535, 1e30, -32768])
def test_values_beyond_what_ct_holds_are_refused_with_the_ways_that_lead_there(
    tmp_path, hu, value, save_npy, refusal
):
    array = hu.astype(np.float64)
    array[3, 4] = value
    message = refusal(read_image, save_npy(tmp_path / "a.npy", array))
    assert f"holds {value:g} HU" in message and "unsigned" in message and "padding" in message
    array[3, 4] = np.sign(value) * 30710  # where CT's extended scale ends
    assert np.abs(read_image(save_npy(tmp_path / "b.npy", array)).hu).max() == 30710


@pytest.mark.parametrize("name", ["a.npy", "a.nii.gz", "a.dcm"])
def test_an_offset_for_a_format_that_has_none_is_refused(
    tmp_path, hu, name, save_npy, save_nifti, save_dicom, refusal
):
    {"a.npy": save_npy, "a.nii.gz": save_nifti, "a.dcm": save_dicom}[name](tmp_path / name, hu)
    message = refusal(read_image, tmp_path / name, hu_offset=-1024)
    assert "expected PNG for the HU offset -1024" in message and "--" not in message


def test_constant_image_is_refused(tmp_path, save_npy, refusal):
    assert "every pixel" in refusal(read_image, save_npy(tmp_path / "a.npy", np.full((20, 20), -1024)))


@pytest.mark.parametrize("shape", [(15, 20), (20, 4097), (0, 20)])
def test_sizes_out_of_bounds_are_refused(tmp_path, shape, save_npy, refusal):
    refusal(read_image, save_npy(tmp_path / "a.npy", np.zeros(shape, np.int16)))


def test_header_that_promises_more_than_the_file_holds_takes_no_memory(tmp_path, refusal):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (10**7, 10**7)}
        )
    assert "4096 pixels a side" in refusal(read_image, path)


# Files as such


def test_missing_empty_truncated_and_foreign_files_are_refused(tmp_path, hu, save_npy, refusal):
    assert "not a file" in refusal(read_image, tmp_path / "missing.npy")
    assert "not a file" in refusal(read_image, tmp_path)
    (tmp_path / "empty.npy").touch()
    assert "is empty" in refusal(read_image, tmp_path / "empty.npy")
    whole = save_npy(tmp_path / "whole.npy", hu).read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-100])
    assert "is truncated" in refusal(read_image, tmp_path / "cut.npy")
    (tmp_path / "cut.npy").write_bytes(whole[:20])
    assert "its header is damaged" in refusal(read_image, tmp_path / "cut.npy")
    (tmp_path / "text.csv").write_text("a,b")
    assert ".npy, .png, .nii, .nii.gz, .dcm" in refusal(read_image, tmp_path / "text.csv")


@pytest.mark.parametrize(
    "name, words",
    [("a.npy", "no npy file"), ("a.png", "no PNG"), ("a.nii", "no NIfTI"), ("a.dcm", "no DICOM")],
)
def test_a_file_of_another_kind_is_called_so_and_not_truncated(tmp_path, name, words, refusal):
    (tmp_path / name).write_bytes(b"PK" + bytes(1000))
    message = refusal(read_image, tmp_path / name)
    assert words in message and "truncated" not in message


def test_file_beyond_the_limit_is_refused_unread(tmp_path, refusal):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        file.truncate(300 << 20)  # sparse: takes no disk
    assert "at most 256 MiB" in refusal(read_image, path)


def test_suffix_and_identifier_treat_nii_gz_as_one():
    assert suffix(Path("x/A.NII.GZ")) == ".nii.gz" and identifier(Path("x/a.b.nii.gz")) == "a.b"
    assert identifier(Path("0001.npy")) == "0001" and identifier(Path("1.2.840.7")) == "1.2.840.7"
    for name in ("CT.3.1.IMA", "CT.3.1.ima", "CT.3.1.DICOM", "CT.3.1.dcm"):
        assert identifier(Path(name)) == "CT.3.1"


def test_an_id_is_the_same_however_its_letters_are_composed():
    composed, apart = (unicodedata.normalize(form, "M\u00fcller.npy") for form in ("NFC", "NFD"))
    assert composed != apart and identifier(Path(composed)) == identifier(Path(apart)) == composed[:-4]


# Masks


@pytest.fixture
def mask() -> np.ndarray:
    return np.random.default_rng(1).random((20, 24)) > 0.7


@pytest.mark.parametrize(
    "dtype, high", [("bool", 1), ("uint8", 1), ("uint8", 255), ("float32", 1), ("int64", 255)]
)
def test_npy_masks_of_two_values_are_read(tmp_path, mask, dtype, high, save_npy):
    found = read_mask(save_npy(tmp_path / "a.npy", (mask * high).astype(dtype)))
    assert found.pixels.dtype == bool and found.spacing_mm is None
    np.testing.assert_array_equal(found.pixels, mask)


@pytest.mark.parametrize("high, mode", [(1, "L"), (255, "L"), (255, "1")])
def test_png_masks_are_read(tmp_path, mask, high, mode):
    PIL.Image.fromarray((mask * high).astype(np.uint8)).convert(mode).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png").pixels, mask)


def test_nifti_masks_are_turned_like_images(tmp_path, mask, save_nifti):
    found = read_mask(save_nifti(tmp_path / "a.nii.gz", mask.astype(np.uint8), "RAS"))
    np.testing.assert_array_equal(found.pixels, mask)
    assert found.spacing_mm == pytest.approx((1.5, 2.0))


@pytest.mark.parametrize("values", [[0, 2], [0, 1, 255], [0.0, 0.5], [0.0, np.nan], [-1, 0], [0, 1j]])
def test_masks_of_other_values_are_refused(tmp_path, mask, values, save_npy, refusal):
    array = np.resize(values, (20, 24))
    assert "mask is not binary" in refusal(read_mask, save_npy(tmp_path / "a.npy", array))


def test_masks_in_formats_for_images_alone_are_refused(tmp_path, hu, save_dicom, refusal):
    assert "expected a mask" in refusal(read_mask, save_dicom(tmp_path / "a.dcm", hu))
    PIL.Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    assert "grey PNG" in refusal(read_mask, tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.npy", "a.png", "a.nii", "a.nii.gz"])
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
def sound(tmp_path_factory, save_nifti, save_dicom) -> dict[str, bytes]:
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
            image = read_image(path, hu_offset=-1024 if path.suffix == ".png" else None)
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
