"""A slab through one kidney, rendered in HU over its surroundings, with the exact cortex of its middle plane."""

from dataclasses import dataclass

import numpy as np

from kcseg.phantom.anatomy import Kidney, Planes, Tissues
from kcseg.phantom.contrast import Contrast
from kcseg.phantom.fields import Waves
from kcseg.phantom.lesions import Lesion
from kcseg.phantom.shapes import share_inside
from kcseg.phantom.vessels import Tubes

SAMPLES_PER_PX = 2
_SINUS_FAT_HU = -95.0
_URINE_HU = 8.0
_EDGE_MM = 0.6  # over which one tissue passes into another


@dataclass(frozen=True, eq=False)
class Organ:
    """A kidney with all that runs through it, as it takes up contrast.

    Attributes:
        border_mm: width over which cortex passes into pyramid.
        mottling: unevenness of the parenchyma.
        haze: share of soft tissue in the sinus fat.
    """

    kidney: Kidney
    tubes: Tubes
    lesions: tuple[Lesion, ...]
    contrast: Contrast
    border_mm: float
    mottling: Waves
    haze: float


@dataclass(frozen=True, eq=False)
class Section:
    """What a slab shows, (height, width) each.

    Attributes:
        hu: float64, averaged over the slab.
        cortex, medulla, vessels, kidney: bool, on the middle plane; vessels are those within the capsule.
    """

    hu: np.ndarray
    cortex: np.ndarray
    medulla: np.ndarray
    vessels: np.ndarray
    kidney: np.ndarray


def render(
    organ: Organ, grid: Planes, solid_mm: np.ndarray, slab_mm: float, surroundings_hu: np.ndarray
) -> Section:
    """Cut a slab around a plane whose points are pixel centres.

    Args:
        organ: what is cut.
        grid: the plane.
        solid_mm: (height, width), the depth below the organ's capsule there.
        slab_mm: thickness of the slab.
        surroundings_hu: (height, width), what is seen around the organ.
    """
    rows, columns = _span((solid_mm > -15).any(axis=1)), _span((solid_mm > -8).any(axis=0))
    window = rows, slice(columns.start, None)  # the vessels run to the midline
    count = 3 if slab_mm < 2.5 else 5
    depths_mm = grid.depths_mm + slab_mm * ((np.arange(count) + 0.5) / count - 0.5)
    planes = Planes(_finer(grid.rows_mm[window[0]]), _finer(grid.columns_mm[window[1]]), depths_mm)
    painting = _Painting(organ, planes, surroundings_hu[window], columns.stop - columns.start)
    hu = surroundings_hu.copy()
    hu[window] = _per_pixel(painting.hu.mean(axis=0))
    masks = np.zeros((4, *solid_mm.shape), dtype=bool)
    masks[:, rows, columns] = painting.masks()
    return Section(hu, *masks)


