"""Reads one coronal CT slice from a DICOM file, and nothing that names the patient."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
from pydicom import uid
from pydicom.filereader import read_file_meta_info

from kcseg.errors import InputError
from kcseg.image.limits import check_plane, check_size

_STATED = (
    "Modality",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImageOrientationPatient",
    "RescaleSlope",
    "RescaleIntercept",
)
_STORAGE = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
)
_MODALITIES = ("CR", "DX", "MG", "MR", "NM", "OT", "PT", "RF", "RTDOSE", "SC", "SEG", "US", "XA")
# Deflated files and JPEG are left out: the first can grow without bound, the second needs extra decoders.
_ENCODINGS = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.RLELossless,
)


def is_dicom(path: Path) -> bool:
    """Return whether the file carries the DICOM mark after its 128-byte preamble."""
    with suppress(OSError):
        if path.is_file():  # a pipe would wait for ever
            with path.open("rb") as file:
                return file.read(132)[128:] == b"DICM"
    return False


def read_dicom(path: Path) -> tuple[np.ndarray, tuple[float, float]]:
    """Return float64 HU (height, width), row 0 = head, column 0 = patient's right, and (row, column) mm.

    Only the elements named above are read, so no identifier can reach a message, a log or a result.

    Raises:
        InputError: not CT, more than one frame, not coronal, compressed, or an element is missing.
    """
    encoding = read_file_meta_info(path).TransferSyntaxUID
    if encoding not in _ENCODINGS:
        name = encoding.name if encoding.keyword else "in a way that is not DICOM's"
        raise InputError(f"{path} is compressed ({name}); unpack it with 'gdcmconv --raw IN OUT'")
    dataset = pydicom.dcmread(path, specific_tags=[*_STATED, *_STORAGE, "NumberOfFrames", "PixelData"])
    if dataset.get("Modality") != "CT":
        got = str(dataset.get("Modality"))
        # in a damaged file the elements behind it, names among them, may have become part of it
        got = f"modality {got}" if got in _MODALITIES else "another modality"
        raise InputError(f"expected a CT slice in {path}, got {got}; choose a CT series")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise InputError(
            f"expected one slice in {path}, got {dataset.NumberOfFrames} frames; export one slice per file"
        )
    missing = [name for name in (*_STATED, "PixelData") if dataset.get(name) in (None, "")]
    if missing:
        raise InputError(
            f"{path} lacks {', '.join(missing)}; export the slice again from the original series"
        )
    check_size(path, (dataset.Rows, dataset.Columns))
    # what is there instead is not told: in a damaged file it may be anything, names among them
    if dataset.get("SamplesPerPixel") != 1 or dataset.get("BitsAllocated") not in (8, 16, 32):
        raise InputError(
            f"expected one value of 8, 16 or 32 bits a pixel in {path}, got others; "
            "export the slice again from the original series"
        )
    row_step, column_step = _picture_steps(path, dataset.ImageOrientationPatient)
    hu = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    height_mm, width_mm = (float(size) for size in dataset.PixelSpacing)
    return hu[::row_step, ::column_step], (height_mm, width_mm)


def _picture_steps(path: Path, orientation: list[float]) -> tuple[int, int]:
    """Return the steps, 1 or -1, that put the head into row 0 and the patient's right into column 0.

    DICOM's axes point to the patient's left, back and head; `orientation` holds the direction in which the
    column index grows, then that of the row index.
    """
    towards_left, towards_head = float(orientation[0]), float(orientation[5])
    check_plane(path, towards_left, towards_head)
    return (-1 if towards_head > 0 else 1), (1 if towards_left > 0 else -1)
