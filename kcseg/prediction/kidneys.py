"""The kidneys in one segmented image: which there are, what of them is cortex, and whether that can be told."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, binary_fill_holes, label

from kcseg.config import PAPER
from kcseg.image.contrast import contrast_doubts, looks_alike, measure_contrast
from kcseg.image.grid import Spacing
from kcseg.scan.locate import BONE_HU, LEAST_SURE, SURE
from kcseg.serving.runner import Segmentation

# Our choice, in what a coronal slice through an adult's kidney shows.
_LEAST_KIDNEY_MM2, _LARGEST_KIDNEY_MM2 = 300.0, 12000.0
_WHOLE_BODY_MM = 250.0  # an image as wide as this shows both sides, so that it has a middle
_BODY_HU = -300.0


@dataclass(frozen=True, eq=False)
class FoundKidney:
    """A kidney on the grid of its image.

    Masks are bool (height, width): `kidney` all within the capsule, `cortex` what of it the members call cortex.
    `side` is the patient's right or left, empty where the image does not show which.
    """

    kidney: np.ndarray
    cortex: np.ndarray
    side: str
    contrast_hu: float | None  # cortex minus medulla; None where too little medulla is seen
    is_cut: bool  # by the edge of the image

    @property
    def looks_alike(self) -> bool:
        """Whether cortex and medulla are too alike to be told apart."""
        return looks_alike(self.contrast_hu)


def find_kidneys(hu: np.ndarray, found: Segmentation, spacing_mm: Spacing) -> list[FoundKidney]:
    """Return the kidneys of a raw segmentation, the patient's right one first; both are (height, width).

    Each is a component of what the members call kidney, with its holes: in a crop the one they are surest of, in an
    image of the whole body that of each side. Parts that cannot be a kidney are passed over.
    """
    share = found.kidney_probability
    assert share is not None
    pixel_mm2 = spacing_mm[0] * spacing_mm[1]
    parts, count = label(share > PAPER.ensemble.mask_threshold, np.ones((3, 3)))
    middle = _middle(hu, spacing_mm)
    best: dict[str, tuple[float, np.ndarray]] = {}
    # of a kidney the members are sure nearly everywhere, and of what in it is cortex; of a spleen or a vessel, less so
    for number in range(1, count + 1):
        part = parts == number
        sure = float((share[part] > SURE).mean())
        decided = float(np.abs(2 * found.probability[part] - 1).mean())
        score = (sure * decided) ** 2 * np.count_nonzero(part)
        side = "" if middle is None else "right" if _column(part) < middle else "left"
        if sure < LEAST_SURE or not _may_be_kidney(hu, part, pixel_mm2):
            continue
        if side not in best or score > best[side][0]:
            best[side] = score, binary_fill_holes(part)
    return [
        _describe(hu, found.mask, share, best[side][1], side, spacing_mm)
        for side in ("", "right", "left")
        if side in best
    ]


def _describe(
    hu: np.ndarray, mask: np.ndarray, share: np.ndarray, kidney: np.ndarray, side: str, spacing_mm: Spacing
) -> FoundKidney:
    cortex = mask & binary_dilation(kidney)
    # where the outline strays into liver or spleen, their HU are none of the kidney's
    sure = binary_fill_holes(kidney & (share > SURE))
    edges = (kidney[0], kidney[-1], kidney[:, 0], kidney[:, -1])
    return FoundKidney(
        kidney=kidney | cortex,
        cortex=cortex,
        side=side,
        contrast_hu=measure_contrast(hu, cortex & sure, sure, spacing_mm),
        is_cut=any(edge.any() for edge in edges),
    )


def _may_be_kidney(hu: np.ndarray, kidney: np.ndarray, pixel_mm2: float) -> bool:
    area = np.count_nonzero(kidney) * pixel_mm2
    return bool(_LEAST_KIDNEY_MM2 <= area <= _LARGEST_KIDNEY_MM2 and np.median(hu[kidney]) < BONE_HU)


def _middle(hu: np.ndarray, spacing_mm: Spacing) -> float | None:
    """Return the column of the body's middle; None where the image is too narrow to show both sides."""
    if hu.shape[1] * spacing_mm[1] < _WHOLE_BODY_MM:
        return None
    columns = np.flatnonzero(np.median(hu > _BODY_HU, axis=0))
    return float(columns.mean()) if len(columns) else None


def _column(mask: np.ndarray) -> float:
    return float(np.flatnonzero(mask.any(axis=0)).mean())


def doubts_of(kidney: FoundKidney) -> Iterator[str]:
    """Yield what a person should know of a kidney, a few words each."""
    yield from contrast_doubts(kidney.contrast_hu)
    if kidney.is_cut:
        yield "kidney cut by the edge"
