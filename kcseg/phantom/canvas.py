"""The crop while it is painted: tissues cover one another with soft edges."""

from dataclasses import dataclass

import numpy as np

from kcseg.phantom.fields import smooth_field
from kcseg.phantom.shapes import inside_ellipsoid


@dataclass(frozen=True, eq=False)
class Canvas:
    """A crop on the patient's right: row 0 = head, column 0 = lateral, the last column towards the midline.

    Attributes:
        hu: float64 (height, width), changed by painting.
    """

    hu: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """Row of each pixel, (height, 1)."""
        return np.arange(self.hu.shape[0], dtype=np.float64)[:, None]

    @property
    def columns(self) -> np.ndarray:
        """Column of each pixel, (1, width)."""
        return np.arange(self.hu.shape[1], dtype=np.float64)[None, :]

    def paint(self, inside_mm: np.ndarray, hu: np.ndarray | float, edge_mm: float = 1.0) -> None:
        """Cover where `inside_mm` is positive; the edge is a ramp of width `edge_mm`."""
        self.cover(np.clip(0.5 + inside_mm / edge_mm, 0, 1), hu)

    def cover(self, share: np.ndarray, hu: np.ndarray | float) -> None:
        """Mix in `hu` by a share in [0, 1]."""
        self.hu[...] += share * (hu - self.hu)

    def field(self, random: np.random.Generator, scale_px: float) -> np.ndarray:
        """Return a smooth random field over the crop, of deviation 1."""
        return smooth_field(random, self.hu.shape, scale_px)

    def ellipse(
        self, centre: tuple[float, float], half_axes: tuple[float, float], tilt: float = 0.0
    ) -> np.ndarray:
        """Return mm inside an ellipse, to first order; `tilt` in radians turns its lower end laterally."""
        row, column = self.rows - centre[0], self.columns - centre[1]
        along = row * np.cos(tilt) - column * np.sin(tilt)
        across = row * np.sin(tilt) + column * np.cos(tilt)
        return inside_ellipsoid((along, across), half_axes)

    def line(self, start: tuple[float, float], end: tuple[float, float], radius: float) -> np.ndarray:
        """Return mm inside a thick line with round ends."""
        row, column = self.rows - start[0], self.columns - start[1]
        down, right = end[0] - start[0], end[1] - start[1]
        along = np.clip((row * down + column * right) / (down**2 + right**2 + 1e-9), 0, 1)
        return radius - np.sqrt((row - along * down) ** 2 + (column - along * right) ** 2)
