"""Feeds the readers of images and masks."""

from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import PIL.Image
import pydicom
from pydicom import uid

from kcseg.errors import InputError
from kcseg.image.formats import read_image, read_mask
from tests.fuzz.mutate import broken, broken_gzip, broken_png
from tests.fuzz.reader import Reader, saved

PICTURE = np.random.default_rng(0).integers(-1000, 1000, (20, 24)).astype(np.int16)
MASK = np.random.default_rng(1).random((20, 24)) > 0.7


def _png(pixels: np.ndarray) -> bytes:
    return saved(PIL.Image.fromarray(pixels).save, "a.png")


def _save_dicom(encoding: uid.UID, path: Path) -> None:
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = uid.CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
    dataset.PatientName, dataset.Modality, dataset.NumberOfFrames = "Doe^Jane", "CT", 1
    dataset.Rows, dataset.Columns = PICTURE.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept = 2, -1024
    dataset.PixelSpacing, dataset.ImageOrientationPatient = [1.5, 2.0], [1, 0, 0, 0, 0, -1]
    dataset.PixelData = PICTURE.tobytes()
    if encoding == uid.RLELossless:
        dataset.compress(encoding)
    dataset.file_meta.TransferSyntaxUID = encoding
    dataset.save_as(path, enforce_file_format=True)


NPY = [
    saved(partial(np.save, arr=array), "a.npy")
    for array in (PICTURE, PICTURE.astype(np.float32), PICTURE.astype(">f8").T, MASK, MASK.astype(np.uint8))
]
PNG_MASKS = [_png(MASK), _png(np.where(MASK, 255, 0).astype(np.uint8))]
PNG_HU = _png((PICTURE.astype(int) + 1024).astype(np.uint16))
VOLUMES = [
    kind(array[:, np.newaxis, :], np.diag([-2.0, -3.0, -1.5, 1.0]))
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image)
    for array in (PICTURE, PICTURE.astype(np.float32), MASK.astype(np.uint8))
]
NII, NII_GZ = (
    [saved(partial(nibabel.save, volume), name) for volume in VOLUMES] for name in ("a.nii", "a.nii.gz")
)
DICOM = [
    saved(partial(_save_dicom, encoding), "a.dcm")
    for encoding in (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.RLELossless)
]


def read_picture(path: Path) -> None:
    image = read_image(path, hu_offset=-1024 if path.suffix == ".png" else None)
    assert image.hu.dtype == np.float32 and image.hu.ndim == 2 and np.isfinite(image.hu).all()
    assert image.spacing_mm is None or all(0.1 <= step <= 5 for step in image.spacing_mm)


def read_outline(path: Path) -> None:
    found = read_mask(path)
    assert found.pixels.dtype == bool and found.pixels.ndim == 2


def read_both(path: Path) -> None:
    """Read a file as an image, and as a mask where it is none."""
    try:
        read_picture(path)
    except InputError:
        read_outline(path)


READERS = {
    "npy": Reader("a.npy", NPY, broken, read_both),
    "png mask": Reader("a.png", PNG_MASKS, broken_png, read_outline),
    "png 16-bit": Reader("a.png", [PNG_HU], broken_png, read_picture),
    "nii": Reader("a.nii", NII, broken, read_both),
    "nii.gz": Reader("a.nii.gz", NII_GZ, broken_gzip, read_both),
    "dicom": Reader("a.dcm", DICOM, broken, read_picture),
}
