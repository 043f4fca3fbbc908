"""Reads one CT slice from a DICOM file, and nothing that names the patient."""

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
from pydicom import uid
from pydicom.filereader import read_dataset
from pydicom.pixels import get_decoder, pixel_array

from kcseg.errors import InputError
from kcseg.image.grid import Grid
from kcseg.image.limits import check_place, check_size, check_spacing
from kcseg.image.window import AIR_HU

CT_KINDS = (uid.CTImageStorage, uid.EnhancedCTImageStorage, uid.LegacyConvertedEnhancedCTImageStorage)
_SIZE, _BITS = ("Rows", "Columns", "SamplesPerPixel"), ("BitsAllocated", "BitsStored", "HighBit")
_WHOLE = (*_SIZE, *_BITS, "PixelRepresentation")  # numbers
_PLACE = ("PixelSpacing", "ImageOrientationPatient")
_NEEDED = ("Modality", *_WHOLE, *_PLACE, "PhotometricInterpretation", "RescaleSlope", "RescaleIntercept")
_KIND = ("SOPClassUID", "ImageType", "FrameType", "RescaleType", "NumberOfFrames")
_FURTHER = (
    "PixelData",
    "ImagePositionPatient",
    "SliceThickness",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
)
# Enhanced CT says in these, for all frames or for each, what others say at once
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_MACROS = (
    "CTImageFrameTypeSequence",
    "PixelMeasuresSequence",
    "PlaneOrientationSequence",
    "PlanePositionSequence",
    "PixelValueTransformationSequence",
)
_AGAIN = "export the slice again from the original series"


def is_dicom(path: Path) -> bool:
    """Return whether the file carries the DICOM mark after its preamble, or begins as DICOM without one does."""
    with suppress(OSError):
        if path.is_file():  # a pipe would wait for ever
            with path.open("rb") as file:
                return _is_marked(start := file.read(132)) or _is_bare(start)
    return False


def read_dicom(path: Path) -> tuple[np.ndarray, Grid]:
    """Return float64 HU (height, width), row 0 = head, column 0 = patient's right, and their grid.

    Raises:
        InputError: as `decode_slice`, or the slice is not coronal.
    """
    voxels, affine = decode_slice(path)
    grid = Grid.of_voxels((*voxels.shape, 1), affine)
    check_place(path, grid)
    return grid.to_picture(voxels[:, :, np.newaxis]), grid


def decode_slice(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return float64 HU (columns, rows) of one slice of any orientation, and its affine, voxel index -> mm in RAS+.

    Only the elements named above are read, so no identifier can reach a message, a log or a result. Padding becomes
    air. Where the file does not say so, the slice lies at the origin and is 1 mm thick.

    Raises:
        InputError: not one CT slice in HU, no decoder for its compression, or an element is missing or wrong.
    """
    dataset = _decode(path)
    _check_kind(path, dataset)
    lacking = [name for name in _NEEDED if _lacks(dataset, name)]
    if lacking:
        raise InputError(f"{path} lacks {', '.join(lacking)}; {_AGAIN}")
    _check_layout(path, dataset)
    affine = _affine(path, dataset)
    stored = _pixels(path, dataset)
    (slope,), (intercept,) = (_numbers(path, dataset, f"Rescale{name}") for name in ("Slope", "Intercept"))
    return np.where(_padding(path, dataset, stored), AIR_HU, stored * slope + intercept).T, affine


def _is_marked(start: bytes) -> bool:
    return start[128:132] == b"DICM"


def _is_bare(start: bytes) -> bool:
    """Whether a file begins with an element of group 2 or 8, as DICOM without preamble does."""
    return start[:2] in (b"\x02\x00", b"\x08\x00") and start[3:4] == b"\x00"


def _decode(path: Path) -> pydicom.Dataset:
    """Return what is read of the file, with what Enhanced CT says in groups beside the rest."""
    content = path.read_bytes()
    if not (_is_marked(content) or _is_bare(content)):
        raise InputError(f"{path} is no DICOM file; convert it or correct its suffix")
    file = io.BytesIO(content)
    file.seek(132 if _is_marked(content) else 0)
    meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    encoding = uid.UID(meta.get("TransferSyntaxUID") or "")
    if encoding == uid.DeflatedExplicitVRLittleEndian:  # could grow without bound
        raise InputError(f"{path} is deflated as a whole; unpack it with 'gdcmconv --raw IN OUT'")
    file.seek(0)
    dataset = pydicom.dcmread(file, force=True, specific_tags=[*_KIND, *_NEEDED, *_FURTHER, *_GROUPS])
    if not encoding:
        implicit = dataset.original_encoding[0]
        encoding = uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = encoding
    if not dataset.get("SOPClassUID"):
        dataset.SOPClassUID = meta.get("MediaStorageSOPClassUID") or ""
    for items in (dataset.get(name) or [] for name in _GROUPS):
        for macro in (inner for name in _MACROS if items for inner in items[0].get(name) or []):
            dataset.update(macro)
    return dataset


def _check_kind(path: Path, dataset: pydicom.Dataset) -> None:
    """Refuse what is no single CT slice in HU; what else it is may be told where it is one of DICOM's own names."""
    kind = uid.UID(str(dataset.SOPClassUID))
    empty = _lacks(dataset, "PixelData")  # the last element: what comes before may be cut off, too
    if kind and kind not in CT_KINDS and (kind.keyword or not empty):
        got = kind.name if kind.keyword else "another kind of object"
        raise InputError(f"expected a CT image in {path}, got {got}; choose the original CT series")
    if empty:
        raise InputError(
            f"{path} is truncated before its PixelData, or holds none; copy it again, or {_AGAIN}"
        )
    if (modality := str(dataset.get("Modality") or "CT")) != "CT":
        # longer ones may hold a name
        named = len(modality) == 2 and modality.isascii() and modality.isalpha()
        got = f"modality {modality}" if named else "another modality"
        raise InputError(f"expected a CT slice in {path}, got {got}; choose a CT series")
    if "LOCALIZER" in f"{dataset.get('ImageType')} {dataset.get('FrameType')}".upper():
        raise InputError(f"{path} is a scout (ImageType LOCALIZER), which is no slice; leave it out")
    frames = _numbers(path, dataset, "NumberOfFrames", otherwise=1.0)[0]
    if frames > 1:
        raise InputError(f"expected one slice in {path}, got {frames:g} frames; export one slice per file")
    unit = str(dataset.get("RescaleType") or "HU").strip().upper()
    if unit != "HU" and not unit.startswith("HOUN"):  # some write Hounsfield out
        raise InputError(
            f"expected HU in {path}, but its RescaleType names another unit; choose the original CT series, "
            "or correct the element where it is wrong"
        )


def _check_layout(path: Path, dataset: pydicom.Dataset) -> None:
    """Refuse pixels that are not one value each, or whose bits do not lie as CT's do."""
    for name in _WHOLE:
        if not isinstance(dataset.get(name), int):
            raise InputError(
                f"expected a whole number as {name} in {path}, got another value or VR; {_AGAIN}"
            )
    check_size(path, (dataset.Rows, dataset.Columns))
    grey = str(dataset.PhotometricInterpretation).startswith("MONOCHROME")
    if dataset.SamplesPerPixel != 1 or dataset.BitsAllocated not in (8, 16, 32) or not grey:
        raise InputError(
            f"expected one grey value of 8, 16 or 32 bits a pixel in {path}, got others; {_AGAIN}"
        )
    allocated, stored, high = dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit
    if high != stored - 1 or not 0 < stored <= allocated:
        raise InputError(
            f"expected HighBit to be BitsStored - 1, and below BitsAllocated, in {path}, got HighBit {high}, "
            f"BitsStored {stored} and BitsAllocated {allocated}; {_AGAIN}"
        )


def _affine(path: Path, dataset: pydicom.Dataset) -> np.ndarray:
    """Return the affine of voxels (column, row, slice); DICOM's axes point to the patient's left, back and head."""
    height_mm, width_mm = (float(step) for step in _numbers(path, dataset, "PixelSpacing", 2))
    check_spacing(path, (height_mm, width_mm), (dataset.Rows, dataset.Columns))
    directions = _numbers(path, dataset, "ImageOrientationPatient", 6).reshape(2, 3)
    if not np.allclose(directions @ directions.T, np.eye(2), atol=0.01):
        raise InputError(
            f"expected two directions at right angles as ImageOrientationPatient in {path}; {_AGAIN}"
        )
    along, down = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    depth_mm = abs(_numbers(path, dataset, "SliceThickness", otherwise=1.0)[0]) or 1.0
    corner = _numbers(path, dataset, "ImagePositionPatient", 3, otherwise=0.0)
    affine = np.eye(4)
    affine[:3] = np.column_stack(
        [along * width_mm, down * height_mm, np.cross(along, down) * depth_mm, corner]
    )
    affine[:2] *= -1  # to right and front
    return affine


def _pixels(path: Path, dataset: pydicom.Dataset) -> np.ndarray:
    """Return the stored values (rows, columns)."""
    encoding = dataset.file_meta.TransferSyntaxUID
    name = encoding.name if encoding.keyword else "in a way that is not DICOM's"
    mend = "unpack it with 'gdcmconv --raw IN OUT'"
    try:
        decoder = get_decoder(encoding)
        ready = decoder.is_available
    except NotImplementedError:
        ready = False
    if not ready:
        raise InputError(f"{path} is compressed ({name}); install kcseg[compressed], or {mend}")
    if decoder.is_native:
        if dataset["PixelData"].is_undefined_length:
            raise InputError(f"{path} is compressed, and its TransferSyntaxUID does not say how; {_AGAIN}")
        if len(dataset.PixelData) < dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8:
            raise InputError(
                f"{path} is truncated: PixelData is shorter than Rows and Columns say; copy it again"
            )
    # GDCM ends the process over some damaged bytes, where others raise: only for what no other unpacks
    plugin = min(decoder.available_plugins, key="gdcm".__eq__, default="")
    try:
        return pixel_array(dataset, decoding_plugin=plugin)
    except Exception as error:  # whatever a decoder raises on damaged bytes
        raise InputError(
            f"cannot decode the PixelData of {path} ({name}); copy it again, or {mend}"
        ) from error


def _padding(path: Path, dataset: pydicom.Dataset, stored: np.ndarray) -> np.ndarray:
    """Return which pixels are padding, bool (rows, columns)."""
    if _lacks(dataset, "PixelPaddingValue"):
        return np.zeros(stored.shape, bool)
    first = _numbers(path, dataset, "PixelPaddingValue")[0]
    last = _numbers(path, dataset, "PixelPaddingRangeLimit", otherwise=first)[0]
    # written as signed or unsigned, whatever the pixels are
    low, high = np.sort(np.array([first, last]).astype(np.int64).astype(stored.dtype))
    return (low <= stored) & (stored <= high)


def _lacks(dataset: pydicom.Dataset, name: str) -> bool:
    return name not in dataset or dataset.get_item(name).value in (None, b"", "")


def _numbers(
    path: Path, dataset: pydicom.Dataset, name: str, count: int = 1, *, otherwise: float | None = None
) -> np.ndarray:
    """Return the numbers of an element, or what they are where it says nothing."""
    if otherwise is not None and _lacks(dataset, name):
        return np.full(count, otherwise)
    try:
        values = np.array(dataset.get(name), float).reshape(-1)
    except Exception:  # whatever pydicom makes of a wrong VR or a damaged element
        values = np.empty(0)
    if len(values) != count or not np.isfinite(values).all():
        wanted = f"{count} numbers" if count > 1 else "a number"
        raise InputError(f"expected {wanted} as {name} in {path}, got another value or VR; {_AGAIN}")
    return values
