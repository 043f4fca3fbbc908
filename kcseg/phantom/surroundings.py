"""What lies around the kidney in a coronal crop, painted from back to front."""

import numpy as np

from kcseg.phantom import organs, skeleton
from kcseg.phantom.canvas import Canvas
from kcseg.phantom.contrast import Contrast
from kcseg.phantom.skeleton import FAT_HU


def paint_surroundings(
    solid_mm: np.ndarray, *, right: bool, contrast: Contrast, random: np.random.Generator
) -> np.ndarray:
    """Return the tissue around a kidney as float64 (height, width) HU, as on the patient's right.

    `solid_mm` is the depth inside the kidney's capsule at each pixel, negative outside.
    """
    canvas = Canvas(np.full(solid_mm.shape, FAT_HU + random.normal(0, 6)), contrast, random)
    canvas.hu += random.uniform(2, 9) * canvas.field(25)
    rows, columns = (np.flatnonzero((solid_mm > 0).any(axis=axis)) for axis in (1, 0))
    if random.random() < 0.25:
        skeleton.paint_back_muscle(canvas)
    if random.random() < 0.6:
        _paint_mesentery(canvas)
    organs.paint_small_vessels(canvas)
    organs.paint_bowel(canvas, right)
    if random.random() < 0.5:
        organs.paint_clutter(canvas)
    if random.random() < 0.92:
        (organs.paint_liver if right else organs.paint_spleen)(canvas, solid_mm)
    _paint_perirenal_fat(canvas, -solid_mm)
    skeleton.paint_body_wall(canvas, columns[0])
    if random.random() < 0.72:
        skeleton.paint_spine(canvas, columns[-1])
    elif random.random() < 0.8:
        organs.paint_great_vessel(canvas, columns[-1], right)
    if random.random() < 0.35:
        pole_column = np.flatnonzero(solid_mm[rows[0]] > 0).mean()
        organs.paint_adrenal(canvas, (rows[0], pole_column))
    return canvas.hu


def _paint_perirenal_fat(canvas: Canvas, outside_mm: np.ndarray) -> None:
    """Cover organs near the kidney with fat of uneven thickness, bounded by fascia and crossed by strands."""
    random = canvas.random
    thickness = np.exp(random.normal(np.log(4), 0.8)) * np.clip(1 + 0.7 * canvas.field(35), 0.1, None)
    within = thickness - outside_mm
    part = canvas.around(np.argwhere(within > -5), 1)
    within = within[part.window]
    fat = FAT_HU + random.normal(2, 6) + 4 * part.field(15)
    part.paint(within, fat, 2)
    fascia = np.abs(within + random.uniform(0, 2)) * 0.9
    shown = np.clip(part.field(25) + 0.2, 0, 1) * random.uniform(0, 0.7)
    part.cover(shown * np.clip(1 - fascia, 0, 1), 20)
    _paint_strands(part, within + 5)


def _paint_strands(canvas: Canvas, within_mm: np.ndarray) -> None:
    """Paint thin wisps in the fat: the zero lines of a smooth field, faded here and there."""
    random = canvas.random
    field = canvas.field(random.uniform(10, 25))
    down, right = np.gradient(field)
    distance = np.abs(field) / np.sqrt(down**2 + right**2 + 1e-4)
    shown = np.clip(canvas.field(15), 0, 1) * np.clip(within_mm / 4, 0, 1) * random.uniform(0, 0.6)
    canvas.cover(shown * np.clip(1 - distance / 1.2, 0, 1), 10)


def _paint_mesentery(canvas: Canvas) -> None:
    """Make stretches of fat hazy, as where slabs catch parts of vessels and bowel."""
    random = canvas.random
    haze = np.clip(canvas.field(20), 0, 1.2) * random.uniform(0.1, 0.6)
    canvas.cover(haze * np.clip(0.6 + 0.3 * canvas.field(4), 0, 1), 20)
