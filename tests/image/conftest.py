"""Files of every format, made of one picture."""

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from kcseg.errors import InputError


@pytest.fixture
def hu() -> np.ndarray:
    """A picture no flip or transposition leaves alone."""
    return np.random.default_rng(0).integers(-1000, 1000, (20, 24)).astype(np.int16)


def _save_npy(path: Path, array: np.ndarray) -> Path:
    np.save(path, array, allow_pickle=True)
    return path


def _save_nifti(path: Path, hu: np.ndarray, axes: str = "LPI", mm: tuple = (2.0, 3.0, 1.5)) -> Path:
    """Store a picture as a volume whose indices grow towards `axes`; width, depth and height in mm."""
    volume = hu.T[:, np.newaxis, :]  # right to left, one slice, head to foot: towards L, P and I
    start = nibabel.orientations.axcodes2ornt("LPI")
    moves = nibabel.orientations.ornt_transform(start, nibabel.orientations.axcodes2ornt(axes))
    affine = np.diag([-mm[0], -mm[1], -mm[2], 1.0]) @ nibabel.orientations.inv_ornt_aff(moves, volume.shape)
    affine[:3, 3] += (50, -30, 700)
    nibabel.save(nibabel.Nifti1Image(nibabel.apply_orientation(volume, moves), affine), path)
    return path


def _ct(hu: np.ndarray, **changes) -> pydicom.Dataset:
    """A picture as a coronal CT slice with slope 2 and intercept -1024; None deletes an element."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = changes.pop("encoding", ExplicitVRLittleEndian)
    dataset.SOPClassUID = changes.pop("SOPClassUID", CTImageStorage)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
    dataset.PatientName, dataset.Modality = "Doe^Jane", "CT"
    dataset.Rows, dataset.Columns = hu.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept = 2, -1024
    dataset.PixelSpacing, dataset.ImageOrientationPatient = [1.5, 2.0], [1, 0, 0, 0, 0, -1]
    dataset.ImagePositionPatient, dataset.SliceThickness = [-50, 30, 700], 3
    dataset.PixelData = ((hu.astype(int) + 1024) // 2).astype("<i2").tobytes()
    for name, value in changes.items():
        if value is None:
            del dataset[name]
        else:
            setattr(dataset, name, value)
    return dataset


def _save_dicom(path: Path, hu: np.ndarray, **changes) -> Path:
    _ct(hu, **changes).save_as(path, enforce_file_format=True)
    return path


def _refusal(read, path: Path, **options) -> str:
    with pytest.raises(InputError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


@pytest.fixture(scope="session")
def save_npy():
    return _save_npy


@pytest.fixture(scope="session")
def save_nifti():
    return _save_nifti


@pytest.fixture(scope="session")
def ct():
    return _ct


@pytest.fixture(scope="session")
def save_dicom():
    return _save_dicom


@pytest.fixture(scope="session")
def refusal():
    """What a reader says of a file it refuses: one sentence that names the file."""
    return _refusal
