"""One reader per file format, for images and for masks, and the writer of masks."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image

from kcseg.errors import InputError
from kcseg.files import write
from kcseg.image.dicom import is_dicom, read_dicom
from kcseg.image.image import Image, Mask, Spacing
from kcseg.image.limits import MAXIMUM_HU, check_bytes, check_size, check_spacing
from kcseg.image.nifti import read_nifti

IMAGE_SUFFIXES = (".npy", ".png", ".nii", ".nii.gz", ".dcm")
MASK_SUFFIXES = (".npy", ".png", ".nii", ".nii.gz")


def read_image(path: Path, *, hu_offset: int | None = None) -> Image:
    """Read one coronal CT slice: npy, 16-bit grey PNG, NIfTI or DICOM, told apart by suffix.

    Args:
        path: the file; one without a known suffix is read as DICOM if it carries the DICOM mark.
        hu_offset: what to add to the values of a PNG to get HU, e.g. -1024; other formats need none.

    Raises:
        InputError: whatever is wrong with the file, in one sentence with the mend.
    """
    path = Path(path)
    with _decoding(path):
        check_bytes(path)
        pixels, spacing_mm = _read_image_pixels(path, hu_offset)
        check_size(path, pixels.shape)
        if spacing_mm is not None:
            check_spacing(path, spacing_mm, pixels.shape)
        return Image(_as_hu(path, pixels), spacing_mm)


def read_mask(path: Path) -> Mask:
    """Read one mask: npy, 1- or 8-bit grey PNG, or NIfTI, with values 0 and 1, or 0 and 255.

    Raises:
        InputError: whatever is wrong with the file, in one sentence with the mend.
    """
    path = Path(path)
    with _decoding(path):
        check_bytes(path)
        pixels, spacing_mm = _read_mask_pixels(path)
        check_size(path, pixels.shape)
        if spacing_mm is not None:
            check_spacing(path, spacing_mm, pixels.shape)
        return Mask(_as_mask(path, pixels), spacing_mm)


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a bool mask (height, width) as npy (bool) or PNG (8-bit grey, 0 and 255), by suffix.

    Raises:
        InputError: another suffix, or the file cannot be written.
    """
    if suffix(path) == ".npy":
        write(path, lambda file: np.save(file, mask, allow_pickle=False))
    elif suffix(path) == ".png":
        grey = PIL.Image.fromarray(np.where(mask, 255, 0).astype(np.uint8))
        write(path, lambda file: grey.save(file, "PNG"))
    else:
        raise InputError(f"expected .npy or .png as the suffix of a mask, got {path.name}; rename it")


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
    """Return the file name without the suffix that names its format."""
    return path.name[: -len(suffix(path))] if suffix(path) in IMAGE_SUFFIXES else path.name


def _read_image_pixels(path: Path, hu_offset: int | None) -> tuple[np.ndarray, Spacing | None]:
    match suffix(path):
        case ".npy":
            return _read_npy(path), None
        case ".png":
            return _read_png_hu(path, hu_offset), None
        case ".nii" | ".nii.gz":
            return read_nifti(path)
        case ".dcm":
            return read_dicom(path)
    if is_dicom(path):
        return read_dicom(path)
    raise InputError(
        f"expected an image ({', '.join(IMAGE_SUFFIXES)}), got {path}; convert it or move it away"
    )


def _read_mask_pixels(path: Path) -> tuple[np.ndarray, Spacing | None]:
    match suffix(path):
        case ".npy":
            return _read_npy(path), None
        case ".png":
            return _read_png(path, {"1", "L"}, "a 1- or 8-bit grey PNG"), None
        case ".nii" | ".nii.gz":
            return read_nifti(path)
    raise InputError(f"expected a mask ({', '.join(MASK_SUFFIXES)}), got {path}; convert it or move it away")


def _as_hu(path: Path, pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype.kind not in "if":
        raise InputError(
            f"expected signed integers or floats in {path}, got {pixels.dtype}; HU are negative in fat, "
            "so save the image as int16"
        )
    with np.errstate(over="ignore"):
        hu = np.array(pixels, np.float32, order="C")
    if not (np.abs(hu) <= MAXIMUM_HU).all():
        raise InputError(
            f"{path} holds values that are no HU (NaN, infinite or beyond {MAXIMUM_HU:g}); export it again"
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
    # mapped, not loaded: the header is checked against the file's length before any memory is taken,
    # and an array of Python objects, which would need pickle, is refused
    return np.lib.format.open_memmap(path, mode="r")


def _read_png_hu(path: Path, hu_offset: int | None) -> np.ndarray:
    if hu_offset is None:
        raise InputError(
            f"the HU offset of {path} is not stated; give it with --hu-offset, "
            'or as {"hu_offset": -1024} in batch.json beside images/'
        )
    return _read_png(path, {"I;16"}, "a 16-bit grey PNG").astype(np.float64) + hu_offset


def _read_png(path: Path, modes: set[str], expected: str) -> np.ndarray:
    with PIL.Image.open(path, formats=("PNG",)) as picture:
        if picture.mode not in modes:
            raise InputError(f"expected {expected} in {path}, got mode {picture.mode}; convert it")
        check_size(path, (picture.height, picture.width))
        return np.asarray(picture)


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
            f"cannot read {path} ({type(error).__name__}); it is truncated or mislabelled: copy it again"
        ) from error
