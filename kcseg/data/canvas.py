"""A picture in HU, painted region by region, and the smooth noise it is textured with."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False)
class Canvas:
    """A picture being painted, in HU; `down` and `medial` are each pixel's mm from the centre, (height, width)."""

    hu: np.ndarray
    down: np.ndarray
    medial: np.ndarray
    pixel_mm: float
    random: np.random.Generator

    def paint(self, where: np.ndarray, hu: float, texture_hu: float = 0.0, texture_mm: float = 3.0) -> None:
        """Give a region its HU, with a texture of the given deviation and grain."""
        self.hu[where] = hu
        if texture_hu:
            self.hu[where] += texture_hu * self.field(texture_mm)[where]

    def field(self, grain_mm: float) -> np.ndarray:
        """Smooth noise of zero mean and unit deviation whose spots are about `grain_mm` wide."""
        return smooth_noise(self.random, self.hu.shape, grain_mm / self.pixel_mm)

    def within(self, low: float, high: float) -> float:
        """Draw a number evenly between two."""
        return float(self.random.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """Draw whether something is so."""
        return bool(self.random.random() < probability)


def smooth_noise(random: np.random.Generator, shape: tuple[int, int], grain_px: float) -> np.ndarray:
    """Draw white noise on a coarse grid and smooth it by cubic B-splines: float64 of `shape`, unit deviation."""
    rows, columns = (_splines(side, grain_px) for side in shape)
    nodes = random.standard_normal((rows.shape[1], columns.shape[1]))
    field = (columns @ (rows @ nodes).T).T
    return field / field.std()


def _splines(side: int, grain_px: float) -> csr_array:
    """Values of the cubic B-splines of a grid at each pixel, (side, nodes).

    Sparse, not for its size: dense products are shared out among threads, which costs time and may cost the last digit.
    """
    nodes = np.arange(-1, np.ceil(side / grain_px) + 2)
    distance = np.abs(np.arange(side)[:, np.newaxis] / grain_px - nodes)
    near = 2 / 3 - distance**2 + distance**3 / 2
    return csr_array(np.where(distance < 1, near, np.clip(2 - distance, 0, None) ** 3 / 6))
