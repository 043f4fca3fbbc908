"""Reads one coronal slice from a NIfTI file."""

import gzip
import logging
from pathlib import Path

import nibabel
import numpy as np
from nibabel import imageglobals
from nibabel.affines import voxel_sizes

from kcseg.errors import InputError
from kcseg.image.limits import MAXIMUM_BYTES, check_plane, check_size

imageglobals.logger.setLevel(logging.CRITICAL)  # it prints what it thinks of headers


def read_nifti(path: Path) -> tuple[np.ndarray, tuple[float, float]]:
    """Return the slice as (height, width), row 0 = head, column 0 = patient's right, and (row, column) mm.

    The file must hold a volume one voxel deep from front to back, with an affine that says so.

    Raises:
        InputError: not one coronal slice, no stated orientation, or no numbers.
    """
    volume = _decode(path)
    if volume.ndim != 3:
        raise InputError(
            f"expected a volume with one coronal slice in {path}, got shape {volume.shape}; "
            "keep the front-to-back axis and the affine when cutting the slice"
        )
    if not volume.header["sform_code"] and not volume.header["qform_code"]:
        raise InputError(
            f"{path} states no orientation (sform and qform codes are 0); save it with the scanner's affine"
        )
    if volume.get_data_dtype().kind not in "iuf":
        raise InputError(
            f"expected integers or floats in {path}, got {volume.get_data_dtype()}; save it as int16"
        )
    right_anterior_superior = nibabel.io_orientation(volume.affine)[:, 0].argsort()
    across, deep, up = (volume.shape[axis] for axis in right_anterior_superior)
    if deep != 1:
        raise InputError(
            f"expected one slice from front to back in {path}, got {across} across, {deep} deep, {up} high; "
            "cut one coronal slice per file"
        )
    check_size(path, (up, across))
    volume = nibabel.as_closest_canonical(volume)
    directions = volume.affine[:3, :3] / voxel_sizes(volume.affine)
    check_plane(path, directions[0, 0], directions[2, 2])
    width_mm, _, height_mm = (float(size) for size in voxel_sizes(volume.affine))
    # canonical voxels run towards right and head; a picture runs away from both
    return np.asanyarray(volume.dataobj)[::-1, 0, ::-1].T, (height_mm, width_mm)


def _decode(path: Path) -> nibabel.Nifti1Image:
    """Return the volume from memory, so that a compressed file cannot grow beyond the limit."""
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as file:
        content = file.read(MAXIMUM_BYTES + 1)
    if len(content) > MAXIMUM_BYTES:
        raise InputError(
            f"{path} unpacks to more than {MAXIMUM_BYTES >> 20} MiB; store one coronal slice per file"
        )
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        if kind.header_class.may_contain_header(content):
            return kind.from_bytes(content)
    raise InputError(f"{path} is no NIfTI file; convert it again or correct its suffix")
