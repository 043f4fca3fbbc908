"""Cortex and kidney of a scan: coronal slices of 1 mm, the members' medians, in 3D, and back on its own grid."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter

from kcseg.config import PAPER
from kcseg.progress import Tell, silent
from kcseg.scan.locate import SURE, Located
from kcseg.scan.outline import largest_part, moved_to_edges
from kcseg.scan.scan import Frame, Scan
from kcseg.serving.contract import IMAGES_TOGETHER
from kcseg.serving.runner import Ensemble

_CONTEXT_MM = 45.0  # around a kidney, for the networks to see where it lies
_RIM_MM = 8.0  # of kidney that the members may miss: it is cortex
_SMOOTH_MM = 0.7  # of an outline at 1 mm, before it is resampled: it has steps


@dataclass(frozen=True, eq=False)
class KidneyMasks:
    """A kidney on the scan's grid: masks in a window of its voxels.

    `kidney`, `sure` and `cortex` are bool, `sure` the kidney where the members are sure of it; `probability` and
    `disagreement` float32, the members' median for cortex and their standard deviation.
    """

    side: str
    window: tuple[slice, slice, slice]
    kidney: np.ndarray
    sure: np.ndarray
    cortex: np.ndarray
    probability: np.ndarray
    disagreement: np.ndarray

    @property
    def unsure_share(self) -> float:
        """How much of the kidney the members are not sure of."""
        return 1 - float(np.count_nonzero(self.sure) / np.count_nonzero(self.kidney))


def segment_kidneys(
    scan: Scan, ensemble: Ensemble, located: list[Located], tell: Tell = silent
) -> Iterator[KidneyMasks]:
    """Yield the masks of each kidney, in the order given.

    Probabilities and outlines are found in coronal slices of 1 mm, resampled to the scan's own voxels, and cut there
    once.
    """
    for one in located:
        frame = Frame.around(*_with_context(one, scan))
        yield _on_scan(scan, frame, one, _seen(scan, ensemble, frame, tell, one.side))


def _with_context(one: Located, scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Return a kidney's box with what lies beside it in its coronal slices, as far as the scan goes."""
    around = np.array([_CONTEXT_MM, 2.0, _CONTEXT_MM])
    low, high = scan.box_mm()
    return np.maximum(one.low_mm - around, low), np.minimum(one.high_mm + around, high)


@dataclass(frozen=True, eq=False)
class _Seen:
    """What a frame shows, float32 in its shape: HU, the medians for kidney and cortex, and the disagreement."""

    hu: np.ndarray
    kidney: np.ndarray
    cortex: np.ndarray
    disagreement: np.ndarray


def _seen(scan: Scan, ensemble: Ensemble, frame: Frame, tell: Tell, side: str) -> _Seen:
    hu, kidney, cortex, disagreement = (np.zeros(frame.shape, np.float32) for _ in range(4))
    together: list[tuple[int, np.ndarray]] = []
    for place, plane in frame.slices_of(scan):
        hu[place] = plane
        together.append((place, plane))
        if len(together) < IMAGES_TOGETHER and place + 1 < frame.shape[0]:
            continue
        places, planes = zip(*together, strict=True)
        found = ensemble.segment_raw(np.stack(planes))
        cortex[list(places)], disagreement[list(places)] = found.probability, found.disagreement
        if found.kidney_probability is not None:
            kidney[list(places)] = found.kidney_probability
        together.clear()
        tell(f"{side} kidney", place + 1, frame.shape[0])
    return _Seen(hu, kidney, cortex, disagreement)


def _up_to_the_capsule(cortex_share: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Return the shares with those of the nearest voxel around what the members call kidney.

    Between it and the true capsule they were not looking for cortex.
    """
    if not called.any():
        return cortex_share
    away, nearest = distance_transform_edt(~called, return_indices=True)
    return np.where(away < _RIM_MM, cortex_share[tuple(nearest)], cortex_share)


def _on_scan(scan: Scan, frame: Frame, one: Located, seen: _Seen) -> KidneyMasks:
    window = frame.window_in(scan)
    threshold = PAPER.ensemble.mask_threshold
    called = seen.kidney > threshold
    if one.mask is None:
        smooth = gaussian_filter(moved_to_edges(seen.hu, called).astype(np.float32), _SMOOTH_MM)
        # the sinus lies within the capsule
        kidney = binary_fill_holes(largest_part(frame.to_scan(smooth, scan, window) > 0.5))
        sure = binary_fill_holes(kidney & (frame.to_scan(seen.kidney, scan, window) > SURE))
    else:
        kidney = sure = one.mask[window]
    probability = frame.to_scan(_up_to_the_capsule(seen.cortex, called), scan, window)
    cortex = largest_part((probability > threshold) & kidney)
    return KidneyMasks(
        one.side, window, kidney, sure, cortex, probability, frame.to_scan(seen.disagreement, scan, window)
    )
