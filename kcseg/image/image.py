"""A coronal CT image or mask on its grid, and the way to 1 mm pixels and back."""

from dataclasses import dataclass, field

import numpy as np
from skimage.transform import resize

from kcseg.image.grid import Grid, Spacing


@dataclass(frozen=True, eq=False)
class Image:
    """A coronal CT slice as the readers deliver it.

    Attributes:
        hu: float32 (height, width) in Hounsfield units, row 0 = head, column 0 = patient's right.
        grid: where these pixels lie in the file and in the patient.
        notes: what the reader found and a person should know, a few words each.
    """

    hu: np.ndarray
    grid: Grid = field(default_factory=Grid)
    notes: tuple[str, ...] = ()

    @property
    def spacing_mm(self) -> Spacing | None:
        """Height and width of a pixel in mm; None where the file does not state it."""
        return self.grid.spacing_mm


@dataclass(frozen=True, eq=False)
class Mask:
    """An outline on the grid of its image.

    Attributes:
        pixels: bool (height, width), True = cortex, row 0 = head, column 0 = patient's right.
        grid: where these pixels lie in the file and in the patient.
    """

    pixels: np.ndarray
    grid: Grid = field(default_factory=Grid)

    @property
    def spacing_mm(self) -> Spacing | None:
        """Height and width of a pixel in mm; None where the file does not state it."""
        return self.grid.spacing_mm


def resample(image: Image, spacing_mm: float = 1.0) -> Image:
    """Return the image with pixels of `spacing_mm`; without a stated spacing it is taken as 1 mm.

    Interpolation is linear, after smoothing where pixels are dropped (our choice). The field of view is kept,
    so that the spacing returned may differ from the one asked for, by half a pixel over the whole image.
    """
    shape, spacing = _grid(image.hu.shape, image.grid, spacing_mm)
    return Image(to_shape(image.hu, shape), Grid(spacing), image.notes)


def resample_mask(mask: Mask, spacing_mm: float = 1.0) -> Mask:
    """Return the mask on the grid `resample` gives its image: what is covered more than half (our choice)."""
    shape, spacing = _grid(mask.pixels.shape, mask.grid, spacing_mm)
    return Mask(to_shape(mask.pixels, shape) > 0.5, Grid(spacing))


def to_shape(pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return an image (height, width) as float32 of another shape with the same field of view.

    No value leaves the range of those given.
    """
    pixels = pixels.astype(np.float32, copy=False)
    return pixels if pixels.shape == shape else resize(pixels, shape, order=1, preserve_range=True)


def sample(soft: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a soft mask (height, width) as float32 of another shape with the same field of view, to be cut there.

    Along an axis of fewer pixels each takes the value at its centre: a mean over pixels would shrink thin cortex, whose
    probability stays below 1 inside. Along the other axis interpolation is linear (our choice).
    """
    for axis, (had, wanted) in enumerate(zip(soft.shape, shape, strict=True)):
        if wanted < had:
            soft = soft.take(((np.arange(wanted) + 0.5) * had / wanted).astype(int), axis)
    return to_shape(soft, shape)


def same_spacing(one: Spacing | None, other: Spacing | None) -> bool:
    """Return whether two spacings agree within 1 %; one that is not stated agrees with any."""
    return one is None or other is None or np.allclose(one, other, rtol=0.01)


def _grid(shape: tuple[int, ...], grid: Grid, wanted_mm: float) -> tuple[tuple[int, int], Spacing]:
    """Return the shape that keeps the field of view at the wanted spacing, and its exact spacing."""
    height_mm, width_mm = (side * step for side, step in zip(shape, grid.pixel_mm, strict=True))
    rows, columns = max(1, round(height_mm / wanted_mm)), max(1, round(width_mm / wanted_mm))
    return (rows, columns), (height_mm / rows, width_mm / columns)
