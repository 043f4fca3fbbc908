"""One kidney as a solid in space: capsule, cortex, columns, pyramids and sinus, cut by coronal planes."""

from dataclasses import dataclass

import numpy as np

from kcseg.phantom.fields import Waves
from kcseg.phantom.shapes import Planes, Point, inside_ellipsoid, rounded_minimum

_LOBES_REACH_MM = 20.0  # beyond, outside the capsule, they make no difference to be seen


@dataclass(frozen=True, eq=False)
class Tissues:
    """What lies at those points of planes that are in the kidney or next to it; depths are float32 (points,) in mm."""

    shape: tuple[int, int, int]  # of the planes: depths, rows, columns
    places: np.ndarray  # int (points,), where in the flattened planes the points lie
    solid: np.ndarray  # inside the capsule, which spans the sinus
    sinus: np.ndarray  # inside fat, vessels and calyces, out through the hilum
    medulla: np.ndarray  # inside the pyramids

    @property
    def cortex(self) -> np.ndarray:
        """Rim and columns: the solid without sinus and pyramids."""
        return np.minimum(self.solid, -np.maximum(self.sinus, self.medulla))

    def on_planes(self, values: np.ndarray) -> np.ndarray:
        """Return values of the points as (depths, rows, columns), zero elsewhere."""
        spread = np.zeros(self.shape, values.dtype)
        spread.ravel()[self.places] = values
        return spread


