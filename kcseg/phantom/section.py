"""A slab through one kidney, rendered in HU over its surroundings, with the exact cortex of its middle plane."""

from dataclasses import dataclass

import numpy as np

from kcseg.phantom.anatomy import Kidney, Plane
from kcseg.phantom.contrast import Contrast
from kcseg.phantom.fields import Waves
from kcseg.phantom.lesions import Lesion
from kcseg.phantom.vessels import Tube

SAMPLES_PER_PX = 2
_SINUS_FAT_HU = -95.0
_URINE_HU = 8.0


@dataclass(frozen=True, eq=False)
class Organ:
    """A kidney with all that runs through it, as it takes up contrast.

    Attributes:
        border_mm: width over which cortex passes into pyramid.
        mottling: unevenness of the parenchyma.
        haze: share of soft tissue in the sinus fat.
    """

    kidney: Kidney
    tubes: tuple[Tube, ...]
    lesions: tuple[Lesion, ...]
    contrast: Contrast
    border_mm: float
    mottling: Waves
    haze: float


@dataclass(frozen=True, eq=False)
class Section:
    """What a slab shows, (rows, columns) each.

    Attributes:
        hu: float64, averaged over the slab.
        cortex, medulla, vessels, kidney: bool, on the middle plane; vessels are those within the capsule.
    """

    hu: np.ndarray
    cortex: np.ndarray
    medulla: np.ndarray
    vessels: np.ndarray
    kidney: np.ndarray


def render(organ: Organ, grid_mm: Plane, slab_mm: float, background_hu: np.ndarray) -> Section:
    """Cut a slab around a plane whose points are pixel centres; `background_hu` is its surroundings there."""
    count = 3 if slab_mm < 2.5 else 5
    planes = [
        _Painting(organ, _finer(grid_mm, slab_mm * ((index + 0.5) / count - 0.5)), background_hu)
        for index in range(count)
    ]
    middle = planes[count // 2]
    within = middle.tissues.solid > 0
    vessels = _per_pixel(within * middle.vessels) >= 0.5
    free = (middle.vessels < 0.5) & (middle.lesions < 0.5)
    return Section(
        hu=_per_pixel(np.mean([painting.hu for painting in planes], axis=0)),
        cortex=(_per_pixel(free & (middle.tissues.cortex > 0)) >= 0.5) & ~vessels,
        medulla=(_per_pixel(free & (middle.tissues.medulla > 0)) > 0.5) & ~vessels,
        vessels=vessels,
        kidney=_per_pixel(within) >= 0.5,
    )


class _Painting:
    """One plane: parenchyma, sinus, tubes and lesions, each covering what came before.

    Attributes:
        tissues: depths of the plane's points in each tissue.
        hu: float64 (rows, columns).
        vessels, lesions: share of each point they cover.
    """

    def __init__(self, organ: Organ, plane: Plane, background_hu: np.ndarray) -> None:
        self.tissues = organ.kidney.cut(plane)
        self.hu = np.repeat(np.repeat(background_hu, SAMPLES_PER_PX, axis=0), SAMPLES_PER_PX, axis=1)
        self.vessels = np.zeros(plane.shape)
        self.lesions = np.zeros(plane.shape)
        uneven = organ.mottling.on_plane(plane.rows_mm, plane.columns_mm, plane.depth_mm)
        self._paint_parenchyma(organ, uneven)
        self._paint_tubes(organ, plane)
        for lesion in organ.lesions:
            share = _share(lesion.cut(plane))
            self.hu += share * (lesion.hu - self.hu)
            self.lesions = np.maximum(self.lesions, share)

    def _paint_parenchyma(self, organ: Organ, uneven: np.ndarray) -> None:
        tissues, contrast = self.tissues, organ.contrast
        gap = contrast.cortex - contrast.medulla
        deep = np.clip((tissues.solid - organ.kidney.cortex_mm) / 12, 0, 1)
        cortex = contrast.cortex - 0.12 * gap * deep + 0.03 * contrast.cortex * uneven
        medulla = (
            contrast.medulla + 0.35 * gap * np.exp(-np.clip(tissues.medulla, 0, None) / 2.5) + 4 * uneven
        )
        parenchyma = cortex + _share(tissues.medulla, organ.border_mm) * (medulla - cortex)
        sinus_fat = _SINUS_FAT_HU + organ.haze * (110 + 45 * uneven)
        inside = parenchyma + _share(tissues.sinus) * (sinus_fat - parenchyma)
        self.hu += _share(tissues.solid) * (inside - self.hu)

    def _paint_tubes(self, organ: Organ, plane: Plane) -> None:
        hu = {"urine": _URINE_HU, "vein": organ.contrast.vein, "artery": organ.contrast.artery}
        # calyces end where parenchyma begins
        open_space = 1 - _share(np.minimum(self.tissues.solid, -self.tissues.sinus))
        for tube in organ.tubes:
            if (cut := tube.cut(plane)) is None:
                continue
            window, inside = cut
            share = _share(inside)
            if tube.content == "urine":
                share = share * open_space[window]
            else:
                np.maximum(self.vessels[window], share, out=self.vessels[window])
            self.hu[window] += share * (hu[tube.content] - self.hu[window])


def _finer(grid_mm: Plane, offset_mm: float) -> Plane:
    """Return a plane at an offset in depth, each pixel split into samples."""
    steps = (np.arange(SAMPLES_PER_PX) + 0.5) / SAMPLES_PER_PX - 0.5
    rows, columns = ((axis[:, None] + steps).ravel() for axis in (grid_mm.rows_mm, grid_mm.columns_mm))
    return Plane(rows, columns, grid_mm.depth_mm + offset_mm)


def _share(inside_mm: np.ndarray, edge_mm: float = 0.6) -> np.ndarray:
    """Return the share of a point that a tissue covers, from its depth inside it."""
    return np.clip(0.5 + inside_mm / edge_mm, 0, 1)


def _per_pixel(samples: np.ndarray) -> np.ndarray:
    """Return the mean over the samples of each pixel."""
    rows, columns = (size // SAMPLES_PER_PX for size in samples.shape)
    return samples.reshape(rows, SAMPLES_PER_PX, columns, SAMPLES_PER_PX).mean(axis=(1, 3))
