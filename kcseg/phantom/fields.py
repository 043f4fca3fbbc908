"""Smooth random fields: what makes outlines wander and tissues uneven."""

from dataclasses import dataclass

import numpy as np

from kcseg.phantom.shapes import random_directions

# Deviation that uniform cubic B-splines leave of white noise, in two dimensions: the integral of B(x)².
_SPLINE_DEVIATION = 151 / 315


def smooth_field(random: np.random.Generator, shape: tuple[int, int], scale_px: float) -> np.ndarray:
    """Return float64 `shape` of mean 0 and deviation about 1 that changes over `scale_px` pixels."""
    knots = random.standard_normal([int(size / scale_px) + 5 for size in shape])
    return _spline(_spline(knots, shape[0], scale_px).T, shape[1], scale_px).T / _SPLINE_DEVIATION


def smooth_curve(random: np.random.Generator, size: int, scale_px: float) -> np.ndarray:
    """Return float64 (size,): a `smooth_field` of one dimension."""
    return smooth_field(random, (size, 1), scale_px)[:, 0]


@dataclass(frozen=True, eq=False)
class Waves:
    """A smooth random field in space, so that neighbouring planes of a slab agree.

    Attributes:
        vectors: float64 (waves, 3), radians per mm along row, column and depth.
        phases: float64 (waves,).
    """

    vectors: np.ndarray
    phases: np.ndarray

    @classmethod
    def draw(cls, random: np.random.Generator, length_mm: float, count: int = 12) -> "Waves":
        """Draw waves in all directions, of half to one and a half times `length_mm`."""
        directions = random_directions(random, count)
        lengths = length_mm * random.uniform(0.5, 1.5, (count, 1))
        return cls(2 * np.pi * directions / lengths, random.uniform(0, 2 * np.pi, count))

    def on_plane(self, rows_mm: np.ndarray, columns_mm: np.ndarray, depth_mm: float) -> np.ndarray:
        """Return float64 (rows, columns) of deviation 1 at a depth."""
        # cos(a + b) = cos a cos b - sin a sin b turns the sum of waves into two matrix products
        along_rows = np.outer(rows_mm, self.vectors[:, 0]) + self.phases + depth_mm * self.vectors[:, 2]
        along_columns = np.outer(self.vectors[:, 1], columns_mm)
        pairs = zip(
            np.concatenate([np.cos(along_rows), -np.sin(along_rows)], axis=1).T,
            np.concatenate([np.cos(along_columns), np.sin(along_columns)]),
            strict=True,
        )
        waves = sum(np.multiply.outer(row, column) for row, column in pairs)
        return waves * np.sqrt(2 / len(self.phases))


def _spline(knots: np.ndarray, size: int, scale_px: float) -> np.ndarray:
    """Return `size` points, `scale_px` to a knot, of the uniform cubic B-spline along the first axis."""
    first, t = np.divmod(np.arange(size) / scale_px, 1)
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    start = first.astype(np.intp)
    return sum(weight[:, None] * knots[start + step] for step, weight in enumerate(weights)) / 6
