"""The annotator: draws the truth with the faults the challenge's references had."""

from dataclasses import dataclass, fields

import numpy as np
from scipy.ndimage import binary_closing, binary_dilation, distance_transform_edt
from skimage.morphology import disk

from kcseg.phantom.fields import smooth_field, window_around


@dataclass(frozen=True)
class FaultRates:
    """How often and how far references err. The paper lists the kinds; rates and sizes are our choice.

    They are set so that reference against truth averages Dice 0.90 to 0.93. All but the first are shares of references.
    """

    rim_px: float = 1.15  # deviation by which every outline strays, without pixels of the edge or with more
    vessels_included: float = 0.4  # which count the vessels inside the kidney as cortex
    columns_merged: float = 0.45  # in which columns are drawn as one cluster
    sheets_joined: float = 0.25  # in which facing sheets of cortex are drawn so wide that they join
    far_too_wide: float = 0.03  # which are plainly wrong


FAULTS = tuple(field.name for field in fields(FaultRates) if field.name != "rim_px")


def annotate(
    truth: np.ndarray, vessels: np.ndarray, random: np.random.Generator, rates: FaultRates | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Draw a reference mask as a person might, and name the faults planted beyond the straying rim.

    Args:
        truth: bool (height, width), the exact cortex; left as it is.
        vessels: bool (height, width), vessels inside the kidney.
        random: where every draw comes from.
        rates: how often and how far the faults go.

    Returns:
        The reference, bool (height, width), and the names of `FaultRates` for the faults that changed it.
    """
    rates = rates or FaultRates()
    reference = _stray(truth, rates.rim_px, random)
    planted = []
    faults = {
        "vessels_included": lambda mask: mask | vessels,
        "columns_merged": lambda mask: _close_nearby(mask, random, radius_px=(3, 5), extent_px=24),
        "sheets_joined": lambda mask: _close_nearby(mask, random, radius_px=(7, 10), extent_px=18),
        "far_too_wide": lambda mask: binary_dilation(mask, disk(int(random.integers(3, 6)))),
    }
    for name, fault in faults.items():
        if random.random() < getattr(rates, name) and reference.any():
            before, reference = reference, fault(reference)
            if (reference != before).any():
                planted.append(name)
    return reference, tuple(planted)


def _stray(truth: np.ndarray, deviation_px: float, random: np.random.Generator) -> np.ndarray:
    """Move the outline in and out along its length, and all of it a little in or out."""
    moved_px = deviation_px * (smooth_field(random, truth.shape, 5) + 0.4 * random.standard_normal())
    if not truth.any():
        return truth
    return distance_transform_edt(truth) - distance_transform_edt(~truth) + moved_px > 0


def _close_nearby(
    mask: np.ndarray, random: np.random.Generator, *, radius_px: tuple[int, int], extent_px: float
) -> np.ndarray:
    """Fill what lies between neighbouring parts of the mask, around one of its pixels."""
    centre = random.choice(np.argwhere(mask))
    radius = int(random.integers(*radius_px, endpoint=True))
    window = window_around([centre], extent_px + 2 * radius)  # beyond, nothing counts
    closed = binary_closing(mask[window], disk(radius))
    row, column = (np.arange(size)[part] for size, part in zip(mask.shape, window, strict=True))
    nearby = np.hypot((row - centre[0])[:, None], column - centre[1]) < extent_px
    joined = mask.copy()
    joined[window] |= closed & nearby
    return joined
