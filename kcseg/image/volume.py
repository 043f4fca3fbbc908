"""Volumes on grids: from one to another, and the window that one has in the other.

Affines are float64 (4, 4) and lead from the index of a voxel to mm in RAS+: to the patient's right, to the front, up.
"""

from collections.abc import Sequence

import numpy as np
from nibabel.affines import apply_affine
from scipy.ndimage import affine_transform


def resampled(
    values: np.ndarray,
    affine: np.ndarray,
    onto: np.ndarray,
    shape: Sequence[int],
    *,
    labels: bool = False,
    fill: float = 0.0,
) -> np.ndarray:
    """Return a volume on another grid, `fill` beyond it: float32, linear; or labels as they are, by the nearest."""
    towards = np.linalg.inv(affine) @ onto
    return affine_transform(
        values,
        towards[:3, :3],
        towards[:3, 3],
        tuple(shape),
        output=values.dtype if labels else np.float32,
        order=0 if labels else 1,
        cval=fill,
    )


def shifted(affine: np.ndarray, start: Sequence[int]) -> np.ndarray:
    """Return the affine of a window that begins at an index."""
    window = affine.copy()
    window[:3, 3] += affine[:3, :3] @ np.asarray(start)
    return window


def coronal_affine(corner_mm: np.ndarray, slice_mm: float, pixel_mm: float = 1.0) -> np.ndarray:
    """Return the affine of (slice, row, column): slices from back to front, row 0 = head, column 0 = patient's right.

    `corner_mm` is the place of the first voxel.
    """
    affine = np.zeros((4, 4))
    affine[0, 2], affine[1, 0], affine[2, 1] = -pixel_mm, slice_mm, -pixel_mm
    affine[:3, 3], affine[3, 3] = corner_mm, 1.0
    return affine


def window_of(
    affine: np.ndarray, shape: Sequence[int], onto: np.ndarray, size: Sequence[int]
) -> tuple[slice, slice, slice]:
    """Return the window of a grid, `onto` and `size`, that holds the volume of another, not empty."""
    corners = np.array(np.meshgrid(*[(-1, one) for one in shape])).reshape(3, -1).T
    places = apply_affine(np.linalg.inv(onto) @ affine, corners)
    low = np.clip(np.floor(places.min(axis=0)), 0, np.array(size) - 1).astype(int)
    high = np.clip(np.ceil(places.max(axis=0)) + 1, low + 1, size).astype(int)
    i, j, k = (slice(first, last) for first, last in zip(low.tolist(), high.tolist(), strict=True))
    return i, j, k
