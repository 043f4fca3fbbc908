"""The tubes of sinus and hilum: arteries, veins, calyces, pelvis, and vessels in the columns."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kcseg.phantom.anatomy import Kidney, Plane

_PIECES = 4  # of a bent vessel


@dataclass(frozen=True, eq=False)
class Tube:
    """A straight piece of a vessel or of the collecting system, with round ends.

    Attributes:
        content: "artery", "vein" or "urine".
        start_mm, end_mm: (3,) as (row, column, depth) from the kidney's centre.
        radius_mm: at the start; it tapers to `end_radius_mm`.
    """

    content: str
    start_mm: np.ndarray
    end_mm: np.ndarray
    radius_mm: float
    end_radius_mm: float

    def cut(self, plane: Plane) -> tuple[tuple[slice, slice], np.ndarray] | None:
        """Return the part of the plane near the tube and the depth inside it there, or None if it misses."""
        margin = self.radius_mm + 1.0
        low = np.minimum(self.start_mm, self.end_mm) - margin
        high = np.maximum(self.start_mm, self.end_mm) + margin
        if not low[2] < plane.depth_mm < high[2]:
            return None
        rows = slice(*np.searchsorted(plane.rows_mm, (low[0], high[0])))
        columns = slice(*np.searchsorted(plane.columns_mm, (low[1], high[1])))
        offset = (
            plane.rows_mm[rows, None] - self.start_mm[0],
            plane.columns_mm[None, columns] - self.start_mm[1],
            plane.depth_mm - self.start_mm[2],
        )
        axis = self.end_mm - self.start_mm
        along = sum(o * a for o, a in zip(offset, axis, strict=True)) / (axis**2).sum()
        along = np.clip(along, 0, 1)
        square = sum((o - along * a) ** 2 for o, a in zip(offset, axis, strict=True))
        return (rows, columns), self.radius_mm + (self.end_radius_mm - self.radius_mm) * along - np.sqrt(
            square
        )


def grow_tubes(kidney: Kidney, random: np.random.Generator) -> tuple[Tube, ...]:
    """Draw a kidney's tubes, in the order in which they cover one another."""
    return (*_collecting_system(kidney, random), *_vessels(kidney, random))


def _collecting_system(kidney: Kidney, random: np.random.Generator) -> Iterator[Tube]:
    """Draw pelvis, ureter and a calyx to each papilla."""
    fullness = random.choice([0.7, 1.0, 1.6], p=[0.45, 0.45, 0.1])
    centre = kidney.sinus_centre_mm
    _, width, depth = kidney.half_axes_mm
    outlet = centre + np.array([random.normal(0, 3), -width * random.uniform(0.4, 0.9), -0.15 * depth])
    pelvis = fullness * random.uniform(2.5, 6)
    yield from _run("urine", kidney.to_body(np.stack([centre, outlet])), pelvis, pelvis * 0.8, random)
    bottom = kidney.to_body(outlet) + np.array(
        [random.uniform(40, 70), random.uniform(5, 20), random.normal(0, 8)]
    )
    yield from _run("urine", np.stack([kidney.to_body(outlet), bottom]), pelvis * 0.7, 1.5, random)
    for tip in kidney.tips_mm:
        joint = np.array([(centre[0] + tip[0]) / 2, centre[1], centre[2]])
        calyx = fullness * random.uniform(1.0, 2.4)
        yield from _run("urine", kidney.to_body(np.stack([joint, tip])), calyx, calyx * 1.4, random)


def _vessels(kidney: Kidney, random: np.random.Generator) -> Iterator[Tube]:
    """Draw artery and vein from the midline to the hilum, and their branches into the columns."""
    _, width, depth = kidney.half_axes_mm
    midline = np.array([random.normal(-8, 12), random.uniform(55, 75), random.uniform(5, 30)])
    for content, radius in (("vein", random.uniform(3.5, 6)), ("artery", random.uniform(1.8, 3.2))):
        hilum = kidney.sinus_centre_mm + np.array(
            [random.normal(0, 5), -width * random.uniform(0.5, 0.9), random.normal(0, 0.3) * depth]
        )
        trunk = np.stack([kidney.to_body(hilum) + midline, kidney.to_body(hilum)])
        yield from _run(content, trunk, radius, radius * 0.8, random)
        divisions = _divisions(kidney, hilum, random)
        for division in divisions:
            branch = np.stack([kidney.to_body(hilum), kidney.to_body(division)])
            yield from _run(content, branch, radius * 0.6, radius * 0.4, random)
        for start, end in _column_paths(kidney, random):
            division = divisions[((divisions - start) ** 2).sum(axis=1).argmin()]
            way = np.stack([division, start, end]) + random.normal(0, 1.2, (3, 3))
            segmental = radius * random.uniform(0.2, 0.45)
            yield from _run(content, kidney.to_body(way[:2]), segmental, segmental * 0.7, random)
            yield from _run(content, kidney.to_body(way[1:]), segmental * 0.6, 0.4, random)


def _divisions(kidney: Kidney, hilum: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the points, (divisions, 3), where vessels split on their way from the hilum through the sinus."""
    towards = kidney.sinus_centre_mm + kidney.sinus_half_axes_mm * random.uniform(
        -0.8, 0.8, (int(random.integers(3, 6)), 3)
    )
    return hilum + random.uniform(0.5, 1.0, (len(towards), 1)) * (towards - hilum)


def _column_paths(kidney: Kidney, random: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield where vessels enter columns and where they end, between neighbouring pyramids."""
    bases, tips = kidney.bases_mm, kidney.tips_mm
    for index in range(len(bases)):
        distance = ((bases - bases[index]) ** 2).sum(axis=1)
        for neighbour in np.argsort(distance, kind="stable")[1:4]:
            if random.random() < 0.45:
                start = (tips[index] + tips[neighbour]) / 2
                end = (bases[index] + bases[neighbour]) / 2
                yield start, start + random.uniform(0.4, 0.75) * (end - start)


def _run(
    content: str, ends: np.ndarray, radius_mm: float, end_radius_mm: float, random: np.random.Generator
) -> Iterator[Tube]:
    """Bend a way by about a seventh of its length and split it into straight pieces."""
    t = np.linspace(0, 1, _PIECES + 1)[:, None]
    length = np.sqrt(((ends[1] - ends[0]) ** 2).sum())
    elbow = ends.mean(axis=0) + random.normal(0, 0.15 * length, 3)
    points = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * elbow + t**2 * ends[1]
    radii = radius_mm + t[:, 0] * (end_radius_mm - radius_mm)
    for index in range(_PIECES):
        yield Tube(content, points[index], points[index + 1], radii[index], radii[index + 1])
