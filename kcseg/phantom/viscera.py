"""The organs of a body around its kidneys, as solids in the frame of the trunk (sizes and places: our choice)."""

from collections.abc import Iterator

import numpy as np
from scipy.spatial.transform import Rotation

from kcseg.phantom.contrast import Contrast
from kcseg.phantom.fields import Waves
from kcseg.phantom.shapes import Planes, rounded_minimum
from kcseg.phantom.solids import Part, Shape, Texture, ellipsoid, tube
from kcseg.phantom.trunk import FAT_HU, Trunk


def upper_organs(trunk: Trunk, contrast: Contrast, random: np.random.Generator) -> Iterator[Part]:
    """Yield stomach, pancreas, spleen, liver and gall bladder."""
    cavity = trunk.cavity()
    yield from _hollow(
        ellipsoid(
            (random.uniform(-95, -55), random.uniform(35, 75), random.uniform(20, 60)),
            (random.uniform(35, 65), random.uniform(25, 50), random.uniform(25, 45)),
            _any_axes(random),
            waves=Waves.draw(random, 50),
            swell_mm=5,
        )
        & cavity
        & trunk.below_diaphragm(1).less(4),
        contrast,
        random,
    )
    gland = [(-5, -25, 42), (-15, 10, 45), (random.uniform(-45, -20), 70, random.uniform(5, 25))]
    yield Part(
        tube(gland, (random.uniform(9, 14), 9, 8)), Texture(contrast.gland, Waves.draw(random, 9), 12.0), 2.0
    )
    spleen = ellipsoid(
        (random.normal(-72, 14), random.uniform(0.58, 0.7) * trunk.half_width_mm, random.uniform(-30, 5)),
        (random.uniform(40, 75), random.uniform(20, 42), random.uniform(34, 58)),
        _nearly_upright(random),
        waves=Waves.draw(random, 45),
        swell_mm=4,
    )
    mottled = random.choice([3.0, 14.0], p=[0.8, 0.2])
    inside = spleen & cavity.less(1) & trunk.below_diaphragm(1).less(4)
    yield Part(inside, Texture(contrast.spleen, Waves.draw(random, 10), mottled), 2.0)
    if random.random() < 0.7:
        yield from _hilum(inside, contrast, random)
    yield from _liver(trunk, contrast, random)


def bowel(trunk: Trunk, contrast: Contrast, random: np.random.Generator) -> Iterator[Part]:
    """Yield colon, loops of small bowel, bladder, and the vessels between them."""
    cavity = trunk.cavity().less(1)
    width = trunk.half_width_mm - trunk.fat_mm - trunk.wall_mm
    for side, low in ((-1, 115), (1, 130)):
        column, depth = side * width * random.uniform(0.72, 0.88), random.uniform(-10, 35)
        high = random.uniform(-35, 20)
        way = [
            (row, column + random.normal(0, 6), depth + random.normal(0, 8))
            for row in np.linspace(high, low, 5)
        ]
        radii = np.clip(random.normal(17 if side < 0 else 14, 4, 5), 8, 28)
        yield from _hollow(_haustra(tube(way, radii.tolist()), random) & cavity, contrast, random)
    across = [
        (random.uniform(0, 60), column, random.uniform(55, 85))
        for column in np.linspace(-width, width, 6) * 0.8
    ]
    yield from _hollow(_haustra(tube(across, [17.0] * 6), random) & cavity, contrast, random)
    for _ in range(random.poisson(45)):
        start = np.array(
            [random.uniform(-20, 205), random.uniform(-0.75, 0.75) * width, random.uniform(0, 90)]
        )
        if start[0] > 140:
            start[1] *= 0.6
        path = start + np.cumsum(random.normal(0, 22, (3, 3)), axis=0)
        loop = tube(path, random.uniform(8, 18, 3).tolist())
        yield from _hollow(_haustra(loop, random) & cavity, contrast, random)
    for _ in range(random.poisson(40)):
        start = np.array(
            [random.uniform(-60, 200), random.uniform(-0.8, 0.8) * width, random.uniform(-20, 80)]
        )
        path = start + np.cumsum(random.normal((6, 0, 0), 14, (4, 3)), axis=0)
        hu = contrast.vein if random.random() < 0.6 else contrast.artery
        yield Part(tube(path, random.uniform(0.8, 3.0, 4).tolist()) & cavity, Texture(hu), 1.5)
    size = random.uniform(18, 48)
    bladder = ellipsoid(
        (215, random.normal(0, 6), 45), (size * 0.8, size, size), waves=Waves.draw(random, 40), swell_mm=2
    )
    urine = random.choice([6.0, random.uniform(100, 500)], p=[0.8, 0.2])
    yield Part(bladder, Texture(contrast.muscle), 2.0)
    yield Part(bladder.less(random.uniform(2, 5)), Texture(urine), 2.0)
    genital = ellipsoid(
        (238, random.normal(0, 6), 12), random.uniform(14, 32, 3), waves=Waves.draw(random, 25), swell_mm=3
    )
    yield Part(genital, Texture(contrast.bowel_wall, Waves.draw(random, 12), 10.0), 2.0)
    if random.random() < 0.35:  # nodes, pockets of fluid, muscle cut across, whatever else a body holds
        for _ in range(random.integers(2, 14)):
            centre = (random.uniform(-60, 300), random.uniform(-1, 1) * width, random.uniform(-80, 80))
            lump = ellipsoid(centre, random.uniform(6, 35, 3), waves=Waves.draw(random, 20), swell_mm=3)
            texture = Texture(random.uniform(5, 130), Waves.draw(random, 12), 8.0)
            yield Part(lump & trunk.skin().less(trunk.fat_mm), texture, 2.0)


