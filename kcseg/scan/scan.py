"""A CT scan on its own grid, and the way to coronal slices of 1 mm and back."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel.affines import apply_affine, voxel_sizes

from kcseg.image.volume import coronal_affine, resampled, shifted, window_of
from kcseg.image.window import AIR_HU

_PLANES_TOGETHER = 16  # resampled at once, so that a whole scan is never held at 1 mm


@dataclass(frozen=True, eq=False)
class Scan:
    """A CT scan as the readers deliver it.

    Attributes:
        hu: int16 (i, j, k) voxels in Hounsfield units, in the order of its file or series.
        affine: float64 (4, 4), index of a voxel -> mm in RAS+: to the patient's right, to the front, up.
        notes: what the reader found and a person should know, a few words each.
        files: the DICOM file of each slice k; the one file of a NIfTI.
        unit: what the file itself measures in: mm, micron or meter.
    """

    hu: np.ndarray
    affine: np.ndarray
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    unit: str = "mm"

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in mL."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Length of a voxel along each of its axes in mm."""
        i, j, k = voxel_sizes(self.affine).tolist()
        return i, j, k

    def box_mm(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lowest and highest corner of all voxel centres in RAS+ mm, (3,) each."""
        corners = np.array(np.meshgrid(*[(0, size - 1) for size in self.hu.shape])).reshape(3, -1).T
        places = apply_affine(self.affine, corners)
        return places.min(axis=0), places.max(axis=0)


@dataclass(frozen=True, eq=False)
class Frame:
    """A grid of coronal slices with pixels of 1 mm: slices from back to front, row 0 = head, column 0 = right."""

    corner_mm: np.ndarray  # (3,) RAS+ of the first slice's first pixel
    shape: tuple[int, int, int]  # slices, rows, columns
    step_mm: float = 1.0  # from slice to slice

    @classmethod
    def around(cls, low_mm: np.ndarray, high_mm: np.ndarray, step_mm: float = 1.0) -> "Frame":
        """Return the frame that covers a box in RAS+ mm."""
        left, back, feet = low_mm
        right, front, head = high_mm
        slices = int(np.floor((front - back) / step_mm)) + 1
        shape = slices, int(np.ceil(head - feet)) + 1, int(np.ceil(right - left)) + 1
        return cls(np.array([right, back, head]), shape, step_mm)

    @property
    def affine(self) -> np.ndarray:
        """Index (slice, row, column) -> mm in RAS+, float64 (4, 4)."""
        return coronal_affine(self.corner_mm, self.step_mm)

    def slices_of(self, scan: Scan) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the number of a slice and its float32 HU (rows, columns), linear between voxels; air beyond the scan.

        Along axes on which the scan has more voxels than 1 mm asks for, it is not smoothed: networks know noise.
        """
        for first in range(0, self.shape[0], _PLANES_TOGETHER):
            count = min(_PLANES_TOGETHER, self.shape[0] - first)
            onto = shifted(self.affine, (first, 0, 0))
            block = resampled(scan.hu, scan.affine, onto, (count, *self.shape[1:]), fill=AIR_HU)
            yield from ((first + place, plane) for place, plane in enumerate(block))

    def to_scan(self, values: np.ndarray, scan: Scan, window: tuple[slice, slice, slice]) -> np.ndarray:
        """Return float32 values of this frame at the centres of a scan's voxels in a window, 0 beyond the frame."""
        start = [part.start for part in window]
        shape = [part.stop - part.start for part in window]
        return resampled(values, self.affine, shifted(scan.affine, start), shape)

    def window_in(self, scan: Scan) -> tuple[slice, slice, slice]:
        """Return the window of the scan's voxels that lie in this frame, not empty."""
        return window_of(self.affine, self.shape, scan.affine, scan.hu.shape)
