"""What an image file may measure, checked before and after it is decoded."""

import math
from pathlib import Path

from nibabel.affines import voxel_sizes

from kcseg.errors import InputError
from kcseg.files import is_file
from kcseg.image.grid import Grid, Spacing

MAXIMUM_BYTES = 256 << 20
SIDE_PX = (16, 4096)
SPACING_MM = (0.1, 5.0)
MAXIMUM_HU = 31000.0  # the extended scale of CT ends at 30710
MAXIMUM_TILT_DEGREES = 20.0  # our choice: renal slices are often tilted along the kidney


def check_bytes(path: Path) -> None:
    """Refuse what is no file, and files that are empty or too large to be one slice."""
    if not is_file(path):
        raise InputError(f"{path} is not a file; check the path")
    size = path.stat().st_size
    if not size:
        raise InputError(f"{path} is empty; copy it again")
    if size > MAXIMUM_BYTES:
        raise InputError(
            f"expected at most {MAXIMUM_BYTES >> 20} MiB in {path}, got {size >> 20}; store one slice alone"
        )


def check_size(path: Path, shape: tuple[int, ...]) -> None:
    """Refuse anything but two dimensions of 16 to 4096 pixels."""
    if len(shape) != 2:
        raise InputError(f"expected a 2D image in {path}, got shape {shape}; cut one coronal slice per file")
    low, high = SIDE_PX
    if not all(low <= side <= high for side in shape):
        raise InputError(
            f"expected {low} to {high} pixels a side in {path}, got {shape[0]} x {shape[1]}; crop or pad it"
        )


def check_spacing(path: Path, spacing_mm: Spacing, shape: tuple[int, int]) -> None:
    """Refuse spacings no CT has, and fields of view that are no crop of a patient at 1 mm."""
    low, high = SPACING_MM
    if not all(low <= step <= high for step in spacing_mm):
        got = " x ".join(f"{step:g}" for step in spacing_mm)
        raise InputError(f"expected pixels of {low} to {high} mm in {path}, got {got} mm; correct its header")
    low, high = SIDE_PX
    extent = [side * step for side, step in zip(shape, spacing_mm, strict=True)]
    if not all(low <= side <= high for side in extent):
        raise InputError(
            f"expected a field of view of {low} to {high} mm a side in {path}, "
            f"got {extent[0]:.0f} x {extent[1]:.0f} mm; correct the spacing in its header"
        )


def check_place(path: Path, grid: Grid) -> None:
    """Refuse voxels that are no single coronal slice, or whose axes do not follow the patient's width and height."""
    assert grid.shape is not None and grid.affine is not None
    across, deep, up = grid.order
    if grid.shape[deep] != 1:
        got = f"{grid.shape[across]} voxels across, {grid.shape[deep]} deep and {grid.shape[up]} high"
        raise InputError(
            f"expected one coronal slice in {path}, got {got}; cut or reformat one coronal slice per file"
        )
    check_size(path, (grid.shape[up], grid.shape[across]))
    directions = grid.affine[:3, :3] / voxel_sizes(grid.affine)
    least = math.cos(math.radians(MAXIMUM_TILT_DEGREES))
    if min(abs(directions[0, across]), abs(directions[2, up])) < least:
        raise InputError(
            f"expected a coronal slice in {path}, got axes more than {MAXIMUM_TILT_DEGREES:g} degrees off; "
            "reformat the series as coronal"
        )