def great_vessels(trunk: Trunk, contrast: Contrast, random: np.random.Generator) -> Iterator[Part]:
    """Yield aorta and vena cava with their branches to the legs."""
    for side, hu, radius in (
        (-1, contrast.cava, random.uniform(8, 13)),
        (1, contrast.artery, random.uniform(7, 12)),
    ):
        rows = np.linspace(-330, 78, 8)
        way = []
        for row in rows:
            column, depth = trunk.spine_at(row)
            front = (
                depth + 24 + random.normal(0, 2) + (12 * np.clip((-row - 110) / 60, 0, 1) if side < 0 else 0)
            )
            way.append((row, column + side * random.uniform(9, 15), front))
        squeezed = [radius * random.uniform(0.85, 1.1) for _ in rows]
        yield Part(tube(way, squeezed), Texture(hu, Waves.draw(random, 20), 4.0), 1.5)
        if side > 0 and random.random() < 0.35:
            for point in way[2:]:  # calcium in the wall
                speck = np.array(point) + random.normal(0, 1, 3) * [12, radius * 0.6, radius * 0.6]
                yield Part(ellipsoid(speck, random.uniform(1, 4, 3)), Texture(random.uniform(300, 900)))
        for leg in (-1, 1):
            bend = (random.uniform(130, 160), leg * random.uniform(35, 50), 10)
            groin = (250, leg * random.uniform(75, 90), 62)
            branch = tube([way[-1], bend, groin, (360, leg * 92, 55)], (radius * 0.7, radius * 0.55, 5, 4.5))
            yield Part(branch, Texture(hu), 1.5)


def _hilum(spleen: Shape, contrast: Contrast, random: np.random.Generator) -> Iterator[Part]:
    """Yield the fat that hollows a spleen out from its middle side, so that it bends around it, and vessels in it."""
    low, high = spleen.box_mm
    middle, half = (low + high) / 2, (high - low) / 2
    centre = middle + half * [
        random.uniform(-0.4, 0.5),
        random.uniform(-1.0, -0.5),
        random.uniform(-0.3, 0.6),
    ]
    fat = ellipsoid(
        centre,
        half * random.uniform(0.4, 0.8, 3),
        _any_axes(random),
        waves=Waves.draw(random, 35),
        swell_mm=4,
    )
    yield Part(fat & spleen, Texture(FAT_HU, Waves.draw(random, 20), 6.0), 2.0)
    for _ in range(random.integers(2, 7)):
        path = centre + np.cumsum(random.normal(0, 12, (3, 3)), axis=0)
        hu = contrast.vein if random.random() < 0.6 else contrast.artery
        yield Part(tube(path, random.uniform(1.0, 4.0, 3).tolist()) & fat, Texture(hu), 1.5)


