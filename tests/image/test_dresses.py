"""One crop in every dress a format has: the same HU to the bit."""

import nibabel
import numpy as np
import PIL.Image
import pydicom
import pytest
from pydicom import uid

from kcseg.image.formats import read_image


@pytest.fixture
def crop() -> np.ndarray:
    """HU as a scanner stores them, from its air to its bone."""
    return np.random.default_rng(7).integers(-1024, 3072, (32, 40)).astype(np.int16)


def squeezed(path, encoding) -> bytes:
    """The pixels of a DICOM file as GDCM compresses them."""
    gdcm = pytest.importorskip("gdcm", reason="the extra kcseg[compressed] is not installed")
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(encoding))))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return pydicom.dcmread(path).PixelData


ENCODINGS = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.RLELossless,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
)
BITS = {
    "signed": {},
    "unsigned": {"PixelRepresentation": 0},
    "signed 13": {"BitsStored": 13, "HighBit": 12},
    "unsigned 12": {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0},
}


@pytest.mark.parametrize("dtype", ["int16", ">i2", "int32", "float32", "float64"])
def test_npy(tmp_path, crop, dtype):
    np.save(tmp_path / "a.npy", crop.astype(dtype))
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy").hu, crop)


def test_png(tmp_path, crop):
    PIL.Image.fromarray((crop.astype(int) + 1024).astype(np.uint16)).save(tmp_path / "a.png")
    (tmp_path / "batch.json").write_text('{"hu_offset": -1024}')
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").hu, crop)


@pytest.mark.parametrize("axes", ["LPI", "RAS", "SAL", "ARI"])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti(tmp_path, crop, axes, name, save_nifti):
    np.testing.assert_array_equal(read_image(save_nifti(tmp_path / name, crop, axes)).hu, crop)


def test_nifti_of_unsigned_values_with_an_intercept(tmp_path, crop):
    stored = (crop.T[::-1, np.newaxis, ::-1].astype(int) + 1024).astype(np.uint16)
    volume = nibabel.Nifti1Image(stored, np.eye(4))
    volume.header.set_slope_inter(1, -1024)
    nibabel.save(volume, tmp_path / "a.nii")
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii").hu, crop)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.keyword)
def test_dicom(tmp_path, crop, bits, encoding, ct):
    path, layout = tmp_path / "a.dcm", BITS[bits]
    signed = layout.get("PixelRepresentation", 1)
    stored = crop if signed else (crop.astype(int) + 1024).astype(np.uint16)
    dataset = ct(crop, RescaleSlope=1, RescaleIntercept=0 if signed else -1024, **layout)
    dataset.PixelData = stored.tobytes()
    if encoding == uid.RLELossless:
        dataset.compress(encoding)
    elif encoding.is_compressed:
        dataset.save_as(path, enforce_file_format=True)
        dataset.PixelData = squeezed(path, encoding)
        dataset["PixelData"].VR = "OB"
    elif encoding == uid.ExplicitVRBigEndian:
        dataset.PixelData = stored.byteswap().tobytes()
    dataset.file_meta.TransferSyntaxUID = encoding
    dataset.save_as(path, enforce_file_format=True)
    np.testing.assert_array_equal(read_image(path).hu, crop)
