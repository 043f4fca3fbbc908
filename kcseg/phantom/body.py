"""A whole body around two kidneys, of any phase, cut by coronal slabs."""

from dataclasses import dataclass, replace

import numpy as np

from kcseg.phantom.anatomy import Kidney
from kcseg.phantom.bones import bones
from kcseg.phantom.contrast import Contrast
from kcseg.phantom.fields import Waves
from kcseg.phantom.section import Organ, render
from kcseg.phantom.shapes import Planes
from kcseg.phantom.solids import Part, Shape, Texture, paint
from kcseg.phantom.trunk import FAT_HU, Trunk, back_muscles, lungs, wall
from kcseg.phantom.viscera import bowel, great_vessels, upper_organs

# Around a kidney's centre: what of a slab its vessels and their surroundings are painted in.
_REACH_MM = 90.0
_SLAB_PLANES = 3


@dataclass(frozen=True, eq=False)
class PlacedKidney:
    """A kidney where it lies in a body; kidneys are grown as those of the right side, and the left one is mirrored."""

    organ: Organ
    side: str  # "right" or "left"
    centre_mm: np.ndarray  # (3,) as (row, column, depth) of the trunk

    def own(self, planes: Planes) -> Planes:
        """Return planes of the trunk in the kidney's own frame; those of a left kidney's columns run backwards."""
        row, column, depth = self.centre_mm
        across = planes.columns_mm - column
        return Planes(
            planes.rows_mm - row, across if self.side == "right" else -across, planes.depths_mm - depth
        )

    def shape(self, wider_mm: float = 0.0, waves: Waves | None = None) -> Shape:
        """Return all within the capsule, or a coat around it of this thickness, uneven by half of it."""
        kidney: Kidney = self.organ.kidney
        reach = float(kidney.half_axes_mm.max()) * 1.2 + 2 * wider_mm

        def inside(planes: Planes) -> np.ndarray:
            coat = (
                wider_mm
                if waves is None
                else wider_mm * np.clip(1 + 0.6 * waves.on_planes(planes), 0.1, None)
            )
            return kidney.depth(self.own(planes)) + coat

        return Shape(inside, np.stack([self.centre_mm - reach, self.centre_mm + reach]))


@dataclass(frozen=True, eq=False)
class Body:
    """A trunk with all organs, at one moment after the contrast medium."""

    parts: tuple[Part, ...]  # all but the kidneys, in the order they are painted
    kidneys: tuple[PlacedKidney, ...]
    trunk: Trunk
    contrast: Contrast

    def cut(self, rows_mm: np.ndarray, columns_mm: np.ndarray, depth_mm: float, slab_mm: float) -> "Slab":
        """Return what a coronal slab around a depth shows; rows and columns are the centres of pixels of 1 mm."""
        depths = depth_mm + slab_mm * ((np.arange(_SLAB_PLANES) + 0.5) / _SLAB_PLANES - 0.5)
        planes = Planes(rows_mm, columns_mm, depths)
        volume = np.full((len(depths), len(rows_mm), len(columns_mm)), -1000.0, np.float32)
        paint(volume, planes, self.parts)
        hu = volume.mean(axis=0).astype(np.float64)
        masks = np.zeros((4, *hu.shape), bool)
        for kidney in self.kidneys:
            _render(kidney, replace(planes, depths_mm=np.array([depth_mm])), slab_mm, hu, masks)
        return Slab(hu, masks)


@dataclass(frozen=True, eq=False)
class Slab:
    """A coronal slab through a body before the scanner."""

    hu: np.ndarray  # float64 (height, width)
    masks: np.ndarray  # bool (4, height, width): cortex, medulla, vessels within the capsule, kidney


def build_body(
    trunk: Trunk, kidneys: tuple[PlacedKidney, ...], contrast: Contrast, random: np.random.Generator
) -> Body:
    """Fill a trunk with its organs around the kidneys."""
    parts = [
        *wall(trunk, contrast, random),
        *lungs(trunk, contrast, random),
        *upper_organs(trunk, contrast, random),
        *bowel(trunk, contrast, random),
    ]
    for kidney in kidneys:
        coat = kidney.shape(float(np.exp(random.normal(np.log(5), 0.7))), Waves.draw(random, 45))
        fat = Texture(FAT_HU + random.normal(2, 6), Waves.draw(random, 20), 5.0)
        parts.append(Part(coat & trunk.cavity(), fat, 2.0))
    parts += [
        *back_muscles(trunk, contrast, random),
        *bones(trunk, contrast, random),
        *great_vessels(trunk, contrast, random),
    ]
    return Body(tuple(parts), kidneys, trunk, contrast)


def _render(kidney: PlacedKidney, plane: Planes, slab_mm: float, hu: np.ndarray, masks: np.ndarray) -> None:
    """Paint a kidney over its surroundings, and mark what `render` marks."""
    reach = np.full(3, _REACH_MM)
    _, rows, columns = plane.within(np.stack([kidney.centre_mm - reach, kidney.centre_mm + reach]))
    own = kidney.own(replace(plane, rows_mm=plane.rows_mm[rows], columns_mm=plane.columns_mm[columns]))
    # a kidney's own columns rise
    turn = (slice(None), slice(None, None, 1 if kidney.side == "right" else -1))
    own = replace(own, columns_mm=own.columns_mm[turn[1]])
    if not (len(own.rows_mm) and len(own.columns_mm)):
        return
    solid = kidney.organ.kidney.depth(own)[0]
    if solid.max() <= 0:
        return
    shown, found = render(kidney.organ, own, solid, slab_mm, hu[rows, columns][turn])
    hu[rows, columns] = shown[turn]
    masks[:, rows, columns] |= found[:, turn[0], turn[1]]
