"""What is measured of a kidney in a scan, on the very masks that are written."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from nibabel.affines import apply_affine
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist
from skimage.measure import marching_cubes, mesh_surface_area

from kcseg.image.contrast import contrast_doubts, looks_alike, measure_contrast
from kcseg.image.volume import resampled, shifted
from kcseg.scan.scan import Frame, Scan
from kcseg.scan.segment import KidneyMasks

# A scan of slices of 5 mm may have been resampled to shorter ones since: fat shows as far all the same (our choice).
_BLURRED_MM = 5.0
# Our choice: what within the capsule is neither fat nor urine nor stone counts as parenchyma.
_PARENCHYMA_HU = (10.0, 350.0)
_LIPS_MM = 6.0  # around the hilum, where cortex ends and has no thickness
CLEAR_DISAGREEMENT = 0.2  # our choice, from the simulated challenge: above it a person should look
_OUTLINE_MM = 0.5  # by which an outline may be off
_WIDENED = 1.1  # so that the interval holds four cortices in five, of 27 simulated ones
# Of a kidney, where its members are not sure: the outlines of 27 simulated ones had a mean Dice of 0.95 with more, and
# of 0.97 with less.
_MUCH_UNSURE = 0.14


@dataclass(frozen=True)
class Measures:
    """A row of the table: one kidney. What cannot be told is None; `note` says why a person should look.

    Volumes are in mL, thickness and length in mm. `cortex_low_ml` to `cortex_high_ml` is the interval of the cortex'
    volume; `cortex_share` that of the cortex in the parenchyma; `split` this side's share of the cortex of both.
    """

    side: str
    cortex_ml: float | None
    cortex_low_ml: float | None
    cortex_high_ml: float | None
    kidney_ml: float
    parenchyma_ml: float
    cortex_share: float | None
    split: float | None
    thickness_mm: float | None
    thickness_q1_mm: float | None
    thickness_q3_mm: float | None
    length_mm: float
    contrast_hu: float | None
    disagreement: float | None
    note: str


def measure(scan: Scan, masks: KidneyMasks, *, any_contrast: bool = False) -> Measures:
    """Measure a kidney; without contrast between cortex and medulla its cortex is not, unless `any_contrast`."""
    contrast = contrast_of(scan, masks)
    given = masks.cortex.any() and (any_contrast or not looks_alike(contrast))
    parenchyma_ml = _ml(parenchyma_of(scan, masks), scan)
    cortex_ml, low_ml, high_ml = volume_interval(scan, masks) if given else (None, None, None)
    thickness = thickness_of(scan, masks) if given else np.empty(0)
    quartiles = np.percentile(thickness, (25, 50, 75)).round(1).tolist() if len(thickness) else [None] * 3
    disagreement = float(masks.disagreement[masks.cortex].mean()) if masks.cortex.any() else None
    return Measures(
        side=masks.side,
        cortex_ml=_rounded(cortex_ml),
        cortex_low_ml=_rounded(low_ml),
        cortex_high_ml=_rounded(high_ml),
        kidney_ml=round(_ml(masks.kidney, scan), 1),
        parenchyma_ml=round(parenchyma_ml, 1),
        cortex_share=_rounded(cortex_ml / parenchyma_ml, 3) if cortex_ml and parenchyma_ml else None,
        split=None,
        thickness_mm=quartiles[1],
        thickness_q1_mm=quartiles[0],
        thickness_q3_mm=quartiles[2],
        length_mm=round(length_of(scan, masks.kidney), 0),
        contrast_hu=_rounded(contrast),
        disagreement=_rounded(disagreement, 3),
        note="; ".join(_doubts(scan, masks, contrast, disagreement)),
    )


def contrast_of(scan: Scan, masks: KidneyMasks) -> float | None:
    """Return the median contrast of the slices nearest to coronal ones, each counted by its kidney's area.

    In all of them together the hilum's vessels and urine would pass for dark medulla. Where the outline strays into
    liver or spleen, the members are not sure, and their HU do not count.
    """
    axis = int(np.abs(scan.affine[1, :3]).argmax())
    slices = [
        np.moveaxis(volume, axis, 0)
        for volume in (scan.hu[masks.window], masks.cortex & masks.sure, masks.sure)
    ]
    spacing_mm = np.delete(scan.spacing_mm, axis).tolist()
    found = [
        (contrast, np.count_nonzero(kidney))
        for hu, cortex, kidney in zip(*slices, strict=True)
        if kidney.any()
        and (contrast := measure_contrast(hu, cortex, kidney, spacing_mm, blurred_mm=_BLURRED_MM)) is not None
    ]
    if not found:
        return None
    contrasts, areas = np.array(sorted(found)).T
    return float(contrasts[np.searchsorted(areas.cumsum(), areas.sum() / 2)])


def parenchyma_of(scan: Scan, masks: KidneyMasks) -> np.ndarray:
    """Return the kidney without fat, urine and stones of the sinus, bool in the masks' window."""
    smooth = gaussian_filter(scan.hu[masks.window].astype(np.float32), [0.8 / mm for mm in scan.spacing_mm])
    low, high = _PARENCHYMA_HU
    return masks.kidney & (masks.cortex | ((smooth > low) & (smooth < high)))


