"""The crop while it is painted: tissues cover one another with soft edges."""

import numpy as np
from numpy.typing import ArrayLike

from kcseg.phantom.contrast import Contrast
from kcseg.phantom.fields import WHOLE, Window, smooth_field, window_around
from kcseg.phantom.shapes import inside_ellipsoid, share_inside


class Canvas:
    """A crop on the patient's right, or a part of one: row 0 = head, column 0 = lateral, the last column medial."""

    def __init__(
        self, crop_hu: np.ndarray, contrast: Contrast, random: np.random.Generator, window: Window = WHOLE
    ) -> None:
        self._crop_hu, self.window = crop_hu, window  # the window's rows and columns are the crop's
        self.contrast, self.random = contrast, random
        # float64 (height, width), changed by painting; that of a part is a view of the crop's
        self.hu = crop_hu[window]
        rows, columns = (np.arange(size, dtype=np.float64) for size in crop_hu.shape)
        # of each pixel in the crop, (height, 1) and (1, width)
        self.rows, self.columns = rows[window[0], None], columns[None, window[1]]

    def around(self, points: ArrayLike, reach_px: float) -> "Canvas":
        """Return the part that holds all pixels within `reach_px` of points (row, column)."""
        return Canvas(self._crop_hu, self.contrast, self.random, window_around(points, reach_px))

    def around_ellipse(
        self, centre: tuple[float, float], half_axes: tuple[float, float], margin_mm: float
    ) -> "Canvas":
        """Return the part that holds an ellipse and what lies less than `margin_mm` outside it."""
        return self.around([centre], max(half_axes) * (1 + margin_mm / min(half_axes)))

    def paint(
        self, inside_mm: np.ndarray, hu: np.ndarray | float, edge_mm: float = 1.0, share: float = 1.0
    ) -> None:
        """Cover where `inside_mm` is positive, by a share in [0, 1]; the edge is a ramp of width `edge_mm`."""
        self.cover(share * share_inside(inside_mm, edge_mm), hu)

    def cover(self, share: np.ndarray, hu: np.ndarray | float) -> None:
        """Mix in `hu` by a share in [0, 1]."""
        self.hu += share * (hu - self.hu)

    def field(self, scale_px: float) -> np.ndarray:
        """Return a smooth random field, of deviation 1."""
        return smooth_field(self.random, self._crop_hu.shape, scale_px, self.window)

    def curve(self, scale_px: float) -> np.ndarray:
        """Return a smooth random value of each row, (height, 1), of deviation 1."""
        return smooth_field(self.random, (len(self._crop_hu), 1), scale_px)[self.window[0]]

    def ellipse(
        self, centre: tuple[float, float], half_axes: tuple[float, float], tilt: float = 0.0
    ) -> np.ndarray:
        """Return mm inside an ellipse, to first order; `tilt` in radians turns its lower end laterally."""
        row, column = self.rows - centre[0], self.columns - centre[1]
        along = row * np.cos(tilt) - column * np.sin(tilt)
        across = row * np.sin(tilt) + column * np.cos(tilt)
        return inside_ellipsoid((along, across), half_axes)

    def line(
        self, start: tuple[float, float] | np.ndarray, end: tuple[float, float] | np.ndarray, radius: float
    ) -> np.ndarray:
        """Return mm inside a thick line with round ends."""
        row, column = self.rows - start[0], self.columns - start[1]
        down, right = end[0] - start[0], end[1] - start[1]
        along = np.clip((row * down + column * right) / (down**2 + right**2 + 1e-9), 0, 1)
        return radius - np.sqrt((row - along * down) ** 2 + (column - along * right) ** 2)
