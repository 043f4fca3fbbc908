from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from skimage.feature import match_template

from kcseg.image.dicom import is_dicom
from kcseg.image.formats import read_image
from kcseg.image.image import resample
from kcseg.image.window import AIR_HU

REAL = Path(__file__).parents[3] / "shared" / "data"
needs_real_data = pytest.mark.skipif(
    not REAL.is_dir(), reason="the public CT slices are not beside the project"
)


def test_dicom_is_rescaled_and_carries_its_spacing(tmp_path, hu, save_dicom):
    image = read_image(save_dicom(tmp_path / "a.dcm", hu // 2 * 2))
    assert image.hu.dtype == np.float32 and image.spacing_mm == (1.5, 2.0)
    np.testing.assert_array_equal(image.hu, hu // 2 * 2)


@pytest.mark.parametrize("towards_left, towards_head", [(1, -1), (-1, -1), (1, 1), (-1, 1)])
def test_dicom_is_turned_head_up_and_patients_right_first(
    tmp_path, hu, towards_left, towards_head, save_dicom
):
    stored = (hu // 2 * 2)[::-towards_head, ::towards_left]
    orientation = [towards_left, 0, 0, 0, 0, towards_head]
    image = read_image(save_dicom(tmp_path / "a.dcm", stored, ImageOrientationPatient=orientation))
    np.testing.assert_array_equal(image.hu, hu // 2 * 2)


@pytest.mark.parametrize("towards_left, towards_head", [(1, -1), (-1, -1), (1, 1), (-1, 1)])
def test_dicom_that_lies_on_its_side_is_turned_too(tmp_path, hu, towards_left, towards_head, save_dicom):
    stored = (hu // 2 * 2)[::-towards_head, ::towards_left].T
    orientation = [0, 0, towards_head, towards_left, 0, 0]
    image = read_image(save_dicom(tmp_path / "a.dcm", stored, ImageOrientationPatient=orientation))
    np.testing.assert_array_equal(image.hu, hu // 2 * 2)
    assert image.spacing_mm == (2.0, 1.5)


def test_dicom_is_known_by_its_mark_where_the_name_says_nothing(tmp_path, hu, save_dicom):
    assert read_image(save_dicom(tmp_path / "1.2.840.7", hu)).hu.shape == hu.shape
    assert read_image(save_dicom(tmp_path / "IM0001", hu)).hu.shape == hu.shape


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}, "coronal"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "coronal"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0.5, -0.866]}, "20 degrees"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "right angles as ImageOrientationPatient"),
        ({"ImageOrientationPatient": [1, 0, 0]}, "6 numbers as ImageOrientationPatient"),
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"Modality": "MR"}, "modality MR"),
        ({"RescaleSlope": None}, "lacks RescaleSlope"),
        ({"PixelSpacing": None, "Modality": None}, "lacks Modality, PixelSpacing"),
        ({"PixelSpacing": None, "PixelData": None}, "is truncated before its PixelData, or holds none"),
        ({"Modality": "\x07T"}, "got another modality"),
        ({"Modality": "Doe^John"}, "got another modality"),
        ({"PixelSpacing": [0.0, 1.0]}, "0.1 to 5.0 mm"),
        ({"PixelSpacing": 1.0}, "2 numbers as PixelSpacing"),
        ({"Rows": 5000}, "16 to 4096"),
        ({"PixelData": bytes(10)}, "is truncated"),
        ({"SamplesPerPixel": 3}, "one grey value of 8, 16 or 32 bits a pixel"),
        ({"SamplesPerPixel": None}, "lacks SamplesPerPixel"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "one grey value of 8, 16 or 32 bits a pixel"),
        ({"BitsAllocated": 64}, "one grey value of 8, 16 or 32 bits a pixel"),
        ({"encoding": DeflatedExplicitVRLittleEndian}, "gdcmconv --raw"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "is a scout (ImageType LOCALIZER)"),
        ({"ImageType": ["DERIVED", "SECONDARY", "LOCALIZER", "CT_SOM5 TOP"]}, "is a scout"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "got Secondary Capture Image Storage"),
        ({"SOPClassUID": "1.3.12.2.1107.5.9.1"}, "got another kind of object"),
        ({"RescaleType": "US"}, "RescaleType names another unit"),
        ({"RescaleType": "Z_EFF"}, "RescaleType names another unit"),
        ({"BitsStored": 12}, "got HighBit 15, BitsStored 12"),
        ({"BitsStored": 12, "HighBit": 13}, "got HighBit 13, BitsStored 12"),
        ({"BitsStored": 20, "HighBit": 19}, "below BitsAllocated"),
        ({"PixelRepresentation": 0}, "and CT holds none beyond"),  # negative values, said to be none
    ],
)
def test_dicom_that_is_not_one_coronal_ct_slice_is_refused(tmp_path, hu, changes, words, save_dicom, refusal):
    if "PixelRepresentation" in changes:
        changes = {**changes, "RescaleIntercept": 0, "RescaleSlope": 1, "PixelData": hu.tobytes()}
    assert words in refusal(read_image, save_dicom(tmp_path / "a.dcm", hu, **changes))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_a_file_cut_off_anywhere_is_called_truncated(tmp_path, hu, share, save_dicom, refusal):
    content = save_dicom(tmp_path / "a.dcm", hu).read_bytes()
    header = content.index(b"\xe0\x7f\x10\x00")  # where PixelData begins
    for end in (int(header * share), header, header + int((len(content) - header) * share)):
        (tmp_path / "cut.dcm").write_bytes(content[:end])
        assert "is truncated" in refusal(read_image, tmp_path / "cut.dcm")


