"""Planes of points, and their depths inside shapes: in mm, positive within, negative outside."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Point = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Planes:
    """Sampling points of parallel coronal planes, in mm from the kidney's centre; what is reckoned there is float32.

    Rows run to the feet, columns to the midline, depths to the front: every kidney is grown as one on the
    patient's right and mirrored afterwards.
    """

    rows_mm: np.ndarray
    columns_mm: np.ndarray
    depths_mm: np.ndarray

    @property
    def point(self) -> Point:
        """Row, column and depth of each point, float32, to be broadcast to (depths, rows, columns)."""
        rows, columns, depths = (
            axis.astype(np.float32) for axis in (self.rows_mm, self.columns_mm, self.depths_mm)
        )
        return rows[:, None], columns, depths[:, None, None]

    def __getitem__(self, window: tuple[slice, slice, slice]) -> "Planes":
        depths, rows, columns = window
        return Planes(self.rows_mm[rows], self.columns_mm[columns], self.depths_mm[depths])

    def within(self, box_mm: np.ndarray, margin_mm: float = 0.0) -> tuple[slice, slice, slice]:
        """Return the window of the points in a box, lowest and highest (row, column, depth); axes must rise."""
        low, high = box_mm[0] - margin_mm, box_mm[1] + margin_mm
        rows, columns, depths = (
            slice(*np.searchsorted(axis, (low[place], high[place])).tolist())
            for place, axis in enumerate((self.rows_mm, self.columns_mm, self.depths_mm))
        )
        return depths, rows, columns


def inside_ellipsoid(offset: Sequence[np.ndarray], half_axes: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the depth inside an ellipsoid or ellipse to first order, from the offset to its centre along each axis."""
    square: np.ndarray | float = 1e-9
    slope: np.ndarray | float = 1e-12
    for x, length in zip(offset, half_axes, strict=True):
        half_axis = float(length)  # NumPy's float64 would turn float32 into float64
        scaled = x / half_axis
        square = square + scaled**2
        slope = slope + (scaled / half_axis) ** 2
    return (np.sqrt(square) - square) / np.sqrt(slope)


def inside_tube(
    planes: Planes, start: Sequence[float], end: Sequence[float], radius: float, end_radius: float
) -> np.ndarray:
    """Return the depth inside a straight tube with round ends, whose radius changes from start to end."""
    axis = [b - a for a, b in zip(start, end, strict=True)]
    row, column, depth = (x - c for x, c in zip(planes.point, start, strict=True))
    square = sum(length**2 for length in axis) + 1e-9
    # in an order that spreads out over all points as late as possible
    reached = (row * axis[0] + depth * axis[2]) / square + column * (axis[1] / square)
    along = np.minimum(np.maximum(reached, 0), 1)
    distance = (row**2 + depth**2) + column**2 + square * along * (along - 2 * reached)
    return radius + (end_radius - radius) * along - np.sqrt(np.maximum(distance, 0))


def rounded_minimum(first: np.ndarray, second: np.ndarray, radius_mm: float = 3.0) -> np.ndarray:
    """Return the smaller of two depths, its edge rounded off over `radius_mm`."""
    overlap = np.maximum(radius_mm - np.abs(first - second), 0)
    return np.minimum(first, second) - overlap**2 / (4 * radius_mm)


def share_inside(inside_mm: np.ndarray, edge_mm: float) -> np.ndarray:
    """Return the share of each point that a shape covers: a ramp from 0 to 1 over `edge_mm` across its surface."""
    share = inside_mm / edge_mm
    share += 0.5
    return np.minimum(np.maximum(share, 0, out=share), 1, out=share)


def random_directions(random: np.random.Generator, count: int) -> np.ndarray:
    """Return (count, 3) random unit vectors."""
    vectors = random.standard_normal((count, 3))
    return vectors / np.sqrt((vectors**2).sum(axis=1, keepdims=True))
