"""The trunk of a body: skin, fat, muscles, lungs and heart, as solids around the second lumbar vertebra.

Rows run to the feet, columns to the patient's left, depths to the front, in mm. All sizes are our choice, after
radiological anatomy.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kcseg.phantom.contrast import Contrast
from kcseg.phantom.fields import Waves
from kcseg.phantom.shapes import Planes, rounded_minimum
from kcseg.phantom.solids import EVERYWHERE, Part, Shape, Texture, ellipsoid, tube

FAT_HU, _LUNG_HU = -102.0, -860.0
SIDES = (-1, 1)  # of the columns: right, left
HIP_ROW = 225.0  # of the hip joint


@dataclass(frozen=True, eq=False)
class Trunk:
    """What bounds a body's inside: skin and muscle wall, diaphragm, spine."""

    half_width_mm: float
    half_depth_mm: float
    centre_depth_mm: float
    fat_mm: float  # under the skin
    wall_mm: float  # of muscle
    waves: Waves
    lordosis_mm: float  # how far the spine bends to the front
    lean: float  # of the spine to a side, mm a mm
    domes_row: tuple[float, float]  # of the diaphragm's tops, right and left
    vertebra_mm: float  # from one to the next
    bone_hu: tuple[float, float]  # of the shell and of the marrow

    def skin(self) -> Shape:
        """Return all within the skin."""

        def inside(planes: Planes) -> np.ndarray:
            row, column, depth = planes.point
            hips = np.clip((row - 40) / 160, 0, 1)
            chest = np.clip((-row - 60) / 200, 0, 1)
            width = self.half_width_mm * (1 + 0.12 * hips - 0.1 * chest)
            front = self.half_depth_mm * (1 - 0.08 * hips - 0.1 * chest)
            across, along = np.abs(column) / width, np.abs(depth - self.centre_depth_mm) / front
            power = (across**2.4 + along**2.4 + 1e-9) ** (1 / 2.4)
            return (1 - power) * np.minimum(width, front) + 3 * self.waves.on_planes(planes)

        return Shape(inside, EVERYWHERE)

    def cavity(self) -> Shape:
        """Return all within the muscle wall."""
        return self.skin().less(self.fat_mm + self.wall_mm)

    def below_diaphragm(self, side: int) -> Shape:
        """Return the depth below a dome of the diaphragm; `side` is -1 for the right one."""
        top, centre = self.domes_row[0 if side < 0 else 1], side * 0.45 * self.half_width_mm

        def inside(planes: Planes) -> np.ndarray:
            row, column, depth = planes.point
            away = ((column - centre) / 11) ** 2 + ((depth - self.centre_depth_mm - 10) / 11.5) ** 2
            slope = 1 + 0.02 * np.sqrt(away)
            return (row - top - away) / slope

        return Shape(inside, EVERYWHERE)

    def spine_at(self, row: float) -> tuple[float, float]:
        """Return column and depth of the vertebrae's middle in a row."""
        return self.lean * row, self.lordosis_mm * float(np.cos((row - 30) / 90)) - self.lordosis_mm


def draw_trunk(random: np.random.Generator) -> Trunk:
    """Draw a trunk, from thin to stout."""
    stout = random.beta(2, 3)
    return Trunk(
        half_width_mm=140 + 60 * stout + random.normal(0, 6),
        half_depth_mm=92 + 50 * stout + random.normal(0, 6),
        centre_depth_mm=25 + 20 * stout,
        fat_mm=6 + 38 * stout * random.uniform(0.5, 1.1),
        wall_mm=random.uniform(9, 18),
        waves=Waves.draw(random, 130),
        lordosis_mm=random.uniform(2, 14),
        lean=random.normal(0, 0.03),
        domes_row=(random.normal(-140, 14), random.normal(-128, 14)),
        vertebra_mm=random.uniform(31, 37),
        bone_hu=(random.uniform(450, 1000), random.uniform(60, 260)),
    )


def wall(trunk: Trunk, contrast: Contrast, random: np.random.Generator) -> Iterator[Part]:
    """Yield skin, fat and muscles from outside to inside, and the fat of the cavity."""
    muscle = muscle_texture(contrast, random)
    skin = trunk.skin()
    yield Part(skin, Texture(20.0))
    yield Part(skin.less(2), Texture(FAT_HU, Waves.draw(random, 30), 5.0), 2.0)
    yield Part(skin.less(trunk.fat_mm), muscle, 2.0)
    if random.random() < 0.7:  # layers of the flank, with fat between them
        seam = trunk.fat_mm + trunk.wall_mm * random.uniform(0.3, 0.6)
        yield Part(_sheet(skin, seam, random.uniform(0.4, 1.6)), Texture(FAT_HU), 1.5)
    yield Part(trunk.cavity(), Texture(FAT_HU + random.normal(0, 6), Waves.draw(random, 25), 7.0), 2.0)
    for side in SIDES:
        # gluteal and thigh muscles, with fat between them
        gluteal = ellipsoid(
            (HIP_ROW - 45, side * 105, -35), (95, 42, 38), waves=Waves.draw(random, 35), swell_mm=5
        )
        yield Part(gluteal & skin.less(trunk.fat_mm), muscle, 3.0)
        thigh = ellipsoid(
            (HIP_ROW + 125, side * 95, 10), (125, 62, 70), waves=Waves.draw(random, 30), swell_mm=6
        )
        yield Part(thigh & skin.less(min(trunk.fat_mm, 20)), muscle, 3.0)
        seams = Waves.draw(random, 40)
        yield Part(_between(thigh.less(8), seams, 0.06), Texture(FAT_HU), 1.5)
        yield Part(_between(gluteal.less(6), seams, 0.05), Texture(FAT_HU), 1.5)