@dataclass(frozen=True, eq=False)
class Kidney:
    """A kidney in its own frame: to its lower pole, to its convex side, to its front."""

    half_axes_mm: np.ndarray  # (3,)
    axes: np.ndarray  # (3, 3), the frame's unit vectors as rows of (row, column, depth)
    bend: float  # how far the poles turn to the midline, as a fraction of the half width
    taper: float  # how much wider the lower pole is than the upper one
    cortex_mm: float  # thickness of the rim
    cortex_variation_mm: float
    column_mm: float  # half width of the columns; where negative, pyramids fuse
    column_variation_mm: float
    sinus_centre_mm: np.ndarray  # (3,)
    sinus_half_axes_mm: np.ndarray  # (3,)
    hilum_half_axes_mm: np.ndarray  # (2,), along the kidney and to its front
    bases_mm: np.ndarray  # (pyramids, 3), where each pyramid's axis starts
    tips_mm: np.ndarray  # (pyramids, 3), where it ends
    spreads: np.ndarray  # (pyramids,), half width gained per mm from tip to base
    tip_radius_mm: float  # roundness of the papillae
    lobulation_mm: float  # depth of the grooves between lobes
    scars_mm: np.ndarray  # (scars, 3), on the capsule
    scar_depths_mm: np.ndarray  # (scars,)
    waves: tuple[Waves, ...]  # irregularity of capsule, cortex, columns and sinus

    def to_body(self, points_mm: np.ndarray) -> np.ndarray:
        """Return points (..., 3) of the kidney's straightened frame as (row, column, depth) in mm."""
        straight = np.array(points_mm, dtype=np.float64)
        straight[..., 1] -= self._bending(straight[..., 0])
        return (straight[..., None] * self.axes).sum(axis=-2)

    def depth(self, planes: Planes) -> np.ndarray:
        """Return the depth below the capsule at each point of planes, in mm."""
        height, across, front = self._from_body(planes)
        depth = self._plain_depth((height, across, front), planes)
        near = np.flatnonzero(depth > -_LOBES_REACH_MM)
        _, between = self._pyramids((height.take(near), across.take(near), front.take(near)))
        depth.ravel()[near] += self._lobes(between)
        return depth

    def cut(self, planes: Planes) -> Tissues:
        """Return what planes pass through."""
        point = self._from_body(planes)
        solid = self._plain_depth(point, planes)
        shape = solid.shape
        # lobes raise the capsule by no more than this
        places = np.flatnonzero(solid > -1 - 0.4 * self.lobulation_mm)
        height, across, depth = (x.take(places) for x in point)
        point = height, across, depth
        cone, between = self._pyramids(point)
        solid = solid.take(places) + self._lobes(between)
        cortex, columns, edge = (waves.on_planes(planes).take(places) for waves in self.waves[1:])
        hilum, sinus = self._sinus(point)
        rim = np.maximum(self.cortex_mm + self.cortex_variation_mm * cortex, 2.5)
        column = self.column_mm + self.column_variation_mm * columns
        medulla = rounded_minimum(solid - rim, rounded_minimum(cone, between / 2 - column))
        medulla = np.minimum(medulla, -hilum - 0.5 * rim)
        # the lips of the hilum are round
        sinus = np.maximum(sinus + 1.3 * edge, -rounded_minimum(solid, -hilum, 8.0))
        return Tissues(shape, places, solid, np.minimum(sinus, -medulla), medulla)

    def _from_body(self, planes: Planes) -> Point:
        """Return the planes' points in the straightened frame."""
        rows, columns, depths = planes.point
        along, across, front = ((a * rows + c * depths) + b * columns for a, b, c in self.axes.tolist())
        return along, across + self._bending(along), front

    def _bending(self, along: np.ndarray) -> np.ndarray:
        length, width, _ = self.half_axes_mm.tolist()
        return self.bend * width * ((along / length) ** 2 - 0.3)

    def _plain_depth(self, point: Point, planes: Planes) -> np.ndarray:
        """Return the depth below the capsule, but for the lobes."""
        depth = self._superellipsoid(point) + 0.6 * self.waves[0].on_planes(planes)
        for scar, scar_depth in zip(self.scars_mm.tolist(), self.scar_depths_mm.tolist(), strict=True):
            square = sum((x - c) ** 2 for x, c in zip(point, scar, strict=True))
            depth -= scar_depth * np.exp(-square / (2 * 6.0**2))
        return depth

    def _superellipsoid(self, point: Point) -> np.ndarray:
        """Return the depth below its surface, to first order."""
        length, half_width, half_depth = self.half_axes_mm.tolist()
        width = 1 + self.taper * point[0] / length
        sizes = (length, half_width * width, half_depth * width)
        power, slope = 1e-9, 1e-12
        for x, size in zip(point, sizes, strict=True):
            scaled = np.abs(x) / size
            root = scaled * np.sqrt(scaled)
            power = power + scaled * root
            slope = slope + (root / size) ** 2
        return (power**0.6 - power) / np.sqrt(slope)

    def _lobes(self, between: np.ndarray) -> np.ndarray:
        """Return how far lobes raise the capsule over pyramids, and grooves draw it in between them."""
        return self.lobulation_mm * (np.clip(between / 12, 0, 1) - 0.6)

    def _sinus(self, point: Point) -> tuple[np.ndarray, np.ndarray]:
        """Return the depths inside the hilum and inside the whole sinus."""
        offset = [x - c for x, c in zip(point, self.sinus_centre_mm.tolist(), strict=True)]
        cavity = inside_ellipsoid(offset, self.sinus_half_axes_mm)
        flare = 1 + 0.5 * np.maximum(-offset[1], 0) / float(self.half_axes_mm[1])
        tube = inside_ellipsoid((offset[0] / flare, offset[2] / flare), self.hilum_half_axes_mm)
        hilum = np.minimum(tube, -offset[1])
        return hilum, np.maximum(cavity, hilum)

    def _pyramids(self, point: Point) -> tuple[np.ndarray, np.ndarray]:
        """Return the depth inside the nearest pyramid's cone, and how much nearer it is than the next.

        Cones have round tips.
        """
        axes = self.bases_mm - self.tips_mm
        axes /= np.sqrt((axes**2).sum(axis=1, keepdims=True))
        nearest = np.full(point[0].shape, -np.inf, np.float32)
        second = nearest.copy()
        # one after the other: arrays of all pyramids do not fit next to the processor
        for tip, axis, spread in zip(
            self.tips_mm.tolist(), axes.tolist(), self.spreads.tolist(), strict=True
        ):
            down, across, front = (x - c for x, c in zip(point, tip, strict=True))
            along = np.maximum(down * axis[0] + across * axis[1] + front * axis[2], 0)
            beside = np.maximum(down**2 + across**2 + front**2 - along**2, 0)
            inside = along * spread - np.sqrt(beside)
            np.maximum(second, np.minimum(nearest, inside), out=second)
            np.maximum(nearest, inside, out=nearest)
        return self.tip_radius_mm + nearest, nearest - second
