"""Organs near the kidney: liver or spleen, bowel and stomach, great vessels, adrenal."""

from itertools import pairwise

import numpy as np

from kcseg.phantom.canvas import Canvas
from kcseg.phantom.shapes import rounded_minimum


def paint_liver(canvas: Canvas, solid_mm: np.ndarray) -> None:
    """Paint the liver above and lateral to the kidney, down to a round tip, with its vessels.

    `solid_mm` is the depth inside the kidney's capsule.
    """
    random, contrast = canvas.random, canvas.contrast
    direction = np.deg2rad(random.uniform(15, 75))
    above = -canvas.rows * np.cos(direction) - canvas.columns * np.sin(direction)
    inside = above - above[solid_mm > 0].max() + random.uniform(-12, 8)
    along = canvas.rows * np.sin(direction) - canvas.columns * np.cos(direction)
    along = (along - along[solid_mm > 0].mean()) / 100
    inside = inside - random.uniform(-15, 20) * along**2 + 2 * canvas.field(40)
    above = random.uniform(70, 190) - canvas.rows + random.uniform(-0.6, 0.3) * (canvas.columns - 40)
    beside = canvas.columns - random.uniform(-40, 12)
    for border in (above, beside):
        inside = rounded_minimum(inside, border, random.uniform(10, 30))
    liver = Canvas(contrast.liver + 3 * canvas.field(12), contrast, random)
    for _ in range(random.integers(0, 9)):
        start = (random.uniform(-10, 110), random.uniform(0, 130))
        angle, length = random.uniform(0, np.pi), random.uniform(8, 35)
        end = (start[0] + length * np.cos(angle), start[1] + length * np.sin(angle))
        radius = random.uniform(0.8, 3.0)
        vessel = liver.around([start, end], radius + 2)
        vessel.paint(vessel.line(start, end, radius), contrast.portal, 2.5)
    canvas.paint(inside, liver.hu, random.uniform(1, 4))


def paint_spleen(canvas: Canvas, solid_mm: np.ndarray) -> None:
    """Paint the spleen above and lateral to the kidney, lobed, mottled where the contrast is early."""
    random = canvas.random
    direction = np.deg2rad(random.uniform(5, 70))
    half_axes = (random.uniform(36, 65), random.uniform(20, 38))
    gap = max(random.normal(4, 8), -8)
    rows, columns = np.nonzero(solid_mm > 0)
    outermost = (columns * np.sin(direction) + rows * np.cos(direction)).argmin()
    reach = gap + half_axes[1] + random.uniform(0, 0.4) * (half_axes[0] - half_axes[1])
    centre = (rows[outermost] - reach * np.cos(direction), columns[outermost] - reach * np.sin(direction))
    spleen = canvas.ellipse(centre, half_axes, direction - np.pi / 2 + random.normal(0, 0.4))
    spleen += random.uniform(1, 6) * canvas.field(28) + 1.2 * canvas.field(10)
    mottling = random.choice([2.0, 14.0], p=[0.8, 0.2]) * canvas.field(6)
    canvas.paint(spleen, canvas.contrast.spleen + mottling, random.uniform(1, 4))


def paint_bowel(canvas: Canvas, right: bool) -> None:
    """Paint loops of bowel around the kidney; on the left also the stomach, on the right the duodenum."""
    random = canvas.random
    for _ in range(random.poisson(2.2)):
        if random.random() < 0.55:
            centre = (random.uniform(140, 205), random.uniform(0, 170))
        else:
            centre = (random.uniform(10, 200), random.uniform(10, 60))
        _paint_loop(canvas, centre, random.uniform(8, 22))
    if right and random.random() < 0.4:
        duodenum = (random.uniform(60, 150), random.uniform(135, 170))
        _paint_loop(canvas, duodenum, random.uniform(8, 15))
    elif not right and random.random() < 0.7:
        stomach = (random.uniform(-15, 30), random.uniform(60, 150))
        _paint_loop(canvas, stomach, random.uniform(14, 34))


