"""Where the pixels of a slice lie: in the picture, among the voxels of its file, and in the patient."""

from dataclasses import dataclass

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import apply_orientation, io_orientation, ornt_transform

Spacing = tuple[float, float]

_RAS = np.array([[0, 1], [1, 1], [2, 1]])


@dataclass(frozen=True, eq=False)
class Grid:
    """The grid of a slice. In the picture row 0 = head, column 0 = patient's right; a file has its own order.

    Attributes:
        spacing_mm: height and width of a pixel of the picture in mm; None where the file does not state it.
        shape: of the file's own voxels, three axes; None where the file states no place (npy, PNG).
        affine: float64 (4, 4), index of a voxel of the file -> mm in RAS+; None with `shape`.
        unit: what the file itself measures in: mm, micron or meter.
    """

    spacing_mm: Spacing | None = None
    shape: tuple[int, int, int] | None = None
    affine: np.ndarray | None = None
    unit: str = "mm"

    @classmethod
    def of_voxels(cls, shape: tuple[int, int, int], affine: np.ndarray, unit: str = "mm") -> "Grid":
        """Return the grid of a file's voxels; it must have one voxel from front to back to be a picture."""
        across, _, up = _order(affine)
        sizes = voxel_sizes(affine)
        return cls((float(sizes[up]), float(sizes[across])), shape, affine, unit)

    @property
    def pixel_mm(self) -> Spacing:
        """Height and width of a pixel of the picture in mm; taken as 1 mm where the file does not state it."""
        return self.spacing_mm or (1.0, 1.0)

    @property
    def order(self) -> tuple[int, int, int]:
        """Which axis of the voxels runs across the patient, which from back to front, and which up."""
        return _order(self.affine)

    def to_picture(self, voxels: np.ndarray) -> np.ndarray:
        """Return the file's voxels as (height, width), row 0 = head, column 0 = patient's right."""
        towards_ras = apply_orientation(voxels, io_orientation(self.affine))
        return towards_ras[::-1, 0, ::-1].T

    def to_voxels(self, picture: np.ndarray) -> np.ndarray:
        """Return what `to_picture` shows as (height, width) in the order of the file's voxels."""
        towards_ras = picture.T[::-1, np.newaxis, ::-1]
        return apply_orientation(towards_ras, ornt_transform(_RAS, io_orientation(self.affine)))


def _order(affine: np.ndarray | None) -> tuple[int, int, int]:
    across, deep, up = io_orientation(affine)[:, 0].argsort()
    return int(across), int(deep), int(up)