class _Painting:
    """Planes through an organ: parenchyma, sinus, tubes and lesions, each covering what came before.

    Attributes:
        hu: float64 (depths, rows, columns).
        parenchyma, vessels, lesions: share of each point they cover.
        tissues: depths in each tissue on the middle plane, in the columns that hold the kidney.
    """

    tissues: Tissues

    def __init__(self, organ: Organ, planes: Planes, background_hu: np.ndarray, kidney_px: int) -> None:
        background = np.repeat(np.repeat(background_hu, SAMPLES_PER_PX, axis=0), SAMPLES_PER_PX, axis=1)
        self.hu = np.repeat(background[None], len(planes.depths_mm), axis=0)
        self.parenchyma, self.vessels, self.lesions = (np.zeros(self.hu.shape) for _ in range(3))
        self._middle = len(planes.depths_mm) // 2, slice(None), slice(0, SAMPLES_PER_PX * kidney_px)
        for index in range(len(planes.depths_mm)):
            part = np.s_[index : index + 1, :, : SAMPLES_PER_PX * kidney_px]
            tissues = organ.kidney.cut(planes[part])
            self._paint_parenchyma(organ, planes[part], tissues, part)
            if index == self._middle[0]:
                self.tissues = tissues
        self._paint_tubes(organ, planes)
        for lesion in organ.lesions:
            share = share_inside(lesion.cut(planes), _EDGE_MM)
            self.hu += share * (lesion.hu - self.hu)
            self.lesions = np.maximum(self.lesions, share)

    def masks(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return cortex, medulla, vessels and kidney on the middle plane, bool, where the kidney is."""
        within, cortex, medulla = (
            depth[0] > 0 for depth in (self.tissues.solid, self.tissues.cortex, self.tissues.medulla)
        )
        vessels = _per_pixel(within * self.vessels[self._middle]) >= 0.5
        free = (self.vessels[self._middle] < 0.5) & (self.lesions[self._middle] < 0.5)
        return (
            (_per_pixel(free & cortex) >= 0.5) & ~vessels,
            (_per_pixel(free & medulla) > 0.5) & ~vessels,
            vessels,
            _per_pixel(within) >= 0.5,
        )

    def _paint_parenchyma(
        self, organ: Organ, planes: Planes, tissues: Tissues, part: tuple[slice, slice, slice]
    ) -> None:
        near = tissues.solid > -_EDGE_MM
        solid, sinus, medulla = (depth[near] for depth in (tissues.solid, tissues.sinus, tissues.medulla))
        uneven = organ.mottling.on_planes(planes.rows_mm, planes.columns_mm, planes.depths_mm)[near]
        contrast = organ.contrast
        gap = contrast.cortex - contrast.medulla
        deep = np.clip((solid - organ.kidney.cortex_mm) / 12, 0, 1)
        cortex_hu = contrast.cortex - 0.12 * gap * deep + 0.03 * contrast.cortex * uneven
        medulla_hu = contrast.medulla + 0.35 * gap * np.exp(-np.maximum(medulla, 0) / 2.5) + 4 * uneven
        hu = cortex_hu + share_inside(medulla, organ.border_mm) * (medulla_hu - cortex_hu)
        sinus_hu = _SINUS_FAT_HU + organ.haze * (110 + 45 * uneven)
        hu += share_inside(sinus, _EDGE_MM) * (sinus_hu - hu)
        around = self.hu[part][near]
        self.hu[part][near] = around + share_inside(solid, _EDGE_MM) * (hu - around)
        self.parenchyma[part][near] = share_inside(np.minimum(solid, -sinus), _EDGE_MM)

    def _paint_tubes(self, organ: Organ, planes: Planes) -> None:
        hu = {"urine": _URINE_HU, "vein": organ.contrast.vein, "artery": organ.contrast.artery}
        for content, window, inside in organ.tubes.cut(planes):
            share = share_inside(inside, _EDGE_MM)
            if content == "urine":
                share *= 1 - self.parenchyma[window]  # calyces end where parenchyma begins
            else:
                vessels = self.vessels[window]
                np.maximum(vessels, share, out=vessels)
            covered = self.hu[window]
            covered += share * (hu[content] - covered)


def _span(held: np.ndarray) -> slice:
    """Return the places from the first to the last that holds something."""
    places = np.flatnonzero(held)
    return slice(places[0], places[-1] + 1)


def _finer(axis_mm: np.ndarray) -> np.ndarray:
    """Split each pixel of an axis into samples."""
    steps = (np.arange(SAMPLES_PER_PX) + 0.5) / SAMPLES_PER_PX - 0.5
    return (axis_mm[:, None] + steps).ravel()


def _per_pixel(samples: np.ndarray) -> np.ndarray:
    """Return the mean over the samples of each pixel."""
    rows, columns = (size // SAMPLES_PER_PX for size in samples.shape)
    return samples.reshape(rows, SAMPLES_PER_PX, columns, SAMPLES_PER_PX).mean(axis=(1, 3))