@pytest.mark.parametrize("unit", ["HU", "hu ", "", "Houndsfield Unit", "HOUNSFIELD"])
def test_hounsfield_units_are_known_however_they_are_written(tmp_path, hu, unit, save_dicom):
    image = read_image(save_dicom(tmp_path / "a.dcm", hu // 2 * 2, RescaleType=unit))
    np.testing.assert_array_equal(image.hu, hu // 2 * 2)


@pytest.mark.parametrize(
    "name", ["PixelSpacing", "ImageOrientationPatient", "RescaleSlope", "Rows", "PixelPaddingValue"]
)
@pytest.mark.parametrize("vr, value", [("UT", "as text"), ("DS", "1,5"), ("LO", "none")])
@pytest.mark.filterwarnings("ignore")
def test_an_element_of_another_kind_is_named(tmp_path, hu, name, vr, value, ct, refusal):
    dataset = ct(hu)
    with pydicom.config.disable_value_validation():
        dataset[name] = pydicom.DataElement(name, vr, value, already_converted=True)
        dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    message = refusal(read_image, tmp_path / "a.dcm")
    assert f"as {name} in" in message and "truncated" not in message and value not in message


# Padding


@pytest.mark.parametrize("padding", [-2000, -32768, 0, 32767])
def test_padding_becomes_air(tmp_path, hu, padding, ct):
    stored = (hu.astype(int) + 1024).astype(np.int16) // 2
    stored[stored == padding] += 1
    stored[:5, :7] = padding
    for element in ("SS", "US"):
        dataset = ct(hu, PixelData=stored.tobytes())
        value = padding % 65536 if element == "US" else padding
        dataset.add_new("PixelPaddingValue", element, value)
        dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
        image = read_image(tmp_path / "a.dcm")
        assert (image.hu[:5, :7] == AIR_HU).all()
        np.testing.assert_array_equal(image.hu[5:], stored[5:] * 2.0 - 1024)


def test_a_range_of_padding_becomes_air(tmp_path, hu, ct):
    stored = (hu.astype(int) + 1024).astype(np.uint16)
    stored[:5, :7], stored[5:8, :7] = 63000, 65535
    dataset = ct(hu, PixelData=stored.tobytes(), PixelRepresentation=0, RescaleSlope=1)
    dataset.add_new("PixelPaddingValue", "US", 65535)
    dataset.add_new("PixelPaddingRangeLimit", "US", 62000)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    found = read_image(tmp_path / "a.dcm").hu
    assert (found[:8, :7] == AIR_HU).all()
    np.testing.assert_array_equal(found[8:], hu[8:])


# Files without what the standard asks for


@pytest.mark.parametrize("name", ["a.dcm", "IM0001"])
@pytest.mark.parametrize("encoding", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("cut", ["preamble", "preamble and meta", "transfer syntax"])
def test_files_without_preamble_or_meta_are_read(tmp_path, hu, name, encoding, cut, ct):
    path = tmp_path / name
    dataset = ct(hu // 2 * 2, encoding=encoding)
    if cut == "transfer syntax":
        del dataset.file_meta.TransferSyntaxUID
        implicit = encoding == ImplicitVRLittleEndian
        dataset.save_as(path, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    elif cut == "preamble":
        dataset.save_as(path, enforce_file_format=True)
        path.write_bytes(path.read_bytes()[132:])
    else:
        del dataset.file_meta
        dataset.save_as(path, implicit_vr=encoding == ImplicitVRLittleEndian, little_endian=True)
    assert is_dicom(path)
    np.testing.assert_array_equal(read_image(path).hu, hu // 2 * 2)


def test_compressed_pixels_without_a_word_of_how_are_refused(tmp_path, hu, ct, refusal):
    dataset = ct(hu)
    dataset.compress(RLELossless)
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    content = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(content[content.index(b"\x08\x00\x16\x00") :])
    assert "TransferSyntaxUID does not say how" in refusal(read_image, tmp_path / "a.dcm")


# Enhanced CT


def enhanced(dataset: pydicom.Dataset, groups: str) -> pydicom.Dataset:
    """Move what a slice says of its place and units into functional groups, as Enhanced CT has them."""
    group = pydicom.Dataset()
    for macro, names in {
        "PixelMeasuresSequence": ["PixelSpacing", "SliceThickness"],
        "PlaneOrientationSequence": ["ImageOrientationPatient"],
        "PlanePositionSequence": ["ImagePositionPatient"],
        "PixelValueTransformationSequence": ["RescaleSlope", "RescaleIntercept", "RescaleType"],
        "CTImageFrameTypeSequence": ["FrameType"],
    }.items():
        inner = pydicom.Dataset()
        for name in names:
            inner[name] = dataset[name]
            del dataset[name]
        setattr(group, macro, [inner])
    setattr(dataset, groups, [group])
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    return dataset


@pytest.mark.parametrize("groups", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_enhanced_ct_of_one_frame_is_read_and_of_more_refused(tmp_path, hu, groups, ct, save_dicom, refusal):
    said = {"RescaleType": "HU", "FrameType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]}
    plain = read_image(save_dicom(tmp_path / "plain.dcm", hu))
    enhanced(ct(hu, **said, NumberOfFrames=1), groups).save_as(tmp_path / "a.dcm", enforce_file_format=True)
    image = read_image(tmp_path / "a.dcm")
    np.testing.assert_array_equal(image.hu, plain.hu)
    np.testing.assert_array_equal(image.grid.affine, plain.grid.affine)
    for changes, words in (
        ({"NumberOfFrames": 2}, "got 2 frames"),
        ({"FrameType": ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]}, "is a scout"),
        ({"RescaleType": "US"}, "RescaleType names another unit"),
    ):
        dataset = enhanced(ct(hu, **{**said, **changes}), groups)
        dataset.save_as(tmp_path / "b.dcm", enforce_file_format=True)
        assert words in refusal(read_image, tmp_path / "b.dcm")


# Compression


def test_compression_without_its_decoder_is_refused_with_what_to_install(
    tmp_path, hu, ct, refusal, monkeypatch
):
    dataset = ct(hu, encoding=JPEGLosslessSV1)
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with monkeypatch.context() as patch:
        patch.setattr("kcseg.image.dicom.get_decoder", lambda encoding: SimpleNamespace(is_available=False))
        message = refusal(read_image, tmp_path / "a.dcm")
    assert (
        "JPEG Lossless" in message and "install kcseg[compressed]" in message and "gdcmconv --raw" in message
    )
    dataset.file_meta.TransferSyntaxUID = "1.2.3.4"
    dataset.save_as(tmp_path / "b.dcm", implicit_vr=False, little_endian=True)
    assert "in a way that is not DICOM's" in refusal(read_image, tmp_path / "b.dcm")


def test_damaged_compressed_pixels_are_refused(tmp_path, hu, ct, refusal):
    dataset = ct(hu)
    dataset.compress(RLELossless)
    dataset.PixelData = pydicom.encaps.encapsulate([bytes(30)])
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert "cannot decode the PixelData" in refusal(read_image, tmp_path / "a.dcm")


# Patients


@pytest.mark.filterwarnings("ignore:Invalid value for VR DA")
def test_no_identifier_is_quoted_in_messages_logs_or_output(tmp_path, hu, caplog, capfd, save_dicom, refusal):
    path = save_dicom(tmp_path / "a.dcm", hu, PatientBirthDate="Doe^Jane", Modality="MR")
    caplog.clear()
    capfd.readouterr()
    assert "Doe" not in refusal(read_image, path)
    assert "Doe" not in caplog.text + "".join(capfd.readouterr())


def test_no_identifier_is_quoted_of_a_damaged_file(tmp_path, hu, caplog, capfd, save_dicom, refusal):
    path = save_dicom(tmp_path / "a.dcm", hu)
    content = bytearray(path.read_bytes())
    length = content.index(b"\x08\x00\x60\x00CS") + 6
    content[length] = 26  # the modality takes in the patient's name, which follows it
    path.write_bytes(content)
    message = refusal(read_image, path)
    assert "holds none; copy it again" in message  # none is found behind it
    assert "Doe" not in message + caplog.text + "".join(capfd.readouterr())


def test_nothing_is_printed_of_a_damaged_header(tmp_path, hu, capfd, save_nifti):
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
