"""Organs near the kidney: liver or spleen, bowel and stomach, great vessels, adrenal."""

import numpy as np

from kcseg.phantom.canvas import Canvas
from kcseg.phantom.contrast import Contrast
from kcseg.phantom.fields import smooth_curve
from kcseg.phantom.shapes import rounded_minimum


def paint_liver(
    canvas: Canvas, solid_mm: np.ndarray, contrast: Contrast, random: np.random.Generator
) -> None:
    """Paint the liver above and lateral to the kidney, down to a round tip, with its vessels.

    `solid_mm` is the depth inside the kidney's capsule.
    """
    direction = np.deg2rad(random.uniform(15, 75))
    beyond = _beyond(canvas, solid_mm, direction) + random.uniform(-12, 8)
    along = canvas.rows * np.sin(direction) - canvas.columns * np.cos(direction)
    along = (along - along[solid_mm > 0].mean()) / 100
    beyond = beyond - random.uniform(-15, 20) * along**2 + 2 * canvas.field(random, 40)
    above = random.uniform(70, 190) - canvas.rows + random.uniform(-0.6, 0.3) * (canvas.columns - 40)
    beside = canvas.columns - random.uniform(-40, 12)
    inside = beyond
    for border in (above, beside):
        inside = rounded_minimum(inside, border, random.uniform(10, 30))
    hu = np.broadcast_to(contrast.liver + 3 * canvas.field(random, 12), canvas.hu.shape).copy()
    liver = Canvas(hu)
    for _ in range(random.integers(0, 9)):
        start = (random.uniform(-10, 110), random.uniform(0, 130))
        angle, length = random.uniform(0, np.pi), random.uniform(8, 35)
        end = (start[0] + length * np.cos(angle), start[1] + length * np.sin(angle))
        liver.paint(liver.line(start, end, random.uniform(0.8, 3.0)), contrast.portal, 2.5)
    canvas.paint(inside, liver.hu, random.uniform(1, 4))


def paint_spleen(
    canvas: Canvas, solid_mm: np.ndarray, contrast: Contrast, random: np.random.Generator
) -> None:
    """Paint the spleen above and lateral to the kidney, lobed, mottled where the contrast is early."""
    direction = np.deg2rad(random.uniform(5, 70))
    half_axes = (random.uniform(36, 65), random.uniform(20, 38))
    gap = np.clip(random.normal(4, 8), -8, None)
    rows, columns = np.nonzero(solid_mm > 0)
    outermost = (columns * np.sin(direction) + rows * np.cos(direction)).argmin()
    reach = gap + half_axes[1] + random.uniform(0, 0.4) * (half_axes[0] - half_axes[1])
    centre = (rows[outermost] - reach * np.cos(direction), columns[outermost] - reach * np.sin(direction))
    spleen = canvas.ellipse(centre, half_axes, direction - np.pi / 2 + random.normal(0, 0.4))
    spleen += random.uniform(1, 6) * canvas.field(random, 28) + 1.2 * canvas.field(random, 10)
    mottling = random.choice([2.0, 14.0], p=[0.8, 0.2]) * canvas.field(random, 6)
    canvas.paint(spleen, contrast.spleen + mottling, random.uniform(1, 4))


def paint_bowel(canvas: Canvas, right: bool, contrast: Contrast, random: np.random.Generator) -> None:
    """Paint loops of bowel around the kidney; on the left also the stomach."""
    for _ in range(random.poisson(2.2)):
        below = random.random() < 0.55
        centre = (
            (random.uniform(140, 205), random.uniform(0, 170))
            if below
            else (random.uniform(10, 200), random.uniform(10, 60))
        )
        _paint_loop(canvas, centre, random.uniform(8, 22), contrast, random)
    if not right and random.random() < 0.7:
        _paint_loop(
            canvas,
            (random.uniform(-15, 30), random.uniform(60, 150)),
            random.uniform(14, 34),
            contrast,
            random,
        )
    elif right and random.random() < 0.4:
        _paint_loop(
            canvas,
            (random.uniform(60, 150), random.uniform(135, 170)),
            random.uniform(8, 15),
            contrast,
            random,
        )