def _liver(trunk: Trunk, contrast: Contrast, random: np.random.Generator) -> Iterator[Part]:
    right, left = trunk.below_diaphragm(-1).less(4), trunk.below_diaphragm(1).less(4)
    tip, slope = random.uniform(0, 115), random.uniform(0.45, 1.0)
    edge = -(trunk.half_width_mm - trunk.fat_mm - trunk.wall_mm)
    reach, waves = random.uniform(-10, 75), Waves.draw(random, 70)
    back = random.uniform(0.0, 0.6)  # how much higher its lower surface lies towards the back

    def inside(planes: Planes) -> np.ndarray:
        row, column, depth = planes.point
        below = tip - slope * (column - edge) - back * np.maximum(20 - depth, 0) - row
        depth_inside = rounded_minimum(below / np.sqrt(1 + slope**2), reach + 0.5 * depth - column, 20.0)
        dome = np.maximum(right.inside(planes), np.minimum(left.inside(planes), column))
        return rounded_minimum(depth_inside, dome, 8.0) + 4 * waves.on_planes(planes)

    liver = Shape(inside, np.array([[-220.0, -300, -200], [140, 140, 300]])) & trunk.cavity().less(1)
    yield Part(liver, Texture(contrast.liver, Waves.draw(random, 15), 4.0), 2.0)
    hilum = np.array([-55.0, -25.0, 35.0])
    for _ in range(random.integers(10, 22)):
        end = hilum + random.normal(0, 1, 3) * [40, 45, 35] + [-25, -35, 0]
        bend = (hilum + end) / 2 + random.normal(0, 10, 3)
        radius = random.uniform(2, 6)
        vessels = tube([hilum, bend, end], (radius, radius * 0.7, 1.0))
        yield Part(vessels & liver, Texture(contrast.portal), 2.5)
    for _ in range(random.choice([0, 2, 6], p=[0.75, 0.18, 0.07])):
        centre = (random.uniform(-130, 10), random.uniform(-120, 20), random.uniform(-40, 70))
        cyst = ellipsoid(centre, (random.uniform(4, 22),) * 3)
        yield Part(cyst & liver, Texture(random.uniform(0, 90)), 2.0)
    if random.random() < 0.75:
        gall = ellipsoid(
            (random.uniform(-35, 15), -55, 52), (random.uniform(15, 30), 13, 14), _any_axes(random)
        )
        yield Part(gall, Texture(random.uniform(2, 20)), 2.0)


def _hollow(shape: Shape, contrast: Contrast, random: np.random.Generator) -> Iterator[Part]:
    """Yield a wall, and what it holds: fluid, stool with bubbles, gas, swallowed contrast, or nothing."""
    wall = Texture(contrast.bowel_wall, Waves.draw(random, 12), 10.0)
    yield Part(shape, wall, 2.0)
    within = shape.less(random.uniform(1.5, 3.0))
    content = random.choice(["none", "fluid", "stool", "gas", "swallowed"], p=[0.25, 0.25, 0.22, 0.13, 0.15])
    if content == "fluid":
        yield Part(within, Texture(random.uniform(5, 45), Waves.draw(random, 15), 6.0), 2.0)
    elif content == "stool":
        yield Part(within, Texture(random.uniform(-20, 60), Waves.draw(random, 8), 30.0), 2.0)
        bubbles = Waves.draw(random, 7)
        gas = Shape(
            lambda planes: np.minimum(within.inside(planes), 3 * (bubbles.on_planes(planes) - 1.1)),
            shape.box_mm,
        )
        yield Part(gas, Texture(-700.0), 2.0)
    elif content == "gas":
        yield Part(within, Texture(-900.0), 2.0)
    elif content == "swallowed":
        yield Part(within, Texture(random.uniform(100, 700), Waves.draw(random, 15), 30.0), 2.0)


def _haustra(shape: Shape, random: np.random.Generator) -> Shape:
    """Let a tube's wall swell and draw in."""
    waves, swell = Waves.draw(random, 28), random.uniform(1, 3.5)
    return Shape(
        lambda planes: shape.inside(planes) + swell * waves.on_planes(planes),
        shape.box_mm + np.array([[-6], [6]]),
    )


def _any_axes(random: np.random.Generator) -> np.ndarray:
    return Rotation.random(rng=random).as_matrix()


def _nearly_upright(random: np.random.Generator) -> np.ndarray:
    return Rotation.from_euler("xyz", random.normal(0, 20, 3), degrees=True).as_matrix()
