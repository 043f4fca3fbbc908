"""Solids of a body: where each is, and how bright; a body is painted from them, the later over the earlier."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kcseg.phantom.fields import Waves
from kcseg.phantom.shapes import Planes, inside_ellipsoid, inside_tube, share_inside

Inside = Callable[[Planes], np.ndarray]  # depth inside in mm, negative outside
Place = Sequence[float] | np.ndarray  # (row, column, depth) in mm
EVERYWHERE = np.array([[-np.inf] * 3, [np.inf] * 3])


@dataclass(frozen=True, eq=False)
class Shape:
    """A solid's depth at each point, and the box it does not leave: its lowest and highest corner, (2, 3)."""

    inside: Inside
    box_mm: np.ndarray

    def __and__(self, other: "Shape") -> "Shape":
        """Return what is in both."""
        low = np.maximum(self.box_mm[0], other.box_mm[0])
        high = np.minimum(self.box_mm[1], other.box_mm[1])
        return Shape(
            lambda planes: np.minimum(self.inside(planes), other.inside(planes)), np.stack([low, high])
        )

    def less(self, mm: float) -> "Shape":
        """Return the shape without its outermost `mm`."""
        return Shape(lambda planes: self.inside(planes) - mm, self.box_mm + np.array([[mm], [-mm]]))


@dataclass(frozen=True)
class Texture:
    """The HU inside a solid: a mean, and what varies about it."""

    hu: float
    waves: Waves | None = None
    deviation_hu: float = 0.0

    def on_planes(self, planes: Planes) -> np.ndarray | float:
        """Return the HU at each point."""
        return self.hu if self.waves is None else self.hu + self.deviation_hu * self.waves.on_planes(planes)


@dataclass(frozen=True)
class Part:
    """A shape filled with a tissue, its edge a ramp of `edge_mm`."""

    shape: Shape
    texture: Texture
    edge_mm: float = 1.5


def paint(hu: np.ndarray, planes: Planes, parts: Sequence[Part]) -> None:
    """Cover float32 (depths, rows, columns) HU with parts, one after the other."""
    for part in parts:
        window = planes.within(part.shape.box_mm, part.edge_mm)
        near = planes[window]
        if not all(len(axis) for axis in (near.rows_mm, near.columns_mm, near.depths_mm)):
            continue
        share = share_inside(part.shape.inside(near), part.edge_mm)
        covered = hu[window]
        covered += share * (part.texture.on_planes(near) - covered)


def ellipsoid(
    centre: Place,
    half_axes: Place,
    axes: np.ndarray | None = None,
    *,
    waves: Waves | None = None,
    swell_mm: float = 0.0,
) -> Shape:
    """Return an ellipsoid; `axes` are the unit vectors of its half axes as rows, `waves` let its surface wander."""
    turned = np.eye(3) if axes is None else axes
    reach = np.sqrt(((turned * np.asarray(half_axes)[:, None]) ** 2).sum(axis=0)) + 2.5 * swell_mm

    def inside(planes: Planes) -> np.ndarray:
        offset = [x - float(c) for x, c in zip(planes.point, centre, strict=True)]
        along = [sum(x * u for x, u in zip(offset, axis, strict=True)) for axis in turned.tolist()]
        depth = inside_ellipsoid(along, half_axes)
        return depth if waves is None else depth + swell_mm * waves.on_planes(planes)

    return Shape(inside, np.stack([np.asarray(centre) - reach, np.asarray(centre) + reach]))


def tube(points: Sequence[Place] | np.ndarray, radii: Sequence[float]) -> Shape:
    """Return the straight pieces between points, with round ends and a radius at each."""
    ends, widest = np.asarray(points, float), max(radii)
    pieces = list(zip(pairwise(ends.tolist()), pairwise(map(float, radii)), strict=True))

    def inside(planes: Planes) -> np.ndarray:
        depth = np.full(np.broadcast_shapes(*(x.shape for x in planes.point)), -np.inf, np.float32)
        for (start, end), (radius, end_radius) in pieces:
            low = np.minimum(start, end) - widest - 2
            high = np.maximum(start, end) + widest + 2
            window = planes.within(np.stack([low, high]))
            if not depth[window].size:
                continue
            part = depth[window]
            np.maximum(part, inside_tube(planes[window], start, end, radius, end_radius), out=part)
        return depth

    return Shape(inside, np.stack([ends.min(axis=0) - widest, ends.max(axis=0) + widest]))