def volume_interval(scan: Scan, masks: KidneyMasks) -> tuple[float, float, float]:
    """Return the cortex' volume, and how small and large it may be: members' disagreement and outline, in mL."""
    volume = _ml(masks.cortex, scan)
    spread = masks.disagreement
    least = _ml(masks.kidney & (masks.probability - spread > 0.5), scan)
    most = _ml(masks.kidney & (masks.probability + spread > 0.5), scan)
    rim = _surface_mm2(masks.kidney, scan) * _OUTLINE_MM / 1000
    half = _WIDENED * float(np.hypot((most - least) / 2, rim))
    return volume, volume - half, volume + half


def thickness_of(scan: Scan, masks: KidneyMasks) -> np.ndarray:
    """Return the thickness of the cortex in mm at many points of the capsule, away from the hilum."""
    shown, distances, _ = _at_capsule(scan, masks)
    return distances[shown]


def thickness_map(scan: Scan, masks: KidneyMasks) -> np.ndarray:
    """Return the thickness of the cortex at the voxels of the capsule, float32 in the masks' window, else 0."""
    shown, distances, affine = _at_capsule(scan, masks)
    # each voxel of the capsule takes the thickness of the nearest point
    nearest = distance_transform_edt(~shown, return_distances=False, return_indices=True)
    values = distances[tuple(nearest)] if shown.any() else np.zeros_like(distances)
    here = shifted(scan.affine, [part.start for part in masks.window])
    on_scan = resampled(values, affine, here, masks.kidney.shape, labels=True)
    surface = masks.kidney & ~binary_erosion(masks.kidney)
    return np.where(surface & masks.cortex, on_scan, 0).astype(np.float32)


def _at_capsule(scan: Scan, masks: KidneyMasks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which points of a grid of 1 mm are cortex at the capsule away from the hilum, and the thickness there.

    The masks that are written are brought to 1 mm first, since scans have longer voxels along one axis. The thickness
    is the distance from the centre of a voxel at the capsule to that of the nearest which is not cortex: what the first
    loses of half a voxel, the second adds. The affine of the grid comes third.
    """
    here = shifted(scan.affine, [part.start for part in masks.window])
    places = apply_affine(here, np.argwhere(masks.kidney))
    frame = Frame.around(places.min(axis=0) - 3, places.max(axis=0) + 3)
    # by their signed distances, of which linear interpolation makes no steps
    kidney, medulla = (
        resampled(_signed_distance(mask, scan), here, frame.affine, frame.shape, fill=-9.0) > 0
        for mask in (masks.kidney, masks.kidney & ~masks.cortex)
    )
    cortex = kidney & ~medulla
    inside = kidney & ~cortex
    surface = kidney & ~binary_erosion(kidney)
    if not inside.any():
        return np.zeros_like(surface), np.zeros(surface.shape, np.float32), frame.affine
    hilum = surface & inside
    lips = distance_transform_edt(~hilum) < _LIPS_MM if hilum.any() else hilum
    return surface & cortex & ~lips, distance_transform_edt(~inside).astype(np.float32), frame.affine


def _signed_distance(mask: np.ndarray, scan: Scan) -> np.ndarray:
    """Return the distance to the mask's edge in mm, positive within, float32."""
    padded = np.pad(mask, 1)
    inside, outside = (distance_transform_edt(one, sampling=scan.spacing_mm) for one in (padded, ~padded))
    return (inside - outside)[1:-1, 1:-1, 1:-1].astype(np.float32)


def length_of(scan: Scan, kidney: np.ndarray) -> float:
    """Return the longest distance between two voxels of a kidney in mm, half a voxel added at either end."""
    places = np.argwhere(kidney & ~binary_erosion(kidney)) @ scan.affine[:3, :3].T
    try:
        places = places[ConvexHull(places).vertices]
    except (QhullError, ValueError):  # a flat or tiny one has no hull
        places = places[:500]
    return float(pdist(places).max(initial=0)) + float(np.mean(scan.spacing_mm))


def _doubts(
    scan: Scan, masks: KidneyMasks, contrast: float | None, disagreement: float | None
) -> Iterator[str]:
    yield from contrast_doubts(contrast)
    if is_cut(scan, masks):
        yield "kidney cut by the end of the scan"
    if masks.unsure_share > _MUCH_UNSURE:
        yield f"members unsure of {masks.unsure_share:.0%} of the kidney: look at its outline"
    if not masks.cortex.any():
        yield "no cortex found"
    elif disagreement is not None and disagreement > CLEAR_DISAGREEMENT:
        yield "members disagree"
    yield from scan.notes


def is_cut(scan: Scan, masks: KidneyMasks) -> bool:
    """Whether the kidney reaches the first or last voxels of the scan."""
    for axis, (part, size) in enumerate(zip(masks.window, scan.hu.shape, strict=True)):
        for place, at_end in ((0, part.start == 0), (-1, part.stop == size)):
            if at_end and masks.kidney.take(place, axis).any():
                return True
    return False


def _surface_mm2(mask: np.ndarray, scan: Scan) -> float:
    corners, faces, *_ = marching_cubes(np.pad(mask, 1).astype(np.float32), 0.5, spacing=scan.spacing_mm)
    return float(mesh_surface_area(corners, faces))


def _ml(mask: np.ndarray, scan: Scan) -> float:
    return float(np.count_nonzero(mask)) * scan.voxel_ml


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(float(value), digits)