def _paint_loop(
    canvas: Canvas,
    centre: tuple[float, float],
    radius: float,
    contrast: Contrast,
    random: np.random.Generator,
) -> None:
    """Paint one loop: a wall around fluid, stool with bubbles, gas, or swallowed contrast."""
    half_axes = (radius * random.uniform(0.8, 1.9), radius)
    loop = canvas.ellipse(centre, half_axes, random.uniform(0, np.pi)) + 0.14 * radius * canvas.field(
        random, radius * 0.6
    )
    bubbles = np.clip(600 * (1.2 - canvas.field(random, 2.5)), -900, 0)
    contents: dict[str, np.ndarray | float] = {
        "collapsed": contrast.bowel_wall - 10 + 12 * canvas.field(random, 5),
        "fluid": random.uniform(5, 40) + 6 * canvas.field(random, 6),
        "stool": random.uniform(-30, 50) + 25 * canvas.field(random, 3) + bubbles,
        "gas": -900.0,
        "swallowed": random.uniform(120, 350) + 30 * canvas.field(random, 6),
    }
    content = contents[str(random.choice(list(contents), p=[0.33, 0.22, 0.3, 0.1, 0.05]))]
    canvas.paint(loop, contrast.bowel_wall, random.uniform(1, 3))
    canvas.paint(loop - random.uniform(1.2, 3.0), content, random.uniform(1, 3))


def paint_clutter(canvas: Canvas, contrast: Contrast, random: np.random.Generator) -> None:
    """Paint what crowds the space medial to the upper pole: loops, pancreas, nodes and vessels cut across."""
    row, column = random.uniform(-5, 110), random.uniform(105, 185)
    for _ in range(random.integers(2, 9)):
        centre = (row + random.normal(0, 18), column + random.normal(0, 16))
        radius = float(np.exp(random.normal(np.log(4.5), 0.5)))
        blob = canvas.ellipse(centre, (radius * random.uniform(1, 2.5), radius), random.uniform(0, np.pi))
        blob += 0.2 * radius * canvas.field(random, max(radius, 4.0))
        tissues = (contrast.bowel_wall, contrast.gland, contrast.vein, contrast.artery, contrast.muscle - 15)
        hu = float(random.choice(tissues, p=[0.4, 0.2, 0.15, 0.1, 0.15]))
        share = random.uniform(0.4, 1.0)  # many are only partly in the slab
        canvas.cover(
            share * np.clip(0.5 + blob / random.uniform(1, 4), 0, 1), hu + 5 * canvas.field(random, 4)
        )


def paint_great_vessel(
    canvas: Canvas, kidney_edge: float, right: bool, contrast: Contrast, random: np.random.Generator
) -> None:
    """Paint the cava (right) or the aorta (left) running down beside the midline."""
    centre = max(random.uniform(150, 195), kidney_edge + random.uniform(20, 32))
    meander = (
        random.normal(0, 0.05) * (canvas.rows - 96)
        + 2.5 * smooth_curve(random, canvas.hu.shape[0], 50)[:, None]
    )
    radius = random.uniform(7, 12) + smooth_curve(random, canvas.hu.shape[0], 35)[:, None]
    radius = radius - np.clip(canvas.rows - random.uniform(120, 320), 0, None) * 0.5
    inside = radius - np.abs(canvas.columns - centre - meander)
    canvas.paint(inside, contrast.cava if right else contrast.artery, random.uniform(1, 4))


def paint_adrenal(
    canvas: Canvas, pole: tuple[float, float], contrast: Contrast, random: np.random.Generator
) -> None:
    """Paint the adrenal's two limbs above and medial to the kidney's upper pole, given as (row, column)."""
    apex = (pole[0] - random.uniform(8, 28), pole[1] + random.uniform(0, 25))
    for side in (-1, 1):
        end = (apex[0] + random.uniform(2, 20), apex[1] + side * random.uniform(0, 9))
        limb = canvas.line(apex, end, random.uniform(1.0, 2.8)) + 0.5 * canvas.field(random, 5)
        canvas.cover(random.uniform(0.5, 1) * np.clip(0.5 + limb / 2, 0, 1), contrast.gland)


def paint_small_vessels(canvas: Canvas, contrast: Contrast, random: np.random.Generator) -> None:
    """Paint mesenteric and gonadal vessels: dots and winding lines in the fat, many only half in the slab."""
    for _ in range(random.poisson(6)):
        point, heading = random.uniform((0, 20), (192, 192)), random.normal(0, 0.8)
        radius, share = random.uniform(0.4, 1.6), random.uniform(0.15, 0.9)
        hu = contrast.vein if random.random() < 0.6 else contrast.artery
        way = np.full(canvas.hu.shape, -np.inf)
        for _ in range(random.choice([1, 4, 8], p=[0.5, 0.3, 0.2])):
            heading += random.normal(0, 0.35)
            step = random.uniform(2, 7) * np.array([np.cos(heading), np.sin(heading)])
            way = np.maximum(way, canvas.line(tuple(point), tuple(point + step), radius))
            point = point + step
        canvas.cover(share * np.clip(0.5 + way / 1.5, 0, 1), hu)


def _beyond(canvas: Canvas, solid_mm: np.ndarray, direction: float) -> np.ndarray:
    """Return mm beyond the kidney upwards and, by `direction` in radians, laterally."""
    distance = -canvas.rows * np.cos(direction) - canvas.columns * np.sin(direction)
    return distance - distance[solid_mm > 0].max()
