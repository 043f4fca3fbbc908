"""From a scan to its result: kidneys, masks, measures and labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kcseg.errors import InputError
from kcseg.progress import Tell, silent
from kcseg.scan.locate import Located, kidneys_of, locate_kidneys
from kcseg.scan.measure import Measures, is_cut, measure, parenchyma_of
from kcseg.scan.options import SIDES
from kcseg.scan.scan import Scan
from kcseg.scan.segment import KidneyMasks, segment_kidneys
from kcseg.serving.runner import Ensemble

_NO_KIDNEY_UNSURE = 0.4  # our choice: of 84 simulated kidneys the members were unsure of 0.25 at most
# What a voxel of the labels means.
LABELS = {
    "right cortex": 1,
    "right medulla": 2,
    "right sinus": 3,
    "left cortex": 4,
    "left medulla": 5,
    "left sinus": 6,
}


def labels_of(side: str) -> list[int]:
    """Return the labels of a kidney: all within its capsule."""
    return [number for name, number in LABELS.items() if name.startswith(side)]


@dataclass(frozen=True, eq=False)
class ScanResult:
    """What was found in a scan: masks and measures of each kidney, right first, and notes on the scan as a whole.

    A kidney whose cortex is not given keeps its masks here; its labels hold no cortex.
    """

    scan: Scan
    masks: tuple[KidneyMasks, ...]
    measures: tuple[Measures, ...]
    notes: tuple[str, ...]

    def labels(self) -> np.ndarray:
        """Return uint8 on the scan's grid: 0, or a number of `LABELS`."""
        labels = np.zeros(self.scan.hu.shape, np.uint8)
        for masks, measures in zip(self.masks, self.measures, strict=True):
            part = labels[masks.window]
            parenchyma = parenchyma_of(self.scan, masks)
            part[masks.kidney & ~parenchyma] = LABELS[f"{masks.side} sinus"]
            part[parenchyma] = LABELS[f"{masks.side} medulla"]
            if measures.cortex_ml is not None:
                part[masks.cortex] = LABELS[f"{masks.side} cortex"]
        return labels


def segment_scan(
    scan: Scan,
    ensemble: Ensemble | None = None,
    *,
    kidneys: np.ndarray | None = None,
    sides: Sequence[str] = SIDES,
    any_contrast: bool = False,
    tell: Tell = silent,
) -> ScanResult:
    """Find the kidneys of a scan, segment their cortex, and measure it.

    Args:
        scan: as `read_scan` returns it.
        ensemble: the members; by default the weights that come with kcseg.
        kidneys: a mask of the kidneys from elsewhere, on the scan's grid: of one kidney or both, or TotalSegmentator's
            labels; by default the members find them.
        sides: of the patient, which to look at.
        any_contrast: give the cortex even where it and the medulla look alike.
        tell: told of the slices looked at.

    Raises:
        InputError: the members do not find kidneys and no mask is given, the mask is of another grid, or what looks
            like kidney lies where no single kidney does.
    """
    ensemble = ensemble or Ensemble.load()
    if kidneys is not None and kidneys.shape != scan.hu.shape:
        raise InputError(f"expected a mask of the kidneys of shape {scan.hu.shape}, got {kidneys.shape}")
    located: list[Located]
    located, notes = (
        locate_kidneys(scan, ensemble, tell) if kidneys is None else (kidneys_of(scan, kidneys), [])
    )
    located = [one for one in located if one.side in sides]
    masks = tuple(
        one
        for one in segment_kidneys(scan, ensemble, located, tell)
        if one.kidney.any() and one.unsure_share < _NO_KIDNEY_UNSURE
    )
    measures = [measure(scan, one, any_contrast=any_contrast) for one in masks]
    missing = [side for side in sides if side not in {one.side for one in masks}]
    beyond = ": it may lie beyond the end of the scan" if any(is_cut(scan, one) for one in masks) else ""
    notes += [f"no {side} kidney found{beyond}" for side in missing]
    return ScanResult(scan, masks, tuple(_with_split(measures)), (*scan.notes, *notes))


def _with_split(measures: list[Measures]) -> list[Measures]:
    """Add each side's share of the cortex of both; nothing where one is missing or not given."""
    volumes = [one.cortex_ml for one in measures]
    if len(volumes) < 2 or None in volumes:
        return measures
    total = sum(volume for volume in volumes if volume is not None)
    return [replace(one, split=round((one.cortex_ml or 0.0) / total, 3)) for one in measures]
