"""What a coronal CT crop shows around a right kidney: fat, liver or spleen, psoas, spine, ribs, bowel, the wall."""

import numpy as np

from kcseg.data.canvas import Canvas
from kcseg.data.enhancement import Enhancement


def paint_surroundings(canvas: Canvas, outside_mm: np.ndarray, enhancement: Enhancement) -> None:
    """Paint everything but the kidney, from the back to the front.

    `outside_mm` is each pixel's distance from the kidney, negative inside: organs may touch it and never reach in.
    """
    canvas.paint(
        np.ones(canvas.hu.shape, bool), canvas.within(-113, -92), canvas.within(3, 10), canvas.within(12, 40)
    )
    _paint_strands(canvas)
    _paint_organ(canvas, outside_mm, enhancement)
    _paint_psoas(canvas, outside_mm, enhancement)
    if canvas.chance(0.65):
        _paint_spine(canvas)
    elif canvas.chance(0.6):
        _paint_great_vessel(canvas, enhancement)
    for _ in range(canvas.random.poisson(0.9)):
        _paint_bowel(canvas, outside_mm, enhancement)
    _paint_wall(canvas, outside_mm, enhancement)


def _paint_strands(canvas: Canvas) -> None:
    """Thin septa and small vessels in the fat."""
    for _ in range(canvas.random.poisson(4)):
        angle = canvas.within(0, np.pi)
        across = canvas.down * np.cos(angle) + canvas.medial * np.sin(angle) + 4 * canvas.field(22)
        along = canvas.medial * np.cos(angle) - canvas.down * np.sin(angle)
        middle, reach = canvas.within(-60, 60), canvas.within(8, 30)
        line = (np.abs(across - canvas.within(-80, 80)) < canvas.within(0.3, 0.9)) & (
            np.abs(along - middle) < reach
        )
        canvas.paint(line, canvas.within(-70, 20))


def _paint_organ(canvas: Canvas, outside_mm: np.ndarray, enhancement: Enhancement) -> None:
    """Liver or spleen above and lateral: its lower edge passes the kidney at a distance, touching now and then."""
    spleen = canvas.chance(0.4)
    direction = np.deg2rad(canvas.within(10, 60))  # from straight up towards lateral
    up = -canvas.down * np.cos(direction) - canvas.medial * np.sin(direction)
    along = -canvas.medial * np.cos(direction) + canvas.down * np.sin(direction)  # towards the lateral tip
    edge = canvas.within(22, 62) + 4 * canvas.field(30) + canvas.within(0, 0.004) * along**2
    inside = (up > edge) & (outside_mm > max(0.0, canvas.within(-3, 12)))
    if spleen:
        inside &= np.hypot(up - 62 - edge.mean() / 3, along - canvas.within(5, 45)) < canvas.within(34, 62)
    else:
        inside &= along < canvas.within(30, 110)
    hu = enhancement.spleen if spleen else enhancement.liver
    canvas.paint(inside, hu, 3, 4)
    if not spleen:
        for _ in range(canvas.random.poisson(1.5)):
            middle, bend = canvas.within(-90, 20), canvas.within(0.2, 1.2)
            vessel = np.abs(
                canvas.down - middle - bend * canvas.medial + 5 * canvas.field(25)
            ) < canvas.within(1, 3)
            canvas.paint(vessel & inside & (canvas.field(40) > 0), enhancement.vein)


def _paint_psoas(canvas: Canvas, outside_mm: np.ndarray, enhancement: Enhancement) -> None:
    """The muscle runs down and outwards from the spine, medial and below."""
    top = canvas.within(-60, 15)
    inner = canvas.within(60, 95) - canvas.within(0.1, 0.45) * (canvas.down - top)
    width = np.clip(canvas.within(0.25, 0.6) * (canvas.down - top), 0, canvas.within(22, 42))
    middle = inner + 2 * canvas.field(25)
    inside = (np.abs(canvas.medial - middle) < width / 2 + 1.5 * canvas.field(15)) & (canvas.down > top)
    canvas.paint(inside & (outside_mm > 1.5), enhancement.muscle, 5, 4)


