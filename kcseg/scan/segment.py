"""Cortex and kidney of a scan: coronal slices of 1 mm, the members' medians, components in 3D, back on its own grid."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, binary_fill_holes, distance_transform_edt, label

from kcseg.config import PAPER
from kcseg.progress import Tell, silent
from kcseg.scan.locate import SURE, Located
from kcseg.scan.scan import Frame, Scan
from kcseg.serving.contract import IMAGES_TOGETHER
from kcseg.serving.runner import Ensemble

_BALL_MM = 5.0  # half the width of a bridge to what is no kidney, at most
_CONTEXT_MM = 45.0  # around a kidney, for the networks to see where it lies


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

    Probabilities are found in coronal slices of 1 mm, resampled to the scan's own voxels, and cut there once.
    """
    for one in located:
        frame = Frame.around(*_with_context(one, scan))
        yield _on_scan(scan, frame, one, *_probabilities(scan, ensemble, frame, tell, one.side))


def _with_context(one: Located, scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Return a kidney's box with what lies beside it in its coronal slices, as far as the scan goes."""
    around = np.array([_CONTEXT_MM, 2.0, _CONTEXT_MM])
    low, high = scan.box_mm()
    return np.maximum(one.low_mm - around, low), np.minimum(one.high_mm + around, high)


def _probabilities(
    scan: Scan, ensemble: Ensemble, frame: Frame, tell: Tell, side: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the medians for kidney and cortex and the disagreement, float32 in the frame's shape."""
    kidney, cortex, disagreement = (np.zeros(frame.shape, np.float32) for _ in range(3))
    together: list[tuple[int, np.ndarray]] = []
    for place, plane in frame.slices_of(scan):
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
    return kidney, cortex, disagreement


def _on_scan(
    scan: Scan,
    frame: Frame,
    one: Located,
    kidney_share: np.ndarray,
    cortex_share: np.ndarray,
    disagreement: np.ndarray,
) -> KidneyMasks:
    window = frame.window_in(scan)
    threshold = PAPER.ensemble.mask_threshold
    if one.mask is None:
        # other parts must not come near the kidney when the shares are resampled
        own = binary_dilation(without_appendages(kidney_share > threshold), iterations=2)
        share = frame.to_scan(np.where(own, kidney_share, 0), scan, window)
        kidney = binary_fill_holes(_largest(share > threshold))  # the sinus lies within the capsule
        sure = binary_fill_holes(kidney & (share > SURE))
    else:
        kidney = sure = one.mask[window]
    probability = frame.to_scan(cortex_share, scan, window)
    cortex = _largest((probability > threshold) & kidney)
    return KidneyMasks(
        one.side, window, kidney, sure, cortex, probability, frame.to_scan(disagreement, scan, window)
    )


def without_appendages(mask: np.ndarray) -> np.ndarray:
    """Return the largest part of a mask at 1 mm without what hangs on it by less than a finger's width.

    Vessels leave the kidney, and bowel or muscle may touch it: what a ball of `_BALL_MM` cannot reach from within is
    cut off (our choice).
    """
    core = _largest(distance_transform_edt(mask) > _BALL_MM)
    if not core.any():
        return _largest(mask)
    return mask & (distance_transform_edt(~core) <= _BALL_MM + 1)


def _largest(mask: np.ndarray) -> np.ndarray:
    """Return the largest 3D component, with 26 neighbours (our choice)."""
    parts, count = label(mask, np.ones((3, 3, 3)))
    if count < 2:
        return mask
    return parts == 1 + np.bincount(parts.ravel())[1:].argmax()
