"""Depths inside shapes: in mm, positive within, negative outside."""

from collections.abc import Sequence

import numpy as np


def inside_ellipsoid(offset: Sequence[np.ndarray], half_axes: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the depth inside an ellipsoid or ellipse to first order, from the offset to its centre along each axis."""
    square = sum((x / a) ** 2 for x, a in zip(offset, half_axes, strict=True)) + 1e-9
    slope = sum((x / a**2) ** 2 for x, a in zip(offset, half_axes, strict=True)) + 1e-12
    return (np.sqrt(square) - square) / np.sqrt(slope)


def rounded_minimum(first: np.ndarray, second: np.ndarray, radius_mm: float = 3.0) -> np.ndarray:
    """Return the smaller of two depths, its edge rounded off over `radius_mm`."""
    overlap = np.clip(radius_mm - np.abs(first - second), 0, None)
    return np.minimum(first, second) - overlap**2 / (4 * radius_mm)


def random_directions(random: np.random.Generator, count: int) -> np.ndarray:
    """Return (count, 3) random unit vectors."""
    vectors = random.standard_normal((count, 3))
    return vectors / np.sqrt((vectors**2).sum(axis=1, keepdims=True))