def _paint_spine(canvas: Canvas) -> None:
    """Vertebral bodies with a bright shell and discs between them, at the medial edge."""
    lean = canvas.within(-0.12, 0.12)
    edge = canvas.within(58, 90) + lean * canvas.down
    height = canvas.within(30, 38)
    place = (canvas.down + canvas.within(0, height)) % height - height / 2
    waist = canvas.within(2, 5) * np.cos(2 * np.pi * place / height)
    into = canvas.medial - edge - waist - 0.5 * canvas.field(6)  # mm from the lateral surface
    disc = np.abs(place) > height / 2 - canvas.within(3.0, 5.0)
    canvas.paint((into > canvas.within(0, 2)) & disc, canvas.within(70, 110), 8)
    bone = (into > 0) & ~disc
    canvas.paint(bone, canvas.within(90, 220), canvas.within(25, 60), 2)
    shell = bone & ((into < 1.8) | (np.abs(place) > height / 2 - 6.5))
    canvas.paint(shell, canvas.within(350, 700), 80, 3)


def _paint_great_vessel(canvas: Canvas, enhancement: Enhancement) -> None:
    """Aorta or vena cava, upright at the medial edge."""
    hu = enhancement.blood if canvas.chance(0.5) else enhancement.vein
    middle = canvas.within(60, 90) + 3 * canvas.field(50) + canvas.within(-0.1, 0.1) * canvas.down
    canvas.paint(np.abs(canvas.medial - middle) < canvas.within(7, 12), hu, 3)


def _paint_bowel(canvas: Canvas, outside_mm: np.ndarray, enhancement: Enhancement) -> None:
    """A loop with an enhancing wall around fluid, stool or gas."""
    down, medial = canvas.within(-96, 96), canvas.within(-75, 70)
    long, short = canvas.within(14, 40), canvas.within(9, 18)
    turn = canvas.within(0, np.pi)
    along = (canvas.down - down) * np.cos(turn) + (canvas.medial - medial) * np.sin(turn)
    across = (canvas.medial - medial) * np.cos(turn) - (canvas.down - down) * np.sin(turn)
    depth = (1 - np.hypot(along / long, across / short)) * short + 1.5 * canvas.field(10)
    free = outside_mm > canvas.within(2, 12)
    canvas.paint((depth > 0) & free, enhancement.bowel_wall, 5)
    lumen = (depth > canvas.within(1.5, 3)) & free
    content = canvas.random.choice(["fluid", "stool", "gas", "soft"])
    if content == "stool":
        canvas.paint(lumen, canvas.within(-60, 40), 60, 3)
        canvas.paint(lumen & (canvas.field(3) > canvas.within(1.2, 2)), -700)
    elif content == "gas":
        canvas.paint(lumen, -950)
    else:
        canvas.paint(lumen, canvas.within(0, 30) if content == "fluid" else canvas.within(30, 90), 6)


def _paint_wall(canvas: Canvas, outside_mm: np.ndarray, enhancement: Enhancement) -> None:
    """Muscles and ribs of the flank, fat under the skin, and air where the crop reaches it."""
    curve = canvas.within(0, 0.0025) * (canvas.down - canvas.within(-40, 40)) ** 2
    lateral = (
        -canvas.medial - canvas.within(62, 105) + curve + 2 * canvas.field(30)
    )  # mm outwards from the muscles
    thickness = canvas.within(7, 18)
    free = outside_mm > 3
    canvas.paint((lateral > 0) & (lateral < thickness) & free, enhancement.muscle, 9, 4)
    if canvas.chance(0.6):  # the layers of the wall part where fat lies between them
        canvas.paint((np.abs(lateral - 0.5 * thickness + canvas.field(20)) < 0.6) & free, -60)
    canvas.paint((lateral >= thickness) & free, canvas.within(-115, -95), 5, 8)
    first = canvas.within(-110, -60)
    for down in np.arange(first, canvas.within(0, 80), canvas.within(26, 40)):
        ring = np.hypot(
            (canvas.down - down) / canvas.within(6, 10), (lateral - 0.4 * thickness) / canvas.within(2.5, 4)
        )
        canvas.paint((ring < 1) & free, canvas.within(400, 900))
        canvas.paint((ring < 0.55) & free, canvas.within(100, 250))
    skin = thickness + canvas.within(12, 50)
    canvas.paint((lateral > skin) & free, 20)
    canvas.paint((lateral > skin + 2) & free, -1000)