def _paint_loop(canvas: Canvas, centre: tuple[float, float], radius: float) -> None:
    """Paint one loop: a wall around fluid, stool with bubbles, gas, or swallowed contrast."""
    random, wall_hu = canvas.random, canvas.contrast.bowel_wall
    half_axes = (radius * random.uniform(0.8, 1.9), radius)
    canvas = canvas.around_ellipse(centre, half_axes, 2 + 0.7 * radius)
    loop = canvas.ellipse(centre, half_axes, random.uniform(0, np.pi)) + 0.14 * radius * canvas.field(
        radius * 0.6
    )
    bubbles = np.clip(600 * (1.2 - canvas.field(2.5)), -900, 0)
    contents: dict[str, np.ndarray | float] = {
        "collapsed": wall_hu - 10 + 12 * canvas.field(5),
        "fluid": random.uniform(5, 40) + 6 * canvas.field(6),
        "stool": random.uniform(-30, 50) + 25 * canvas.field(3) + bubbles,
        "gas": -900.0,
        "swallowed": random.uniform(120, 350) + 30 * canvas.field(6),
    }
    content = contents[str(random.choice(list(contents), p=[0.33, 0.22, 0.3, 0.1, 0.05]))]
    canvas.paint(loop, wall_hu, random.uniform(1, 3))
    canvas.paint(loop - random.uniform(1.2, 3.0), content, random.uniform(1, 3))


def paint_clutter(canvas: Canvas) -> None:
    """Paint what crowds the space medial to the upper pole: loops, pancreas, nodes and vessels cut across."""
    random, contrast = canvas.random, canvas.contrast
    tissues = (contrast.bowel_wall, contrast.gland, contrast.vein, contrast.artery, contrast.muscle - 15)
    row, column = random.uniform(-5, 110), random.uniform(105, 185)
    for _ in range(random.integers(2, 9)):
        centre = (row + random.normal(0, 18), column + random.normal(0, 16))
        radius = float(np.exp(random.normal(np.log(4.5), 0.5)))
        half_axes = (radius * random.uniform(1, 2.5), radius)
        part = canvas.around_ellipse(centre, half_axes, 2 + radius)
        blob = part.ellipse(centre, half_axes, random.uniform(0, np.pi))
        blob += 0.2 * radius * part.field(max(radius, 4.0))
        hu = float(random.choice(tissues, p=[0.4, 0.2, 0.15, 0.1, 0.15]))
        share, edge = random.uniform(0.4, 1.0), random.uniform(1, 4)  # many are only partly in the slab
        part.paint(blob, hu + 5 * part.field(4), edge, share)


def paint_great_vessel(canvas: Canvas, kidney_edge: float, right: bool) -> None:
    """Paint the cava (right) or the aorta (left) running down beside the midline."""
    random, contrast = canvas.random, canvas.contrast
    centre = max(random.uniform(150, 195), kidney_edge + random.uniform(20, 32))
    meander = random.normal(0, 0.05) * (canvas.rows - 96) + 2.5 * canvas.curve(50)
    radius = random.uniform(7, 12) + canvas.curve(35)
    radius = radius - np.maximum(canvas.rows - random.uniform(120, 320), 0) * 0.5
    inside = radius - np.abs(canvas.columns - centre - meander)
    canvas.paint(inside, contrast.cava if right else contrast.artery, random.uniform(1, 4))


def paint_adrenal(canvas: Canvas, pole: tuple[float, float]) -> None:
    """Paint the adrenal's two limbs above and medial to the kidney's upper pole, given as (row, column)."""
    random = canvas.random
    apex = (pole[0] - random.uniform(8, 28), pole[1] + random.uniform(0, 25))
    for side in (-1, 1):
        end = (apex[0] + random.uniform(2, 20), apex[1] + side * random.uniform(0, 9))
        part = canvas.around([apex, end], 7)
        limb = part.line(apex, end, random.uniform(1.0, 2.8)) + 0.5 * part.field(5)
        part.paint(limb, canvas.contrast.gland, 2, random.uniform(0.5, 1))


def paint_small_vessels(canvas: Canvas) -> None:
    """Paint mesenteric and gonadal vessels: dots and winding lines in the fat, many only half in the slab."""
    random, contrast = canvas.random, canvas.contrast
    for _ in range(random.poisson(6)):
        points, heading = [random.uniform((0, 20), (192, 192))], random.normal(0, 0.8)
        radius, share = random.uniform(0.4, 1.6), random.uniform(0.15, 0.9)
        hu = contrast.vein if random.random() < 0.6 else contrast.artery
        for _ in range(random.choice([1, 4, 8], p=[0.5, 0.3, 0.2])):
            heading += random.normal(0, 0.35)
            points.append(points[-1] + random.uniform(2, 7) * np.array([np.cos(heading), np.sin(heading)]))
        part = canvas.around(points, radius + 1)
        lines = [part.line(start, end, radius) for start, end in pairwise(points)]
        part.paint(np.maximum.reduce(lines), hu, 1.5, share)
