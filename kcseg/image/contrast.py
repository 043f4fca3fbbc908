"""The contrast of a kidney: how much brighter its cortex is than its medulla."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

# Where contrast is measured (our choice): in the cortex below the capsule, and deeper, away from fat, urine and stones.
# In 268 simulated kidneys with exact masks, what is measured there follows the true contrast (r 0.99, slope 0.83).
_RIM_MM, _DEEP_MM = (2.5, 9.0), (6.0, 16.0)
_WITHIN_MM = 1.5  # the cortex, so that no pixel holds fat or medulla
_SURELY_DEEP_MM = 15.0  # a kidney as thick as twice this in the image shows medulla if it can be seen at all
_APART_MM = 2.0  # from the cortex
_FAT_HU, _URINE_HU, _FROM_FAT_MM, _SINUS_MM = 0.0, 300.0, 2.5, 5.0  # a sinus lies as deep as the last
_LEAST_MM2 = 40.0
_LEAST_SHARE = 0.12  # of the deep parts that is medulla where it can be seen
# Below it cortex and medulla cannot be told apart (our choice). In the same kidneys it is on the right side of 99.6 % of
# those whose true contrast is below 12 HU or above 30.
LEAST_CONTRAST_HU = 20.0


def measure_contrast(
    hu: np.ndarray, cortex: np.ndarray, kidney: np.ndarray, spacing_mm: Sequence[float]
) -> float | None:
    """Return the median HU of the cortex under the capsule minus that of the medulla, None where there is too little.

    Image and masks are one slice or a volume. The medulla is what lies deep in the kidney and was not called cortex,
    away from sinus fat, urine and stones. Where nearly all of a thick kidney was called cortex, it is all that lies
    deep: such a kidney looks alike everywhere.
    """
    smooth = gaussian_filter(hu.astype(np.float32), [0.8 / mm for mm in spacing_mm])

    def away(mask: np.ndarray) -> np.ndarray:
        return distance_transform_edt(~mask, sampling=spacing_mm)

    depth = away(~kidney)
    sinus = (depth > _SINUS_MM) & ((smooth < _FAT_HU) | (smooth > _URINE_HU))
    tissue = kidney & (away(sinus) > _FROM_FAT_MM if sinus.any() else True)
    rim = tissue & (depth > _RIM_MM[0]) & (depth < _RIM_MM[1]) & (away(~cortex) > _WITHIN_MM)
    deep = tissue & (depth > _DEEP_MM[0]) & (depth < _DEEP_MM[1])
    medulla = deep & (away(cortex) > _APART_MM)
    least = _LEAST_MM2 / (spacing_mm[0] * spacing_mm[1])
    if np.count_nonzero(medulla) < max(least, _LEAST_SHARE * np.count_nonzero(deep)):
        if depth.max() < _SURELY_DEEP_MM:
            return None
        medulla = deep
    if min(np.count_nonzero(medulla), np.count_nonzero(rim)) < least:
        return None
    return float(np.median(smooth[rim]) - np.median(smooth[medulla]))


def looks_alike(contrast_hu: float | None) -> bool:
    """Whether cortex and medulla are too alike to be told apart."""
    return contrast_hu is not None and contrast_hu < LEAST_CONTRAST_HU


def contrast_doubts(contrast_hu: float | None) -> Iterator[str]:
    """Yield what a person should know of a kidney's contrast, a few words."""
    if contrast_hu is None:
        yield "too little medulla in view to measure contrast"
    elif looks_alike(contrast_hu):
        yield f"cortex and medulla look alike ({contrast_hu:.0f} HU): late phase or no contrast"
