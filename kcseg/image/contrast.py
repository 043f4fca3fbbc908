"""The contrast of a kidney: how much brighter its cortex is than its medulla."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

# Where contrast is measured: below the capsule, and deep inside; urine, stones and fat do not count.
_RIM_MM, _DEEP_MM = (1.5, 5.0), 6.0
_SURELY_DEEP_MM = 15.0  # a kidney as thick as twice this in the image shows medulla if it can be seen at all
_APART_MM = 1.5  # from the cortex, so that no pixel holds both
_PARENCHYMA_HU = (0.0, 300.0)
_LEAST_MEDULLA_MM2 = 40.0
# Below it cortex and medulla cannot be told apart; from phantom cases, see docs/model-card.md.
LEAST_CONTRAST_HU = 20.0


def measure_contrast(
    hu: np.ndarray, cortex: np.ndarray, kidney: np.ndarray, spacing_mm: Sequence[float]
) -> float | None:
    """Return the median HU of the cortex under the capsule minus that of the medulla, None where there is too little.

    Image and masks are one slice or a volume. The medulla is what lies deep in the kidney and was not called cortex,
    without sinus fat, urine and stones. Where all of a thick kidney was called cortex, it is all that lies deep: such
    a kidney looks alike everywhere.
    """
    smooth = gaussian_filter(hu.astype(np.float32), [0.8 / mm for mm in spacing_mm])
    depth = distance_transform_edt(kidney, sampling=spacing_mm)
    low, high = _PARENCHYMA_HU
    parenchyma = kidney & (smooth > low) & (smooth < high)
    rim = cortex & parenchyma & (depth > _RIM_MM[0]) & (depth < _RIM_MM[1])
    deep = parenchyma & (depth > _DEEP_MM)
    medulla = deep & (distance_transform_edt(~cortex, sampling=spacing_mm) > _APART_MM)
    least = _LEAST_MEDULLA_MM2 / (spacing_mm[0] * spacing_mm[1])
    if np.count_nonzero(medulla) < least and depth.max() > _SURELY_DEEP_MM:
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
