"""The tubes of sinus and hilum: arteries, veins, calyces, pelvis, and vessels in the columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from kcseg.phantom.anatomy import Kidney
from kcseg.phantom.shapes import Planes, inside_tube

_Run = tuple[str, np.ndarray, float, float]  # content, both ends in mm (2, 3), and the radius in mm at each
_PIECES = 4  # of a bent run


@dataclass(frozen=True, eq=False)
class Tubes:
    """Straight pieces of vessels and collecting system with round ends, each covering those before it."""

    contents: np.ndarray  # (pieces,), each "artery", "vein" or "urine"
    starts_mm: np.ndarray  # (pieces, 3) as (row, column, depth) from the kidney's centre
    ends_mm: np.ndarray  # (pieces, 3)
    radii_mm: np.ndarray  # (pieces,), at the starts
    end_radii_mm: np.ndarray  # (pieces,)

    def cut(self, planes: Planes) -> Iterator[tuple[str, tuple[slice, slice, slice], np.ndarray]]:
        """Yield for each piece near the planes its content, the window of points near it, and the depth inside it."""
        margin = self.radii_mm[:, None] + 1.0
        lows = np.minimum(self.starts_mm, self.ends_mm) - margin
        highs = np.maximum(self.starts_mm, self.ends_mm) + margin
        sides = [
            np.stack([np.searchsorted(axis, lows[:, place]), np.searchsorted(axis, highs[:, place])], axis=1)
            for place, axis in ((2, planes.depths_mm), (0, planes.rows_mm), (1, planes.columns_mm))
        ]
        windows = np.stack(sides, axis=1)
        for index in np.flatnonzero((windows[..., 0] < windows[..., 1]).all(axis=1)).tolist():
            depths, rows, columns = (slice(*side) for side in windows[index].tolist())
            window = (depths, rows, columns)
            start, end = self.starts_mm[index].tolist(), self.ends_mm[index].tolist()
            radii = float(self.radii_mm[index]), float(self.end_radii_mm[index])
            yield self.contents[index], window, inside_tube(planes[window], start, end, *radii)


def grow_tubes(kidney: Kidney, random: np.random.Generator) -> Tubes:
    """Draw a kidney's tubes."""
    drawn = chain(_collecting_system(kidney, random), _vessels(kidney, random))
    runs = [(*run, random.standard_normal(3)) for run in drawn]
    contents, ends, radii, end_radii, bends = (np.array(values) for values in zip(*runs, strict=True))
    start, end = ends[:, None, 0], ends[:, None, 1]
    length = np.sqrt(((end - start) ** 2).sum(axis=-1, keepdims=True))
    elbow = (start + end) / 2 + 0.15 * length * bends[:, None]
    t = np.linspace(0, 1, _PIECES + 1)
    radii = radii[:, None] + t * (end_radii - radii)[:, None]
    t = t[:, None]
    points = (1 - t) ** 2 * start + 2 * t * (1 - t) * elbow + t**2 * end
    return Tubes(
        np.repeat(contents, _PIECES),
        points[:, :-1].reshape(-1, 3),
        points[:, 1:].reshape(-1, 3),
        radii[:, :-1].ravel(),
        radii[:, 1:].ravel(),
    )


def _collecting_system(kidney: Kidney, random: np.random.Generator) -> Iterator[_Run]:
    """Draw pelvis, ureter and a calyx to each papilla."""
    fullness = random.choice([0.7, 1.0, 1.6], p=[0.45, 0.45, 0.1])
    centre = kidney.sinus_centre_mm
    _, width, depth = kidney.half_axes_mm
    outlet = centre + np.array([random.normal(0, 3), -width * random.uniform(0.4, 0.9), -0.15 * depth])
    pelvis = fullness * random.uniform(2.5, 6)
    way = kidney.to_body(np.stack([centre, outlet]))
    yield "urine", way, pelvis, pelvis * 0.8
    bottom = way[1] + np.array([random.uniform(40, 70), random.uniform(5, 20), random.normal(0, 8)])
    yield "urine", np.stack([way[1], bottom]), pelvis * 0.7, 1.5
    for tip in kidney.tips_mm:
        joint = np.array([(centre[0] + tip[0]) / 2, centre[1], centre[2]])
        calyx = fullness * random.uniform(1.0, 2.4)
        way = kidney.to_body(np.stack([joint, tip]))
        yield "urine", way, calyx, calyx * 1.4


def _vessels(kidney: Kidney, random: np.random.Generator) -> Iterator[_Run]:
    """Draw artery and vein from the midline to the hilum, and their branches into the columns."""
    _, width, depth = kidney.half_axes_mm
    midline = np.array([random.normal(-8, 12), random.uniform(55, 75), random.uniform(5, 30)])
    for content, radius in (("vein", random.uniform(3.5, 6)), ("artery", random.uniform(1.8, 3.2))):
        hilum = kidney.sinus_centre_mm + np.array(
            [random.normal(0, 5), -width * random.uniform(0.5, 0.9), random.normal(0, 0.3) * depth]
        )
        entry = kidney.to_body(hilum)
        yield content, np.stack([entry + midline, entry]), radius, radius * 0.8
        divisions = _divisions(kidney, hilum, random)
        for division in kidney.to_body(divisions):
            yield content, np.stack([entry, division]), radius * 0.6, radius * 0.4
        for start, end in _column_paths(kidney, random):
            division = divisions[((divisions - start) ** 2).sum(axis=1).argmin()]
            way = kidney.to_body(np.stack([division, start, end]) + random.normal(0, 1.2, (3, 3)))
            segmental = radius * random.uniform(0.2, 0.45)
            yield content, way[:2], segmental, segmental * 0.7
            yield content, way[1:], segmental * 0.6, 0.4


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
