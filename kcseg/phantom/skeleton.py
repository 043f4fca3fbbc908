"""Body wall, ribs, spine and the muscles beside it."""

import numpy as np

from kcseg.phantom.canvas import Canvas
from kcseg.phantom.shapes import share_inside

FAT_HU = -102.0


def paint_body_wall(canvas: Canvas, kidney_edge: float) -> np.ndarray:
    """Paint muscle layers, ribs, fat, skin and air lateral to a wall.

    `kidney_edge` is the kidney's most lateral column, which the wall keeps clear of. Returns the wall's column
    in each row, (height, 1).
    """
    random = canvas.random
    rows = (canvas.rows - 96) / 96
    wall = random.uniform(-35, 38) + random.normal(0, 8) * rows + random.uniform(-14, 8) * rows**2
    wall = wall + np.maximum(rows - random.uniform(-0.2, 0.9), 0) * random.uniform(0, 70)
    wall = wall + 1.5 * canvas.curve(40)
    beside = np.abs(canvas.rows - 96) < 50
    wall = wall - max(0.0, (wall[beside]).max() - kidney_edge + random.uniform(3, 12))
    muscle = random.uniform(8, 20)
    fat = muscle + random.choice([8, 25], p=[0.4, 0.6]) * random.uniform(0.5, 1.6)
    part = canvas.around([(0, 0), (len(wall), wall.max())], 1)
    depth = wall - part.columns
    part.paint(depth, part.contrast.muscle + 7 * part.field(5), 1.5)
    for layer in (muscle * random.uniform(0.25, 0.4), muscle * random.uniform(0.55, 0.75)):
        seam = 0.3 - np.abs(depth - layer - 1.2 * part.curve(25))
        part.paint(seam, FAT_HU, share=random.uniform(0.2, 0.8))
    part.paint(depth - muscle, FAT_HU + 5 * part.field(20), 2)
    part.paint(depth - fat, 20, 1.5)
    part.paint(depth - fat - 2, -1000, 1)
    _paint_ribs(canvas, wall, muscle)
    if random.random() < 0.2:
        _paint_iliac_crest(canvas, wall)
    return wall


def _paint_ribs(canvas: Canvas, wall: np.ndarray, muscle: float) -> None:
    """Paint ribs cut across, a bright ring around marrow, down to the last rib."""
    random = canvas.random
    row, last = random.uniform(-25, 20), random.uniform(60, 175)
    while row < last:
        column = float(wall[int(np.clip(row, 0, len(wall) - 1)), 0]) - muscle * random.uniform(0.3, 0.6)
        half_axes = (random.uniform(5.5, 10), random.uniform(2.8, 4.5))
        part = canvas.around_ellipse((row, column), half_axes, 1)
        rib = part.ellipse((row, column), half_axes, random.normal(-0.15, 0.2))
        _paint_bone(part, rib, random.uniform(1.2, 2.2), random.uniform(500, 1000), random.uniform(40, 260))
        row += random.uniform(28, 42)


def _paint_iliac_crest(canvas: Canvas, wall: np.ndarray) -> None:
    """Paint the pelvis' upper edge, which rises into the crop below the last rib."""
    random = canvas.random
    top = random.uniform(140, 185)
    centre = (top + 40, float(wall[-1, 0]) - random.uniform(2, 14))
    crest = canvas.ellipse(centre, (40.0, random.uniform(7, 16)), random.uniform(-0.7, 0.1)) + canvas.field(
        12
    )
    _paint_bone(canvas, crest, random.uniform(1.5, 3), random.uniform(500, 900), random.uniform(60, 220))


def paint_spine(canvas: Canvas, kidney_edge: float) -> float:
    """Paint vertebrae, discs, psoas and crus medial to the kidney; return the spine's column.

    `kidney_edge` is the kidney's most medial column.
    """
    random = canvas.random
    spine = max(random.uniform(142, 200), kidney_edge + random.uniform(10, 25))
    lean = random.normal(0, 0.05) * (canvas.rows - 96)
    _paint_psoas(canvas, spine + lean)
    period, disc = random.uniform(31, 37), random.uniform(6, 9)
    position = np.mod(canvas.rows + random.uniform(0, period), period)
    body = period - disc
    waist = 4.0 * np.sin(np.pi * np.clip(position / body, 0, 1)) * random.uniform(0.5, 1.3)
    edge = spine + lean + waist + 0.7 * canvas.curve(12)
    canvas = canvas.around([(0, edge.min()), canvas.hu.shape], 1)
    inside = canvas.columns - edge
    canvas.paint(inside - 1.5, canvas.contrast.disc + 10 * canvas.field(6), 1.5)
    vertebra = np.minimum(np.minimum(position, body - position) + canvas.field(14), inside)
    marrow = random.uniform(120, 260) + random.uniform(15, 40) * canvas.field(3) + 20 * canvas.field(12)
    _paint_bone(canvas, vertebra, random.uniform(1.5, 3.0), random.uniform(450, 800), marrow)
    return spine


def _paint_psoas(canvas: Canvas, spine: np.ndarray) -> None:
    """Paint the psoas, from a slender tip beside the spine downwards and laterally, and the crus above it."""
    random, height = canvas.random, len(canvas.hu)
    top, spread = random.uniform(10, 115), random.uniform(18, 62)
    way = np.maximum((canvas.rows - top) / (height - top), 0)
    wander = 1.5 * canvas.curve(30)
    edge = spine - spread * way ** random.uniform(0.6, 1.1) + wander * np.sqrt(way)
    part = canvas.around([(0, edge.min()), canvas.hu.shape], 2)
    fibres = 8 * part.field(5) - 12 * np.maximum(part.field(7) - 1, 0)
    hu = canvas.contrast.muscle + fibres
    part.paint(np.minimum(part.columns - edge, part.rows - top), hu, random.uniform(1, 3))
    if random.random() < 0.7:
        crus = part.columns - spine + random.uniform(3, 9) + 1.5 * canvas.curve(25)
        part.paint(np.minimum(crus, top + 15 - part.rows), hu, 1.5)


def paint_back_muscle(canvas: Canvas) -> None:
    """Paint the muscles of the back, which a slab behind the kidney catches in part below its lower pole."""
    random = canvas.random
    top = random.uniform(95, 185)
    lean = random.uniform(-0.5, 0.5) * (canvas.columns - 96)
    below = canvas.rows - top - lean + 5 * canvas.field(35)
    beside = random.uniform(20, 70) - np.abs(canvas.columns - random.uniform(40, 130))
    share = random.uniform(0.15, 1.0) * share_inside(below, random.uniform(4, 30))
    share = share * share_inside(beside, random.uniform(10, 40))
    canvas.cover(share, canvas.contrast.muscle + 6 * canvas.field(5))


def _paint_bone(
    canvas: Canvas, inside: np.ndarray, shell_mm: float, shell_hu: float, marrow_hu: np.ndarray | float
) -> None:
    canvas.paint(inside, shell_hu, 1.5)
    canvas.paint(inside - shell_mm, marrow_hu, 1.5)
