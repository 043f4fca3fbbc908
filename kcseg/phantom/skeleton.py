"""Body wall, ribs, spine and the muscles beside it."""

import numpy as np

from kcseg.phantom.canvas import Canvas
from kcseg.phantom.contrast import Contrast
from kcseg.phantom.fields import smooth_curve

FAT_HU = -102.0


def paint_body_wall(
    canvas: Canvas, kidney_edge: float, contrast: Contrast, random: np.random.Generator
) -> np.ndarray:
    """Paint muscle layers, ribs, fat, skin and air lateral to a wall.

    `kidney_edge` is the kidney's most lateral column, which the wall keeps clear of. Returns the wall's column
    in each row, (height, 1).
    """
    height = canvas.hu.shape[0]
    rows = (canvas.rows - 96) / 96
    wall = random.uniform(-35, 38) + random.normal(0, 8) * rows + random.uniform(-14, 8) * rows**2
    wall = wall + np.clip(rows - random.uniform(-0.2, 0.9), 0, None) * random.uniform(0, 70)
    wall = wall + 1.5 * smooth_curve(random, height, 40)[:, None]
    beside = np.abs(canvas.rows - 96) < 50
    wall = wall - max(0.0, (wall[beside]).max() - kidney_edge + random.uniform(3, 12))
    depth = wall - canvas.columns
    muscle = random.uniform(8, 20)
    fat = muscle + random.choice([8, 25], p=[0.4, 0.6]) * random.uniform(0.5, 1.6)
    texture = 7 * canvas.field(random, 5)
    canvas.paint(depth, contrast.muscle + texture, 1.5)
    for layer in (muscle * random.uniform(0.25, 0.4), muscle * random.uniform(0.55, 0.75)):
        seam = 0.8 - np.abs(depth - layer - 1.2 * smooth_curve(random, height, 25)[:, None])
        canvas.cover(random.uniform(0.2, 0.8) * np.clip(seam, 0, 1), FAT_HU)
    canvas.paint(depth - muscle, FAT_HU + 5 * canvas.field(random, 20), 2)
    canvas.paint(depth - fat, 20, 1.5)
    canvas.paint(depth - fat - 2, -1000, 1)
    _paint_ribs(canvas, wall, muscle, random)
    if random.random() < 0.2:
        _paint_iliac_crest(canvas, wall, random)
    return wall


def _paint_ribs(canvas: Canvas, wall: np.ndarray, muscle: float, random: np.random.Generator) -> None:
    """Paint ribs cut across, a bright ring around marrow, down to the last rib."""
    row, last = random.uniform(-25, 20), random.uniform(60, 175)
    while row < last:
        column = float(wall[int(np.clip(row, 0, len(wall) - 1)), 0]) - muscle * random.uniform(0.3, 0.6)
        half_axes = (random.uniform(5.5, 10), random.uniform(2.8, 4.5))
        rib = canvas.ellipse((row, column), half_axes, random.normal(-0.15, 0.2))
        _paint_bone(canvas, rib, random.uniform(1.2, 2.2), random.uniform(500, 1000), random.uniform(40, 260))
        row += random.uniform(28, 42)


def _paint_iliac_crest(canvas: Canvas, wall: np.ndarray, random: np.random.Generator) -> None:
    """Paint the pelvis' upper edge, which rises into the crop below the last rib."""
    top = random.uniform(140, 185)
    centre = (top + 40, float(wall[-1, 0]) - random.uniform(2, 14))
    crest = canvas.ellipse(centre, (40.0, random.uniform(7, 16)), random.uniform(-0.7, 0.1)) + canvas.field(
        random, 12
    )
    _paint_bone(canvas, crest, random.uniform(1.5, 3), random.uniform(500, 900), random.uniform(60, 220))


def paint_spine(canvas: Canvas, kidney_edge: float, contrast: Contrast, random: np.random.Generator) -> float:
    """Paint vertebrae, discs, psoas and crus medial to the kidney; return the spine's column.

    `kidney_edge` is the kidney's most medial column.
    """
    spine = max(random.uniform(142, 200), kidney_edge + random.uniform(10, 25))
    lean = random.normal(0, 0.05) * (canvas.rows - 96)
    _paint_psoas(canvas, spine + lean, contrast, random)
    period, disc = random.uniform(31, 37), random.uniform(6, 9)
    position = np.mod(canvas.rows + random.uniform(0, period), period)
    body = period - disc
    waist = 4.0 * np.sin(np.pi * np.clip(position / body, 0, 1)) * random.uniform(0.5, 1.3)
    edge = spine + lean + waist + 0.7 * smooth_curve(random, len(lean), 12)[:, None]
    inside = canvas.columns - edge
    grain = contrast.disc + 10 * canvas.field(random, 6)
    canvas.paint(inside - 1.5, grain, 1.5)
    bulge = 1.0 * canvas.field(random, 14)
    vertebra = np.minimum(np.minimum(position, body - position) + bulge, inside)
    marrow = (
        random.uniform(120, 260)
        + random.uniform(15, 40) * canvas.field(random, 3)
        + 20 * canvas.field(random, 12)
    )
    _paint_bone(canvas, vertebra, random.uniform(1.5, 3.0), random.uniform(450, 800), marrow)
    return spine


def _paint_psoas(canvas: Canvas, spine: np.ndarray, contrast: Contrast, random: np.random.Generator) -> None:
    """Paint the psoas, from a slender tip beside the spine downwards and laterally, and the crus above it."""
    height = canvas.hu.shape[0]
    top, spread = random.uniform(10, 115), random.uniform(18, 62)
    way = np.clip((canvas.rows - top) / (height - top), 0, None)
    wander = 1.5 * smooth_curve(random, height, 30)[:, None]
    edge = spine - spread * way ** random.uniform(0.6, 1.1) + wander * np.sqrt(way)
    fibres = 8 * canvas.field(random, 5) - 12 * np.clip(canvas.field(random, 7) - 1, 0, None)
    inside = np.minimum(canvas.columns - edge, canvas.rows - top)
    canvas.paint(inside, contrast.muscle + fibres, random.uniform(1, 3))
    if random.random() < 0.7:
        crus = canvas.columns - spine + random.uniform(3, 9) + 1.5 * smooth_curve(random, height, 25)[:, None]
        canvas.paint(np.minimum(crus, top + 15 - canvas.rows), contrast.muscle + fibres, 1.5)


def paint_back_muscle(canvas: Canvas, contrast: Contrast, random: np.random.Generator) -> None:
    """Paint the muscles of the back, which a slab behind the kidney catches in part below its lower pole."""
    top = random.uniform(95, 185)
    lean = random.uniform(-0.5, 0.5) * (canvas.columns - 96)
    below = canvas.rows - top - lean + 5 * canvas.field(random, 35)
    beside = random.uniform(20, 70) - np.abs(canvas.columns - random.uniform(40, 130))
    share = random.uniform(0.15, 1.0) * np.clip(0.5 + below / random.uniform(4, 30), 0, 1)
    share = share * np.clip(0.5 + beside / random.uniform(10, 40), 0, 1)
    canvas.cover(share, contrast.muscle + 6 * canvas.field(random, 5))


def _paint_bone(
    canvas: Canvas, inside: np.ndarray, shell_mm: float, shell_hu: float, marrow_hu: np.ndarray | float
) -> None:
    canvas.paint(inside, shell_hu, 1.5)
    canvas.paint(inside - shell_mm, marrow_hu, 1.5)
