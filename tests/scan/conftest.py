"""An analytic body with two kidneys, members that see them by their HU, and series of DICOM slices."""

from dataclasses import dataclass

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from kcseg.scan.scan import Scan
from kcseg.serving.contract import KIDNEY, outputs_with_kidney
from kcseg.serving.runner import Ensemble

HALF_AXES_MM, CORTEX_MM = np.array([27.0, 25.0, 50.0]), 7.0  # in RAS+
CENTRES_MM = {"right": np.array([65.0, -20.0, 0.0]), "left": np.array([-65.0, -20.0, 15.0])}
# with the medulla brighter, no voxel at the edge of a kidney looks like medulla
CORTEX_HU, MEDULLA_HU, BODY_HU = 140, 200, 0


class Seeing:
    """Stands in for a model: knows cortex and medulla by their HU, as perfect members would."""

    outputs = outputs_with_kidney()

    def __call__(self, signature, images):
        kidney = np.clip((images - 70) / 40 + 0.5, 0, 1)
        cortex = kidney * np.clip((170 - images) / 40 + 0.5, 0, 1)
        bone = images > 300
        cortex[bone], kidney[bone] = 0, 0
        return {"probability": cortex, "disagreement": 0 * cortex, KIDNEY: kidney}


def in_ellipsoid(places, centre_mm, half_axes_mm):
    """Which places (3, ...) in RAS+ mm lie in an ellipsoid."""
    offset = np.moveaxis(places, 0, -1) - centre_mm
    return ((offset / half_axes_mm) ** 2).sum(axis=-1) < 1


@dataclass(frozen=True)
class Body:
    """Makes scans of two ellipsoid kidneys in an ellipsoid body with a spine, on any grid."""

    sides: tuple[str, ...] = ("right", "left")
    cortex_hu: float = CORTEX_HU
    medulla_hu: float = MEDULLA_HU

    def hu_at(self, places: np.ndarray) -> np.ndarray:
        """HU at places (3, ...) in RAS+ mm."""
        inside = (places[0] / 160) ** 2 + (places[1] / 110) ** 2 < 1
        hu = np.where(inside, BODY_HU, -1000.0)
        hu[in_ellipsoid(places, (70, 20, 110), (60, 70, 50)) & inside] = 45
        hu[np.hypot(places[0], places[1] + 50) < 18] = 600
        for side in self.sides:
            for shorter, value in ((0.0, self.cortex_hu), (CORTEX_MM, self.medulla_hu)):
                hu[in_ellipsoid(places, CENTRES_MM[side], HALF_AXES_MM - shorter)] = value
        return hu

    def scan(self, affine: np.ndarray, shape: tuple[int, int, int]) -> Scan:
        """A scan on a grid, each voxel the mean of 2 x 2 x 2 points within it."""
        index = np.indices(shape).reshape(3, -1).astype(float)
        hu = np.zeros(index.shape[1])
        for offset in np.ndindex(2, 2, 2):
            shift = (np.array(offset)[:, None] + 0.5) / 2 - 0.5
            hu += self.hu_at(affine[:3, :3] @ (index + shift) + affine[:3, 3:]) / 8
        return Scan(np.rint(hu).reshape(shape).astype(np.int16), affine)


def axial(spacing_mm=(2.0, 2.0, 3.0), low=-80.0, high=150.0):
    """Affine and shape of an axial series from feet to head, first voxel at the patient's right and front."""
    width, depth = 340.0, 240.0
    affine = np.diag([-spacing_mm[0], -spacing_mm[1], spacing_mm[2], 1.0])
    affine[:3, 3] = width / 2, depth / 2, low
    shape = round(width / spacing_mm[0]), round(depth / spacing_mm[1]), round((high - low) / spacing_mm[2])
    return affine, shape


@pytest.fixture(scope="session")
def seeing():
    """An ensemble that sees the body's kidneys."""
    return Ensemble(Seeing())


@pytest.fixture(scope="session")
def body_scan():
    """A scan of the body with both kidneys, 2 x 2 x 3 mm."""
    return Body().scan(*axial())


@pytest.fixture
def save_series():
    """A function that writes a scan as a DICOM series and returns its files in the order of the slices."""
    return write_series


def write_series(folder, scan, *, description="abdomen", number=2, names=None, study="1.2.3", change=None):
    """Write each slice k of a scan; `change` may alter a data set, given k."""
    folder.mkdir(parents=True, exist_ok=True)
    to_dicom = np.diag([-1.0, -1.0, 1.0])
    along, down = (to_dicom @ scan.affine[:3, axis] for axis in (0, 1))
    width, height = (float(np.linalg.norm(axis)) for axis in (along, down))
    series, paths = generate_uid(), []
    for k in range(scan.hu.shape[2]):
        dataset = pydicom.Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.FrameOfReferenceUID = "1.2.3.4"
        dataset.SeriesNumber, dataset.SeriesDescription = str(number), description
        dataset.PatientID, dataset.PatientName, dataset.StudyID = "P", "Doe^Jane", "1"
        dataset.PatientBirthDate = dataset.PatientSex = dataset.AccessionNumber = ""
        dataset.StudyDate, dataset.StudyTime, dataset.ReferringPhysicianName = "20200101", "120000", ""
        dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.InstanceNumber = str(k + 1)
        dataset.ImagePositionPatient = (to_dicom @ (scan.affine @ [0, 0, k, 1])[:3]).tolist()
        dataset.ImageOrientationPatient = [*(along / width).tolist(), *(down / height).tolist()]
        dataset.PixelSpacing = [height, width]
        dataset.SliceThickness = str(round(float(np.linalg.norm(scan.affine[:3, 2])), 3))
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = "1", "-1024", "HU"
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows, dataset.Columns = scan.hu.shape[1], scan.hu.shape[0]
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelRepresentation = 0
        dataset.PixelData = (scan.hu[..., k].T.astype(np.int32) + 1024).astype(np.uint16).tobytes()
        if change:
            change(dataset, k)
        path = folder / (names[k] if names else f"IM{k:04}")
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths
