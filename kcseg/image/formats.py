"""One reader per file format, for images and for masks, and the writer of masks."""

import math
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image

from kcseg.errors import InputError
from kcseg.files import write
from kcseg.image.dicom import is_dicom, read_dicom
from kcseg.image.grid import Grid
from kcseg.image.image import Image, Mask
from kcseg.image.limits import MAXIMUM_HU, check_bytes, check_size
from kcseg.image.nifti import read_nifti, write_nifti
from kcseg.image.png import read_png, read_png_hu

_DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
MASK_SUFFIXES = (".npy", ".png", ".nii", ".nii.gz")
IMAGE_SUFFIXES = (*MASK_SUFFIXES, *_DICOM_SUFFIXES)


def read_image(path: Path | str, *, hu_offset: int | None = None) -> Image:
    """Read one coronal CT slice: npy, 16-bit grey PNG, NIfTI or DICOM, told apart by suffix.

    Args:
        path: the file; one without a known suffix is read as DICOM if it carries the DICOM mark.
        hu_offset: what to add to the values of a PNG to get HU, e.g. -1024; by default what `batch.json` beside
            its folder says. Other formats state HU themselves, and none may be given for them.

    Raises:
        InputError: whatever is wrong with the file, in one sentence with the mend.
    """
    path = Path(path)
    with _decoding(path):
        check_bytes(path)
        kind = suffix(path)
        if hu_offset is not None and kind != ".png":
            raise InputError(
                f"expected PNG for the HU offset {hu_offset}, got {path}, which states HU itself; give none"
            )
        grid, notes = Grid(), tuple[str, ...]()
        match kind:
            case ".npy":
                pixels = _read_npy(path)
            case ".png":
                pixels = read_png_hu(path, hu_offset)
            case ".nii" | ".nii.gz":
                pixels, grid, notes = read_nifti(path)
            case _ if is_image(path):
                pixels, grid = read_dicom(path)
            case _:
                raise InputError(
                    f"expected an image ({', '.join(IMAGE_SUFFIXES)}), got {path}; convert it or move it away"
                )
        return Image(_as_hu(path, pixels), grid, notes)


def read_mask(path: Path | str) -> Mask:
    """Read one mask: npy, 1- or 8-bit grey PNG, or NIfTI, with values 0 and 1, or 0 and 255.

    Raises:
        InputError: whatever is wrong with the file, in one sentence with the mend.
    """
    path = Path(path)
    with _decoding(path):
        check_bytes(path)
        grid = Grid()
        match suffix(path):
            case ".npy":
                pixels = _read_npy(path)
            case ".png":
                pixels = read_png(path, {"1", "L"}, "a 1- or 8-bit grey PNG")
            case ".nii" | ".nii.gz":
                pixels, grid, _ = read_nifti(path)
            case _:
                raise InputError(
                    f"expected a mask ({', '.join(MASK_SUFFIXES)}), got {path}; convert it or move it away"
                )
        return Mask(_as_mask(path, pixels), grid)


def write_mask(path: Path, mask: np.ndarray, grid: Grid | None = None) -> None:
    """Write a bool mask (height, width) by suffix: npy (bool), PNG (8-bit, 0 and 255), or NIfTI (0 and 1) on a grid.

    Raises:
        InputError: another suffix, or the file cannot be written.
    """
    if suffix(path) == ".npy":
        write(path, lambda file: np.save(file, mask, allow_pickle=False))
    elif suffix(path) == ".png":
        grey = PIL.Image.fromarray(np.where(mask, 255, 0).astype(np.uint8))
        write(path, lambda file: grey.save(file, "PNG"))
    elif suffix(path) in (".nii", ".nii.gz"):
        write_nifti(path, mask, grid or Grid())
    else:
        raise InputError(
            f"expected {', '.join(MASK_SUFFIXES)} as the suffix of a mask, got {path.name}; rename it"
        )


def is_image(path: Path) -> bool:
    """Return whether `read_image` has a reader for the file, going by suffix or DICOM mark."""
    return suffix(path) in IMAGE_SUFFIXES or is_dicom(path)


def is_mask(path: Path) -> bool:
    """Return whether `read_mask` has a reader for the file, going by suffix."""
    return suffix(path) in MASK_SUFFIXES


def suffix(path: Path) -> str:
    """Return the suffix that names the format, in lower case; `.nii.gz` counts as one."""
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()


def identifier(path: Path) -> str:
    """Return the file name without the suffix that names its format, in Unicode's composed form (NFC)."""
    name = path.name[: -len(suffix(path))] if suffix(path) in IMAGE_SUFFIXES else path.name
    return unicodedata.normalize("NFC", name)


def _as_hu(path: Path, pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype.kind not in "if" or pixels.dtype.itemsize < 2:
        raise InputError(
            f"expected signed integers or floats of 16 bits or more in {path}, got {pixels.dtype}; "
            "HU are negative in fat and go beyond 1000, so save the image as int16"
        )
    with np.errstate(over="ignore"):
        hu = np.array(pixels, np.float32, order="C")
    if not np.isfinite(hu).all():
        raise InputError(
            f"{path} holds values that are no HU (NaN, infinite or far too large); export it again"
        )
    furthest = float(hu.flat[np.abs(hu).argmax()])
    if abs(furthest) > MAXIMUM_HU:
        raise InputError(
            f"{path} holds {furthest:g} HU, and CT holds none beyond {MAXIMUM_HU:g}; negative values were stored "
            "unsigned, the offset is wrong, or it is padding: export it signed, correct the offset, or pad with -1024"
        )
    if hu.min() == hu.max():
        raise InputError(f"every pixel of {path} is {hu.flat[0]:g} HU; export the image again")
    return hu


def _as_mask(path: Path, pixels: np.ndarray) -> np.ndarray:
    values = np.unique(pixels) if pixels.dtype.kind in "biuf" else np.array([pixels.dtype.name])
    if not any(np.isin(values, (0, highest)).all() for highest in (1, 255)):
        got = ", ".join(str(value) for value in values[:4]) + (", …" if len(values) > 4 else "")
        raise InputError(
            f"mask is not binary: expected 0 and 1, or 0 and 255, in {path}, got {got}; threshold it"
        )
    return np.array(pixels != 0, order="C")


def _read_npy(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = np.lib.format.read_array_header_1_0
            if version != (1, 0):
                read_header = np.lib.format.read_array_header_2_0
            shape, _, dtype = read_header(file)
            left = path.stat().st_size - file.tell()
    except ValueError as error:
        raise InputError(f"{path} is no npy file, or its header is damaged; save it again") from error
    if dtype.hasobject:
        raise InputError(f"{path} holds Python objects, which are never loaded; save numbers as int16")
    check_size(path, shape)
    if left < math.prod(shape) * dtype.itemsize:
        raise InputError(f"{path} is truncated: it ends within its values; copy it again")
    return np.lib.format.open_memmap(path, mode="r")


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises on foreign bytes into one sentence; drop its warnings, they may quote."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"cannot read {path} ({type(error).__name__}); it is damaged or no {suffix(path) or 'DICOM'} file: "
            "copy or export it again"
        ) from error
