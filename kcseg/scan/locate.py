"""Where the kidneys lie in a scan: found by the members' own kidney output, or told by a mask."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from nibabel.affines import apply_affine
from scipy.ndimage import center_of_mass, find_objects, label

from kcseg.errors import InputError
from kcseg.progress import Tell, silent
from kcseg.scan.options import SIDES
from kcseg.scan.scan import Frame, Scan
from kcseg.serving.runner import Ensemble

_STEP_MM = 4.0  # from one slice that is looked at to the next
_BODY_HU, _LUNG_HU, _SOFT_HU = -300.0, (-950.0, -600.0), (20.0, 200.0)
# Our choice: what no adult's kidney is smaller or larger than, and how far from the middle it lies.
_LEAST_ML, _LARGEST_ML = 30.0, 700.0
_BESIDE_MM = (15.0, 130.0)
_ACROSS_MM = 15.0  # a part that reaches so far to both sides of the middle is no single kidney
BONE_HU = 330.0  # no kidney's parenchyma is as bright on average (our choice)
SURE, LEAST_SURE = 0.9, 0.5  # of a kidney the members are sure nearly everywhere
_MARGIN_MM = 12.0  # around a kidney that was seen in every fourth slice
_TOTAL_SEGMENTATOR = {2: "right", 3: "left"}  # its labels of the kidneys, among more than a hundred


@dataclass(frozen=True, eq=False)
class Located:
    """A kidney's side and the box it lies in, in RAS+ mm; `mask` where one was given, bool on the scan's grid."""

    side: str
    low_mm: np.ndarray
    high_mm: np.ndarray
    mask: np.ndarray | None = None


def locate_kidneys(scan: Scan, ensemble: Ensemble, tell: Tell = silent) -> tuple[list[Located], list[str]]:
    """Find the kidneys of a scan in every fourth coronal slice; return them, right first, and notes on the scan.

    A kidney is the part of what the members call kidney, on a side of the body's middle, that they are surest of. None
    is invented: a side without a part of a kidney's size has none.

    Raises:
        InputError: the ensemble does not find kidneys, or a part lies where no single kidney does.
    """
    refuse_without_kidneys(ensemble)
    frame = Frame.around(*scan.box_mm(), _STEP_MM)
    hu = np.empty(frame.shape, np.int16)
    share = np.zeros(frame.shape, np.float16)
    for place, plane in frame.slices_of(scan):
        hu[place] = plane
        tell("looking for kidneys", place + 1, frame.shape[0])
        # a slice without soft tissue holds no kidney
        if (plane > _SOFT_HU[0]).mean() > 0.02:
            raw = ensemble.segment_raw(plane[np.newaxis])
            assert raw.kidney_probability is not None
            share[place] = raw.kidney_probability[0]
    middle = _middle_column(hu)
    kidneys = list(_surest_parts(frame, hu, share, middle))
    return kidneys, list(_orientation_doubts(hu, kidneys, frame, middle))


def refuse_without_kidneys(ensemble: Ensemble) -> None:
    """Raise an InputError for an ensemble that does not find kidneys."""
    if not ensemble.finds_kidneys:
        raise InputError(
            "these weights find the cortex, but not the kidneys of a scan; name a mask of the kidneys, or weights of "
            "the preset 'shipped'"
        )


def kidneys_of(scan: Scan, labels: np.ndarray) -> list[Located]:
    """Return the kidneys that a mask on the scan's grid marks, right first.

    Of a mask with more than three labels, those of TotalSegmentator's kidneys count; else all that is not 0 does, and
    what lies on either side of the body's middle is one kidney.
    """
    if labels.max() > 3:
        masks = {side: labels == number for number, side in _TOTAL_SEGMENTATOR.items()}
    else:
        frame = Frame.around(*scan.box_mm(), _STEP_MM)
        hu = np.stack([plane for _, plane in frame.slices_of(scan)])
        middle_mm = frame.corner_mm[0] - _middle_column(hu)
        parts, count = label(labels > 0, np.ones((3, 3, 3)))
        centres = np.reshape(center_of_mass(parts > 0, parts, np.arange(1, count + 1)), (-1, 3))
        of_right = np.isin(parts, 1 + np.flatnonzero(apply_affine(scan.affine, centres)[:, 0] > middle_mm))
        masks = {"right": (labels > 0) & of_right, "left": (labels > 0) & ~of_right}
    located = []
    for side in SIDES:
        if masks[side].any():
            places = apply_affine(scan.affine, np.argwhere(masks[side]))
            located.append(Located(side, places.min(axis=0), places.max(axis=0), masks[side]))
    if not located:
        raise InputError("the mask of the kidneys marks none in this scan; name the mask of this very scan")
    return located


def _surest_parts(frame: Frame, hu: np.ndarray, share: np.ndarray, middle: float) -> Iterator[Located]:
    """Yield the part on each side of which the members are surest, by volume."""
    parts, _ = label(share > 0.5, np.ones((3, 3, 3)))
    volumes = np.bincount(parts.ravel())[1:] * frame.step_mm / 1000
    sure = np.bincount(parts.ravel(), share.ravel() > SURE)[1:] * frame.step_mm / 1000
    boxes = find_objects(parts)
    best: dict[str, Located] = {}
    for place in np.argsort(-(sure**2) / np.maximum(volumes, 1e-9), kind="stable").tolist():
        if volumes[place] < _LEAST_ML or sure[place] < LEAST_SURE * volumes[place]:
            continue
        slices, rows, columns = boxes[place]
        inside = parts[boxes[place]] == place + 1
        centre = columns.start + float(np.flatnonzero(inside.any(axis=(0, 1))).mean())
        across = inside[..., : max(0, round(middle - _ACROSS_MM) - columns.start)].sum()
        beyond = inside[..., max(0, round(middle + _ACROSS_MM) - columns.start) :].sum()
        if min(across, beyond) * frame.step_mm / 1000 > _LEAST_ML:
            raise InputError(
                "what looks like kidney reaches across the middle of the body, as a horseshoe kidney does; kcseg "
                "measures two separate kidneys: name a mask of them"
            )
        side = SIDES[int(centre > middle)]
        beside = abs(centre - middle)
        if side in best or volumes[place] > _LARGEST_ML or np.median(hu[boxes[place]][inside]) > BONE_HU:
            continue
        if not _BESIDE_MM[0] < beside < _BESIDE_MM[1]:
            continue
        low = frame.corner_mm + np.array([-columns.stop, slices.start * frame.step_mm, -rows.stop])
        high = frame.corner_mm + np.array([-columns.start, slices.stop * frame.step_mm, -rows.start])
        best[side] = Located(side, low - _MARGIN_MM, high + _MARGIN_MM)
    yield from (best[side] for side in SIDES if side in best)


def _middle_column(hu: np.ndarray) -> float:
    """Return the column of the body's middle, from slices (slices, rows, columns)."""
    body = (hu > _BODY_HU).mean(axis=(0, 1))
    return float((body * np.arange(len(body))).sum() / max(float(body.sum()), 1e-9))


def _orientation_doubts(hu: np.ndarray, kidneys: list[Located], frame: Frame, middle: float) -> Iterator[str]:
    """Yield what speaks against the stated orientation: lungs below the kidneys, the liver on the left."""
    if not kidneys:
        return
    rows = [frame.corner_mm[2] - (one.low_mm[2] + one.high_mm[2]) / 2 for one in kidneys]
    level = int(np.clip(np.mean(rows), 1, frame.shape[1] - 1))
    lung = (hu > _LUNG_HU[0]) & (hu < _LUNG_HU[1])
    above, below = (int(lung[:, part].sum()) for part in (slice(0, level), slice(level, None)))
    if below > 4 * above and below * frame.step_mm > 300_000:
        yield "lungs below the kidneys: is the scan upside down?"
    upper = hu[:, max(0, level - 130) : level]
    soft = (upper > _SOFT_HU[0]) & (upper < _SOFT_HU[1])
    half = round(middle)
    # the spine and what lies beside it are on both sides
    right, left = soft[:, :, : half - 30].sum(), soft[:, :, half + 30 :].sum()
    if left > 1.3 * right:
        yield "more soft tissue above the left kidney than above the right, where the liver is: is the scan mirrored?"