def back_muscles(trunk: Trunk, contrast: Contrast, random: np.random.Generator) -> Iterator[Part]:
    """Yield the muscles beside the spine, which the fat around the kidneys leaves free."""
    muscle, under_skin = muscle_texture(contrast, random), trunk.skin().less(trunk.fat_mm + 2)
    bellies = random.uniform(19, 31, 3)
    for side in SIDES:
        column, depth = trunk.spine_at(0)
        back = [(row, column + side * random.uniform(30, 40), depth - 48) for row in (-260, 0, 150)]
        erector = tube(back, bellies.tolist()) & under_skin
        yield Part(erector, muscle, 3.0)
        if random.random() < 0.5:
            streaks = _between(erector.less(3), Waves.draw(random, 30), random.uniform(0.03, 0.12))
            yield Part(streaks, Texture(FAT_HU), 1.5)
        spread = random.uniform(12, 20)
        psoas = [
            *((-30, column + side * 30, depth - 2), (40, column + side * 38, depth)),
            *((110, column + side * (40 + spread), depth + 8), (HIP_ROW, side * 85, depth + 35)),
        ]
        yield Part(tube(psoas, (5, 15, random.uniform(16, 25), 16)), muscle, 2.0)
        lumbar = ellipsoid((25, side * random.uniform(62, 75), depth - 34), (60, random.uniform(14, 22), 9))
        yield Part(lumbar, muscle, 2.0)


def lungs(trunk: Trunk, contrast: Contrast, random: np.random.Generator) -> Iterator[Part]:
    """Yield lungs with their vessels, and the heart between them."""
    muscle = muscle_texture(contrast, random)
    for side in SIDES:
        below = trunk.below_diaphragm(side)
        beside = side * random.uniform(28, 42)

        def above(
            planes: Planes, below: Shape = below, side: int = side, beside: float = beside
        ) -> np.ndarray:
            return rounded_minimum(-below.inside(planes), side * (planes.point[1] - beside), 20.0)

        lung = Shape(above, EVERYWHERE) & trunk.cavity().less(2)
        yield Part(lung.less(-3), muscle, 2.0)  # diaphragm and pleura
        density = Texture(_LUNG_HU, Waves.draw(random, 25), 25.0)
        yield Part(lung, density, 2.0)
        for _ in range(12):
            start = np.array(
                [random.uniform(-260, -120), side * random.uniform(40, 70), random.uniform(-30, 50)]
            )
            end = start + random.normal(0, 35, 3)
            yield Part(tube([start, end], (random.uniform(2, 6), 1)) & lung, Texture(contrast.vein), 2.0)
    top = min(trunk.domes_row) + 8
    heart = ellipsoid(
        (top - 42, random.uniform(8, 30), trunk.centre_depth_mm + random.uniform(5, 25)),
        (random.uniform(40, 55), random.uniform(50, 65), random.uniform(42, 55)),
    )
    yield Part(heart.less(-4), Texture(FAT_HU + 10), 2.0)
    yield Part(heart, Texture(contrast.muscle + 40), 2.0)
    pool = Texture((contrast.cava + contrast.artery) / 2, Waves.draw(random, 60), 25.0)
    yield Part(heart.less(random.uniform(7, 14)), pool, 4.0)


def muscle_texture(contrast: Contrast, random: np.random.Generator) -> Texture:
    """Draw how a muscle looks."""
    return Texture(contrast.muscle + random.normal(0, 3), Waves.draw(random, 14), 8.0)


def _sheet(shape: Shape, depth_mm: float, thickness_mm: float) -> Shape:
    return Shape(lambda planes: thickness_mm / 2 - np.abs(shape.inside(planes) - depth_mm), shape.box_mm)


def _between(shape: Shape, waves: Waves, share: float) -> Shape:
    """Return thin sheets in a shape: where waves cross zero."""

    def inside(planes: Planes) -> np.ndarray:
        return np.minimum(shape.inside(planes), 12 * (share - np.abs(waves.on_planes(planes))))

    return Shape(inside, shape.box_mm)
