"""A slab through one kidney, rendered in HU over its surroundings, with the exact cortex of its middle plane."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import find_objects
from skimage.transform import downscale_local_mean

from kcseg.phantom.anatomy import Kidney, Tissues
from kcseg.phantom.contrast import Contrast
from kcseg.phantom.fields import Waves, Window
from kcseg.phantom.lesions import Lesion
from kcseg.phantom.shapes import Planes, share_inside
from kcseg.phantom.vessels import Tubes

SAMPLES_PER_PX = 2
_SINUS_FAT_HU = -95.0
_EDGE_MM = 0.6  # over which one tissue passes into another


@dataclass(frozen=True, eq=False)
class Organ:
    """A kidney with all that runs through it, as it takes up contrast."""

    kidney: Kidney
    tubes: Tubes
    lesions: tuple[Lesion, ...]
    contrast: Contrast
    border_mm: float  # width over which cortex passes into pyramid
    mottling: Waves  # unevenness of the parenchyma
    haze: float  # share of soft tissue in the sinus fat
    urine_hu: float = 8.0


def render(
    organ: Organ, grid: Planes, solid_mm: np.ndarray, slab_mm: float, surroundings_hu: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a slab around `grid`, a plane whose points are pixel centres.

    `solid_mm` is the depth below the organ's capsule there, and `surroundings_hu` what is seen around the organ; both
    are (height, width).

    Returns:
        What the slab shows, float64 (height, width) HU, and cortex, medulla, vessels within the capsule, and kidney on
        its middle plane, bool (4, height, width).
    """
    (kidney,), (around,) = (find_objects((solid_mm > -reach_mm).astype(int)) for reach_mm in (8, 15))
    # above and below, and as far as the midline, its vessels are seen
    window = around[0], slice(kidney[1].start, None)
    count = 3 if slab_mm < 2.5 else 5
    depths_mm = grid.depths_mm + slab_mm * ((np.arange(count) + 0.5) / count - 0.5)
    planes = Planes(_finer(grid.rows_mm[window[0]]), _finer(grid.columns_mm[window[1]]), depths_mm)
    background = np.repeat(np.repeat(surroundings_hu[window], SAMPLES_PER_PX, axis=0), SAMPLES_PER_PX, axis=1)
    rows, columns = (
        slice(SAMPLES_PER_PX * (inner.start - outer.start), SAMPLES_PER_PX * (inner.stop - outer.start))
        for inner, outer in zip(kidney, window, strict=True)
    )
    painting = Painting(organ, planes, np.repeat(background[None], count, axis=0), (rows, columns))
    masks_of_plane = _masks(painting, count // 2)
    hu = surroundings_hu.copy()
    hu[window] = _per_pixel(painting.hu.mean(axis=0))
    masks = np.zeros((4, *solid_mm.shape), dtype=bool)
    masks[:, kidney[0], kidney[1]] = masks_of_plane
    return hu, masks


class Painting:
    """Planes through an organ: parenchyma, sinus, tubes and lesions, each covering what came before."""

    def __init__(self, organ: Organ, planes: Planes, background_hu: np.ndarray, kidney: Window) -> None:
        """Paint over a background (depths, rows, columns); the kidney lies in a window of its rows and columns."""
        self.hu = background_hu.astype(np.float32)  # (depths, rows, columns)
        self.window = (slice(None), *kidney)
        # which share of each point they cover
        self.parenchyma, self.vessels, self.lesions = (np.zeros_like(self.hu) for _ in range(3))
        part = self.window
        self.tissues = organ.kidney.cut(planes[part])
        self._paint_parenchyma(organ, self.tissues, planes[part], part)
        self._paint_tubes(organ, planes)
        for lesion in organ.lesions:
            share = share_inside(lesion.cut(planes), _EDGE_MM)
            self.hu += share * (lesion.hu - self.hu)
            self.lesions = np.maximum(self.lesions, share)

    def _paint_parenchyma(
        self, organ: Organ, tissues: Tissues, planes: Planes, part: tuple[slice, slice, slice]
    ) -> None:
        contrast = organ.contrast
        gap = contrast.cortex - contrast.medulla
        uneven = organ.mottling.on_planes(planes).take(tissues.places)
        deep = np.clip((tissues.solid - organ.kidney.cortex_mm) / 12, 0, 1)
        cortex = contrast.cortex - 0.12 * gap * deep + 0.03 * contrast.cortex * uneven
        medulla = contrast.medulla + 0.35 * gap * np.exp(-np.maximum(tissues.medulla, 0) / 2.5) + 4 * uneven
        hu = cortex + share_inside(tissues.medulla, organ.border_mm) * (medulla - cortex)
        sinus_fat = _SINUS_FAT_HU + organ.haze * (110 + 45 * uneven)
        share = share_inside(tissues.solid, _EDGE_MM)
        parenchyma = share_inside(np.minimum(tissues.solid, -tissues.sinus), _EDGE_MM)
        covered = self.hu[part]
        # the rest of what is within the capsule is the sinus
        mixed = parenchyma * hu + (share - parenchyma) * sinus_fat
        covered += tissues.on_planes(mixed) - tissues.on_planes(share) * covered
        self.parenchyma[part] = tissues.on_planes(parenchyma)

    def _paint_tubes(self, organ: Organ, planes: Planes) -> None:
        hu = {"urine": organ.urine_hu, "vein": organ.contrast.vein, "artery": organ.contrast.artery}
        for content, window, inside in organ.tubes.cut(planes):
            share = share_inside(inside, _EDGE_MM)
            if content == "urine":
                share *= 1 - self.parenchyma[window]  # calyces end where parenchyma begins
            else:
                vessels = self.vessels[window]
                np.maximum(vessels, share, out=vessels)
            covered = self.hu[window]
            covered += share * (hu[content] - covered)


def _masks(painting: Painting, plane: int) -> np.ndarray:
    """Return cortex, medulla, vessels and kidney, bool, from samples of one plane, in the kidney's window."""
    tissues = painting.tissues
    within, cortex, medulla = (
        tissues.on_planes(depth > 0)[plane] for depth in (tissues.solid, tissues.cortex, tissues.medulla)
    )
    vessels, lesions = (share[painting.window][plane] for share in (painting.vessels, painting.lesions))
    free = (vessels < 0.5) & (lesions < 0.5)
    vessels = _per_pixel(within * vessels) >= 0.5
    cortex = (_per_pixel(free & cortex) >= 0.5) & ~vessels
    medulla = (_per_pixel(free & medulla) > 0.5) & ~vessels
    return np.stack([cortex, medulla, vessels, _per_pixel(within) >= 0.5])


def _finer(axis_mm: np.ndarray) -> np.ndarray:
    """Split each pixel of an axis into samples."""
    steps = (np.arange(SAMPLES_PER_PX) + 0.5) / SAMPLES_PER_PX - 0.5
    return (axis_mm[:, None] + steps).ravel()


def _per_pixel(samples: np.ndarray) -> np.ndarray:
    """Return the mean over the samples of each pixel."""
    return downscale_local_mean(samples.astype(np.float64), (SAMPLES_PER_PX, SAMPLES_PER_PX))
