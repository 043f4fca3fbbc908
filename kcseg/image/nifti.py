"""Reads one coronal slice from a NIfTI file, and writes a mask on the grid of its image's file."""

import gzip
import io
import logging
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel import imageglobals
from nibabel.affines import voxel_sizes
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from kcseg.errors import InputError, reason_of
from kcseg.files import write
from kcseg.image.grid import Grid
from kcseg.image.limits import MAXIMUM_BYTES, check_place, check_spacing

imageglobals.logger.setLevel(logging.CRITICAL)  # it prints what it thinks of headers

_MM = {"mm": 1.0, "micron": 0.001, "meter": 1000.0}
_SCANNER = 1  # the code of an affine that leads into the scanner's room


def read_nifti(path: Path) -> tuple[np.ndarray, Grid, tuple[str, ...]]:
    """Return the slice as (height, width), row 0 = head, column 0 = patient's right, its grid, and notes.

    The file must hold a volume one voxel deep from front to back, with an affine that says so; further axes
    of length 1 are dropped.

    Raises:
        InputError: not one coronal slice, no stated orientation, no numbers, or a header that contradicts itself.
    """
    voxels, affine, unit, notes = read_volume(path)
    grid = Grid.of_voxels(voxels.shape, affine, unit)
    check_place(path, grid)
    across, _, up = grid.order
    check_spacing(path, grid.spacing_mm or (0.0, 0.0), (voxels.shape[up], voxels.shape[across]))
    return grid.to_picture(voxels), grid, notes


def read_volume(
    path: Path, maximum_bytes: int = MAXIMUM_BYTES
) -> tuple[np.ndarray, np.ndarray, str, tuple[str, ...]]:
    """Return the voxels of a volume, its affine (voxel index -> mm in RAS+), the unit of its file, and notes.

    Further axes of length 1 are dropped.

    Raises:
        InputError: not three axes, no stated orientation, no numbers, or a header that contradicts itself.
    """
    volume = _decode(path, maximum_bytes)
    shape = _without_ones(volume.shape)
    if len(shape) != 3:
        raise InputError(
            f"expected a volume of three axes in {path}, got shape {shape}; "
            "keep the front-to-back axis and the affine when cutting one coronal slice"
        )
    if volume.get_data_dtype().kind not in "iuf":
        raise InputError(
            f"expected integers or floats in {path}, got {volume.get_data_dtype()}; save it as int16"
        )
    affine, notes = _affine(path, volume.header)
    unit = _unit(volume.header)
    try:
        voxels = np.asanyarray(volume.dataobj).reshape(shape)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is truncated: it ends within its voxels; copy it again") from error
    return voxels, np.diag([_MM[unit]] * 3 + [1.0]) @ affine, unit, notes


def stored_shape(path: Path) -> tuple[int, ...]:
    """Return the shape that a NIfTI's header states, as `read_volume` gives it, without reading the voxels.

    Raises nibabel's errors where it is none.
    """
    return _without_ones(nibabel.load(path).shape)


def write_nifti(path: Path, mask: np.ndarray, grid: Grid) -> None:
    """Write a bool mask (height, width) as NIfTI labels, uint8 0 and 1, on the grid of its image's file.

    Without a grid of its own (npy, PNG) the mask becomes one coronal slice at the origin, 1 mm where not stated.

    Raises:
        InputError: another suffix than .nii or .nii.gz, or the file cannot be written.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        raise InputError(f"expected .nii or .nii.gz as the suffix of a mask, got {path.name}; rename it")
    if grid.affine is None:
        (height, width), (height_mm, width_mm) = mask.shape, grid.pixel_mm
        grid = Grid.of_voxels((width, 1, height), np.diag([width_mm, 1.0, height_mm, 1.0]))
    assert grid.affine is not None
    write_volume(path, grid.to_voxels(mask).astype(np.uint8), grid.affine, grid.unit)


def write_volume(path: Path, voxels: np.ndarray, affine: np.ndarray, unit: str = "mm") -> None:
    """Write voxels as NIfTI with their affine, voxel index -> mm in RAS+, stated in the unit of another file."""
    affine = np.diag([1 / _MM[unit]] * 3 + [1.0]) @ affine
    volume = nibabel.Nifti1Image(voxels, affine)
    volume.header.set_xyzt_units(unit)
    volume.set_sform(affine, _SCANNER)
    volume.set_qform(affine, _SCANNER)
    content = volume.to_bytes()
    write(path, gzip.compress(content, mtime=0) if path.name.lower().endswith(".gz") else content)


def _decode(path: Path, maximum_bytes: int) -> nibabel.Nifti1Image:
    """Return the volume from memory, so that a compressed file cannot grow beyond the limit."""
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(maximum_bytes + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(
                f"{path} is truncated or damaged: it cannot be unpacked; copy it again"
            ) from error
    if len(content) > maximum_bytes:
        raise InputError(
            f"{path} unpacks to more than {maximum_bytes >> 20} MiB; store one coronal slice, or one scan, per file"
        )
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        if kind.header_class.may_contain_header(content):
            try:
                return kind.from_bytes(content)
            except (HeaderDataError, WrapStructError) as error:
                what = "scl_slope and scl_inter: " if "intercept" in str(error) else ""
                raise InputError(
                    f"the header of {path} is unsound ({what}{reason_of(error)}); correct it"
                ) from error
    raise InputError(f"{path} is no NIfTI file; convert it again or correct its suffix")


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Drop further axes of length 1."""
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _unit(header: Any) -> str:
    try:
        unit = header.get_xyzt_units()[0]
    except KeyError:
        unit = "unknown"
    return unit if unit in _MM else "mm"


def _affine(path: Path, header: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the sform, or the qform where the sform is of no use, and what there is to say of the two."""
    stated = [name for name in ("sform", "qform") if header[f"{name}_code"]]
    if not stated:
        raise InputError(
            f"{path} states no orientation (sform and qform codes are 0); save it with the scanner's affine"
        )
    sound = {name: form for name in stated if (form := _form(header, name)) is not None}
    if not sound:
        raise InputError(
            f"expected an affine in {path}, got {' and '.join(stated)} with axes that are zero or no numbers; "
            "save it with the scanner's affine"
        )
    if "sform" not in sound:
        notes = ("the sform's axes are zero or no numbers: the qform is used",) if "sform" in stated else ()
        return sound["qform"], notes
    sform, qform = sound["sform"], sound.get("qform", sound["sform"])
    sides = ["".join(nibabel.aff2axcodes(form)) for form in (qform, sform)]
    if sides[0] != sides[1]:
        return sform, ("qform and sform differ in side ({} and {}): the sform is used".format(*sides),)
    if not np.allclose(sform[:3, :3], qform[:3, :3], atol=0.02 * voxel_sizes(sform).max()):
        return sform, ("qform and sform differ in spacing or tilt: the sform is used",)
    return sform, ()


def _form(header: Any, name: str) -> np.ndarray | None:
    """Return the sform or qform; None where it leads nowhere."""
    try:
        form = header.get_sform() if name == "sform" else header.get_qform()
    except (HeaderDataError, ValueError):  # a quaternion that is none
        return None
    return form if np.isfinite(form).all() and np.linalg.matrix_rank(form[:3, :3]) == 3 else None
