"""One simulated case: a coronal CT crop in HU and the exact mask of its renal cortex."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from skimage.measure import label

from kcseg.phantom.anatomy import Kidney
from kcseg.phantom.contrast import contrast_at, draw_phase
from kcseg.phantom.fields import Waves
from kcseg.phantom.growth import grow_kidney
from kcseg.phantom.lesions import draw_lesions
from kcseg.phantom.scanner import draw_scanner, scan
from kcseg.phantom.section import Organ, render
from kcseg.phantom.shapes import Planes
from kcseg.phantom.surroundings import paint_surroundings
from kcseg.phantom.vessels import grow_tubes

SIZE_PX = 192
# Our choice: three cuts in ten pass beside the hilum, as a fraction of the kidney's half depth.
OFF_CENTRE_RATE = 0.3
_SMALLEST_PART_PX = 12


@dataclass(frozen=True, eq=False)
class Case:
    """A simulated crop with what is known of it.

    Arrays are (192, 192) at 1 mm, row 0 = head, column 0 = patient's right; masks are bool, on the slab's middle plane.
    """

    hu: np.ndarray  # int16, the image in HU
    truth: np.ndarray  # the exact cortex: rim and columns, without pyramids, sinus, vessels and cysts
    medulla: np.ndarray  # the pyramids
    vessels: np.ndarray  # those within the capsule, which an annotator may or may not include
    kidney: np.ndarray  # all within the capsule
    facts: dict[str, Any]  # anatomy and examination in JSON-ready values


def draw_case(random: np.random.Generator) -> Case:
    """Draw one case; the same generator state gives the same bytes (anatomy and ranges: our choice)."""
    kidney, right = grow_kidney(random), bool(random.random() < 0.5)
    off_centre = bool(random.random() < OFF_CENTRE_RATE)
    phase = draw_phase(random)
    scanner = draw_scanner(random)
    organ = Organ(
        kidney=kidney,
        tubes=grow_tubes(kidney, random),
        lesions=draw_lesions(kidney, random),
        contrast=contrast_at(phase, random),
        border_mm=random.uniform(1.5, 4),
        mottling=Waves.draw(random, 9),
        haze=random.uniform(0.05, 0.7),
    )
    centre = SIZE_PX / 2 - 0.5 + np.clip(random.normal(0, 5, 2), -11, 11)
    rows_mm, columns_mm = np.arange(SIZE_PX, dtype=np.float64) - centre[:, None]
    grid = Planes(rows_mm, columns_mm, np.array([_depth(kidney, off_centre, random)]))
    solid = kidney.depth(grid)[0]
    surroundings = paint_surroundings(solid, right=right, contrast=organ.contrast, random=random)
    tissue, masks = render(organ, grid, solid, scanner.slab_mm, surroundings)
    facts = {
        "side": "right" if right else "left",
        "phase": round(phase, 3),
        "off_centre": off_centre,
        "depth_mm": round(float(grid.depths_mm[0]), 1),
        "length_mm": round(2 * float(kidney.half_axes_mm[0]), 1),
        "cortex_mm": round(kidney.cortex_mm, 1),
        "lesions": [lesion.name for lesion in organ.lesions],
        "cortex_hu": round(organ.contrast.cortex + scanner.offset_hu, 1),
        "medulla_hu": round(organ.contrast.medulla + scanner.offset_hu, 1),
        "slab_mm": round(scanner.slab_mm, 1),
        "slice_mm": round(scanner.slice_mm, 1),
        "noise_hu": round(scanner.noise_hu, 1),
    }
    image = scan(tissue, scanner, random)
    if not right:
        image, masks = (np.ascontiguousarray(pixels[..., ::-1]) for pixels in (image, masks))
    cortex, medulla, vessels, within = masks
    return Case(image, _without_specks(cortex), medulla, vessels, within, facts)


def _depth(kidney: Kidney, off_centre: bool, random: np.random.Generator) -> float:
    """Draw how far before or behind the kidney's centre the slab lies, in mm."""
    half_depth = float(np.sqrt(((kidney.axes[:, 2] * kidney.half_axes_mm) ** 2).sum()))
    share = random.choice([-1, 1]) * random.uniform(0.35, 0.75) if off_centre else random.normal(0, 0.1)
    return half_depth * float(share)


def _without_specks(cortex: np.ndarray) -> np.ndarray:
    """Drop specks of cortex that nobody would outline."""
    parts = label(cortex, connectivity=2)
    return cortex & (np.bincount(parts.ravel()) >= _SMALLEST_PART_PX)[parts]
