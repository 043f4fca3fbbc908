"""What a person should look at in images and masks that can be read, but may not be what they should."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from scipy.ndimage import distance_transform_edt

from kcseg.files import sha256
from kcseg.image.image import Image, Mask, Spacing

# Our choice: what a coronal CT through a kidney and its cortex hardly shows.
SCALED_RANGE = 50.0
PICTURE_RANGE = 255.0
LEAST_FAT_HU = -50.0
TISSUE_HU = (-200.0, 300.0)
LEAST_TISSUE = 0.05
AREA_FACTOR = 3.0
THICKNESS_MM = 40.0


def image_doubts(image: Image) -> tuple[str, ...]:
    """Return what a person should know of an image, a few words each: its reader's notes, and values unlike HU."""
    return (*image.notes, *_value_doubts(image.hu))


def _value_doubts(hu: np.ndarray) -> Iterator[str]:
    low, high = float(hu.min()), float(hu.max())
    got = f"values {low:g} to {high:g}"
    tissue = (hu >= TISSUE_HU[0]) & (hu <= TISSUE_HU[1])
    if high - low < SCALED_RANGE:
        yield f"{got}: scaled, not HU"
    elif high - low <= PICTURE_RANGE:
        yield f"{got}: a picture, not HU"
    elif np.quantile(hu, 0.001) > LEAST_FAT_HU:  # a few pixels may be streaks or padding
        yield f"{got}: neither fat nor air; is an offset such as -1024 missing?"
    elif tissue.mean() < LEAST_TISSUE:
        yield f"{got}: hardly any soft tissue ({TISSUE_HU[0]:g} to {TISSUE_HU[1]:g} HU); is the offset wrong?"


@dataclass(frozen=True)
class Outline:
    """What is kept of a mask."""

    path: Path
    area_mm2: float
    thickness_mm: float  # diameter of the largest circle inside
    mean_hu: float | None  # of the image inside; None where the mask is empty


@dataclass(frozen=True)
class Case:
    """What is kept of an image, so that a folder of any size can be looked through."""

    path: Path
    digest: str  # SHA-256 of the HU
    size_px: tuple[int, int]  # height and width
    spacing_mm: Spacing  # height and width of a pixel to 0.01 mm; 1 where not stated
    hu_range: tuple[float, float]  # lowest and highest value
    doubts: tuple[str, ...]  # what `image_doubts` says of it
    outline: Outline | None  # of its mask
    has_truth: bool  # whether an exact mask lies beside it


def measure_case(path: Path, image: Image, outline: Outline | None, *, has_truth: bool = False) -> Case:
    """Return what `Case` keeps of an image."""
    height_mm, width_mm = image.grid.pixel_mm
    height, width = image.hu.shape
    return Case(
        path=path,
        digest=sha256(image.hu.tobytes()),
        size_px=(height, width),
        spacing_mm=(round(height_mm, 2), round(width_mm, 2)),
        hu_range=(float(image.hu.min()), float(image.hu.max())),
        doubts=image_doubts(image),
        outline=outline,
        has_truth=has_truth,
    )


def measure_outline(path: Path, image: Image, mask: Mask) -> Outline:
    """Return what `Outline` keeps of a mask on the grid of its image."""
    spacing_mm = mask.grid.pixel_mm
    # the border counts as an edge, or a mask that fills the image would have none
    depth_mm = distance_transform_edt(np.pad(mask.pixels, 1), sampling=spacing_mm)
    return Outline(
        path=path,
        area_mm2=float(mask.pixels.sum() * spacing_mm[0] * spacing_mm[1]),
        thickness_mm=2 * float(depth_mm.max()),
        mean_hu=float(image.hu[mask.pixels].mean()) if mask.pixels.any() else None,
    )


def mask_doubts(cases: Iterable[Case]) -> Iterator[str]:
    """Yield a sentence for each mask that is empty, far from the others in size, too thick, or on no tissue."""
    outlines = [case.outline for case in cases if case.outline]
    areas = [outline.area_mm2 for outline in outlines if outline.area_mm2]
    usual = median(areas) if areas else 0.0
    for outline in outlines:
        area = outline.area_mm2
        if outline.mean_hu is None:
            yield f"{outline.path} is empty; look whether the image shows no cortex"
        elif not usual / AREA_FACTOR <= area <= usual * AREA_FACTOR:
            yield f"{outline.path} covers {area:.0f} mm², far from the batch's median {usual:.0f}; look at it"
        if outline.thickness_mm > THICKNESS_MM:
            yield f"{outline.path} is {outline.thickness_mm:.0f} mm thick; look whether it holds more than cortex"
        if outline.mean_hu is not None and outline.mean_hu < 0:
            yield f"{outline.path} lies on {outline.mean_hu:.0f} HU; look whether it is flipped or shifted"


def repetitions(cases: Iterable[Case]) -> Iterator[str]:
    """Yield a sentence for each image that is there more than once, in one batch or in several."""
    paths = defaultdict(list)
    for case in cases:
        paths[case.digest].append(str(case.path))
    for same in paths.values():
        if len(same) > 1:
            yield f"{', '.join(same)} are the same image; keep one"
