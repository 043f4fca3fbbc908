"""Depths inside shapes: in mm, positive within, negative outside."""

from collections.abc import Sequence

import numpy as np


def inside_ellipsoid(offset: Sequence[np.ndarray], half_axes: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the depth inside an ellipsoid or ellipse to first order, from the offset to its centre along each axis."""
    square, slope = 1e-9, 1e-12
    for x, half_axis in zip(offset, half_axes, strict=True):
        scaled = x / half_axis
        square = square + scaled**2
        slope = slope + (scaled / half_axis) ** 2
    return (np.sqrt(square) - square) / np.sqrt(slope)


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
