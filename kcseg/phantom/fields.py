"""Smooth random fields: what makes outlines wander and tissues uneven."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import BSpline

from kcseg.phantom.shapes import Planes, random_directions

Window = tuple[slice, slice]
WHOLE: Window = (slice(None), slice(None))
# Deviation that uniform cubic B-splines leave of white noise, in two dimensions: the integral of B(x)².
_SPLINE_DEVIATION = 151 / 315


def smooth_field(
    random: np.random.Generator, shape: tuple[int, int], scale_px: float, window: Window = WHOLE
) -> np.ndarray:
    """Return a window of a float64 field of mean 0 and deviation about 1 that changes over `scale_px` pixels.

    All of the field is drawn, whatever the window.
    """
    knots = random.standard_normal([int(size / scale_px) + 5 for size in shape])
    down, across = (_splines(size, scale_px)[part] for size, part in zip(shape, window, strict=True))
    return down @ (knots / _SPLINE_DEVIATION) @ across.T


def window_around(points: ArrayLike, reach_px: float) -> Window:
    """Return the rows and columns of all pixels within `reach_px` of points (row, column)."""
    first, last = np.min(points, axis=0) - reach_px, np.max(points, axis=0) + reach_px
    sides = np.maximum(np.stack([np.floor(first), np.ceil(last) + 1], axis=1), 0)
    rows, columns = (slice(*side) for side in sides.astype(int).tolist())
    return rows, columns


@dataclass(frozen=True, eq=False)
class Waves:
    """A smooth random field in space, so that neighbouring planes of a slab agree."""

    vectors: np.ndarray  # float64 (waves, 3), radians per mm along row, column and depth
    phases: np.ndarray  # float64 (waves,)

    @classmethod
    def draw(cls, random: np.random.Generator, length_mm: float, count: int = 12) -> "Waves":
        """Draw waves in all directions, of half to one and a half times `length_mm`."""
        directions = random_directions(random, count)
        lengths = length_mm * random.uniform(0.5, 1.5, (count, 1))
        return cls(2 * np.pi * directions / lengths, random.uniform(0, 2 * np.pi, count))

    def on_planes(self, planes: Planes) -> np.ndarray:
        """Return float32 (depths, rows, columns) of deviation 1."""
        # cos(a + b) = cos a cos b - sin a sin b turns the sum of waves into a matrix product
        down = np.multiply.outer(planes.rows_mm, self.vectors[:, 0]) + self.phases
        down = down + np.multiply.outer(planes.depths_mm, self.vectors[:, 2])[:, None]
        across = np.multiply.outer(self.vectors[:, 1], planes.columns_mm)
        down = np.concatenate([np.cos(down), -np.sin(down)], axis=-1) * np.sqrt(2 / len(self.phases))
        across = np.concatenate([np.cos(across), np.sin(across)])
        return down.astype(np.float32) @ across.astype(np.float32)


@lru_cache(maxsize=64)
def _splines(size: int, scale_px: float) -> np.ndarray:
    """Return (size, knots): how much each knot of a uniform cubic B-spline, `scale_px` apart, counts at each pixel."""
    knots = scale_px * np.arange(-3.0, int(size / scale_px) + 6)
    return BSpline.design_matrix(np.arange(size, dtype=np.float64), knots, 3).toarray()
