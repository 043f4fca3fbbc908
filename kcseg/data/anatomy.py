"""A kidney in three dimensions, made of implicit shapes: whatever plane cuts it, the section is honest."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

Points = tuple[np.ndarray, np.ndarray, np.ndarray]


class Tissue(IntEnum):
    """What a point of the kidney is made of; OUTSIDE is everything that is not kidney."""

    OUTSIDE = 0
    CORTEX = 1
    MEDULLA = 2
    SINUS_FAT = 3
    URINE = 4
    VESSEL = 5
    CYST = 6
    STONE = 7


@dataclass(frozen=True, eq=False)
class Cone:
    """A rounded cone or tube from `start` to `end`, (3,) in mm, with a radius in mm at each."""

    start: np.ndarray
    end: np.ndarray
    start_radius: float
    end_radius: float

    def distance(self, points: Points) -> np.ndarray:
        """Distance of the points from the surface in mm, negative inside; close enough to exact for slender cones."""
        axis = self.end - self.start
        offset = [coordinate - start for coordinate, start in zip(points, self.start, strict=True)]
        along = sum(part * direction for part, direction in zip(offset, axis, strict=True)) / (axis @ axis)
        along = np.clip(along, 0.0, 1.0)
        away = np.sqrt(
            sum((part - along * direction) ** 2 for part, direction in zip(offset, axis, strict=True))
        )
        return away - (self.start_radius + (self.end_radius - self.start_radius) * along)


@dataclass(frozen=True, eq=False)
class Kidney:
    """The shapes of one kidney in its own frame: u along it towards the foot, v towards the hilum, w to the front.

    All lengths in mm. `half_axes` of the outline, `bend` of its long axis, `cortex_mm` the thickness of the rim;
    pyramids run from their tip in the sinus to their base under the rim.
    """

    half_axes: np.ndarray
    bend: float
    cortex_mm: float
    sinus_centre: float
    sinus_half_axes: np.ndarray
    hilum_half_axes: np.ndarray
    pyramids: tuple[Cone, ...]
    calyces: tuple[Cone, ...]
    vessels: tuple[Cone, ...]
    cysts: tuple[Cone, ...]
    notches: tuple[Cone, ...]
    stones: tuple[Cone, ...]

    def section(self, points: Points) -> np.ndarray:
        """Return the tissue at each point, int8 in the shape of the coordinates u, v, w."""
        u, v, w = points
        points = (u, v + self.bend * (0.5 - (u / self.half_axes[0]) ** 2), w)
        depth = self._depth(points)
        tissue = np.full(depth.shape, Tissue.OUTSIDE, np.int8)
        # the shapes are only looked at where kidney, or what leaves it at the hilum, can be
        near = (depth > -4) | ((np.abs(u) < 30) & (depth > -30) & (v > 0))
        tissue[near] = self._tissue((points[0][near], points[1][near], points[2][near]), depth[near])
        return tissue

    def _depth(self, points: Points) -> np.ndarray:
        """Depth below the outline in mm, negative outside: first order in the distance, exact at the surface."""
        u, v, w = points
        a, b, c = self.half_axes
        radius = np.sqrt((u / a) ** 2 + (v / b) ** 2 + (w / c) ** 2) + 1e-9
        slope = np.sqrt((u / a**2) ** 2 + (v / b**2) ** 2 + (w / c**2) ** 2) / radius + 1e-9
        depth = (1 - radius) / slope
        return np.minimum(depth, nearest(self.notches, points))

    def _tissue(self, points: Points, depth: np.ndarray) -> np.ndarray:
        sinus = self._in_sinus(points)
        tissue = np.where(depth > 0, Tissue.CORTEX, Tissue.OUTSIDE).astype(np.int8)
        tissue[(depth > 0) & sinus] = Tissue.SINUS_FAT
        tissue[(depth > self.cortex_mm) & (nearest(self.pyramids, points) < 0)] = Tissue.MEDULLA
        parenchyma = (tissue == Tissue.MEDULLA) | (tissue == Tissue.CORTEX)
        tissue[~parenchyma & (nearest(self.calyces, points) < 0)] = Tissue.URINE
        tissue[~parenchyma & (nearest(self.vessels, points) < 0)] = Tissue.VESSEL
        tissue[nearest(self.cysts, points) < 0] = Tissue.CYST
        tissue[nearest(self.stones, points) < 0] = Tissue.STONE
        return tissue

    def _in_sinus(self, points: Points) -> np.ndarray:
        u, v, w = points
        sinus = sum(
            (part / half) ** 2
            for part, half in zip((u, v - self.sinus_centre, w), self.sinus_half_axes, strict=True)
        )
        opening = (u / self.hilum_half_axes[0]) ** 2 + (w / self.hilum_half_axes[1]) ** 2
        return (sinus < 1) | ((opening < 1) & (v > self.sinus_centre))


def nearest(cones: tuple[Cone, ...], points: Points) -> np.ndarray:
    """Distance from the nearest of the cones in mm; infinite where there are none."""
    distance = np.full(points[0].shape, np.inf)
    for cone in cones:
        np.minimum(distance, cone.distance(points), out=distance)
    return distance


def draw_kidney(random: np.random.Generator) -> Kidney:
    """Draw a kidney 9.4–13 cm long with a rim of 4.5–8 mm, pyramids in four rows and at the poles (our choice)."""
    half_axes = (
        random.uniform(94, 130) / 2 * np.array([1, random.uniform(0.46, 0.58), random.uniform(0.40, 0.50)])
    )
    cortex_mm = random.uniform(4.5, 8.0)
    sinus_centre = half_axes[1] * random.uniform(0.12, 0.4)
    sinus_half_axes = half_axes * random.uniform((0.42, 0.25, 0.35), (0.65, 0.5, 0.65))
    centre = np.array([0.0, sinus_centre, 0.0])
    pyramids = _draw_pyramids(random, half_axes, cortex_mm, centre, sinus_half_axes)
    return Kidney(
        half_axes=half_axes,
        bend=half_axes[1] * random.uniform(0.2, 0.7),
        cortex_mm=cortex_mm,
        sinus_centre=sinus_centre,
        sinus_half_axes=sinus_half_axes,
        hilum_half_axes=sinus_half_axes[[0, 2]] * random.uniform(0.5, 0.9, 2),
        pyramids=pyramids,
        calyces=_draw_calyces(random, pyramids, centre, half_axes[1]),
        vessels=_draw_vessels(random, pyramids, centre, half_axes[1]),
        cysts=_draw_balls(random, 0.2, half_axes, (3, 11)),
        notches=_draw_balls(random, 0.25, 1.12 * half_axes, (5, 9)),
        stones=(_ball(pyramids[0].start, random.uniform(1, 3)),) if random.random() < 0.04 else (),
    )


def _draw_pyramids(
    random: np.random.Generator,
    half_axes: np.ndarray,
    cortex_mm: float,
    centre: np.ndarray,
    sinus: np.ndarray,
) -> tuple[Cone, ...]:
    """Rows at the front and the back, lateral and towards the lips of the hilum, and one pyramid at each pole."""
    levels = random.integers(5, 8)
    spacing = 1.7 * half_axes[0] / levels
    places = []
    for level in np.linspace(-0.78, 0.78, levels):
        for low, high in (
            (15, 50),
            (-50, -15),
            (85, 125),
            (-125, -85),
        ):  # degrees around the kidney, 0 = lateral
            places.append((level + random.normal(0, 0.05), random.uniform(low, high)))
    places += [(-0.97, random.uniform(-180, 180)), (0.97, random.uniform(-180, 180))]
    surface = (_on_surface(half_axes, level, np.deg2rad(azimuth)) for level, azimuth in places)
    return tuple(
        _draw_pyramid(random, point, spacing, cortex_mm, centre, sinus)
        for point in surface
        if random.random() < 0.93
    )


def _on_surface(half_axes: np.ndarray, level: float, azimuth: float) -> np.ndarray:
    around = np.sqrt(max(1 - level**2, 0.02))
    return half_axes * np.array([level, -around * np.cos(azimuth), around * np.sin(azimuth)])


def _draw_pyramid(
    random: np.random.Generator,
    surface: np.ndarray,
    spacing: float,
    cortex_mm: float,
    centre: np.ndarray,
    sinus: np.ndarray,
) -> Cone:
    """Draw the pyramid that ends below a point of the surface and begins where the sinus ends on the way to it."""
    origin = centre + np.array([0.62 * surface[0], 0.0, 0.0])
    length = np.linalg.norm(surface - origin)
    outward = (surface - origin) / length
    base_radius = spacing * random.uniform(0.55, 0.85)
    # the rim cuts the base off, so that it lies flat under it
    base = surface - outward * (cortex_mm * random.uniform(0.8, 1.2) + 0.3 * base_radius)
    sinus_mm = 1 / np.linalg.norm(outward / sinus)
    tip = origin + outward * min(sinus_mm * random.uniform(0.65, 1.0), 0.45 * length)
    return Cone(tip, base, base_radius * random.uniform(0.3, 0.6), base_radius)


def _draw_calyces(
    random: np.random.Generator, pyramids: tuple[Cone, ...], centre: np.ndarray, half_width: float
) -> tuple[Cone, ...]:
    """Cups of urine at the tips of pyramids, led to the pelvis at the hilum; now and then wide."""
    width = random.uniform(0.6, 2.2) * (2.0 if random.random() < 0.1 else 1.0)
    pelvis = centre + np.array([random.normal(0, 4), 0.45 * half_width, random.normal(0, 3)])
    ureter = Cone(pelvis, pelvis + np.array([14.0, 0.5 * half_width, -2.0]), 2.2 * width, width)
    drained = (pyramid for pyramid in pyramids if random.random() < 0.4)
    return (*(Cone(pyramid.start, pelvis, 1.6 * width, 1.2 * width) for pyramid in drained), ureter)


def _draw_vessels(
    random: np.random.Generator, pyramids: tuple[Cone, ...], centre: np.ndarray, half_width: float
) -> tuple[Cone, ...]:
    """A trunk into the hilum, and branches from there towards the columns between the pyramids."""
    outside = np.array([random.normal(-6, 6), 1.9 * half_width, random.normal(0, 8)])
    gate = centre + np.array([random.normal(0, 5), 0.7 * half_width, random.normal(0, 3)])
    radius = random.uniform(2.0, 4.5)
    vessels = [Cone(outside, gate, radius, radius)]
    for pyramid in pyramids:
        if random.random() < 0.55:
            end = pyramid.start + random.normal(0, 4, 3)
            middle = (gate + end) / 2 + random.normal(0, 2.5, 3)
            vessels += [Cone(gate, middle, 0.6 * radius, 0.4 * radius), Cone(middle, end, 0.4 * radius, 0.7)]
    return tuple(vessels)


def _draw_balls(
    random: np.random.Generator, mean_count: float, half_axes: np.ndarray, radii_mm: tuple[float, float]
) -> tuple[Cone, ...]:
    """Balls on the lateral half of an ellipsoid: cysts that bulge, notches that cut in."""
    balls = []
    for _ in range(random.poisson(mean_count)):
        direction = random.normal(0, (1, 1, 0.4))
        direction[1] = -abs(direction[1])
        balls.append(_ball(half_axes * direction / np.linalg.norm(direction), random.uniform(*radii_mm)))
    return tuple(balls)


def _ball(centre: np.ndarray, radius: float) -> Cone:
    return Cone(centre, centre + 1e-3, radius, radius)
