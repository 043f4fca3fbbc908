"""One simulated case: a coronal CT image in HU, a crop or a whole slice, and the exact mask of its renal cortex."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from skimage.measure import label

from kcseg.phantom.anatomy import Kidney
from kcseg.phantom.body import Body, PlacedKidney, build_body
from kcseg.phantom.contrast import Contrast, contrast_at, draw_any_phase, draw_phase, vary_organs
from kcseg.phantom.fields import Waves
from kcseg.phantom.growth import grow_kidney
from kcseg.phantom.lesions import draw_lesions
from kcseg.phantom.scanner import Scanner, draw_scanner, scan
from kcseg.phantom.section import Organ, render
from kcseg.phantom.shapes import Planes
from kcseg.phantom.surroundings import paint_surroundings
from kcseg.phantom.trunk import draw_trunk
from kcseg.phantom.vessels import grow_tubes

SIZE_PX = 192
# Our choice: three cuts in ten pass beside the hilum, as a fraction of the kidney's half depth.
OFF_CENTRE_RATE = 0.3
# Of wide cases, those that are whole slices; and of these, those of any depth instead of through the kidneys.
_SLICE_RATE, _ANYWHERE_RATE = 0.65, 0.4
_ABSENT_RATE = 0.04  # of kidneys
_SMALLEST_PART_PX = 12


@dataclass(frozen=True, eq=False)
class Case:
    """A simulated image with what is known of it.

    Arrays are (height, width) at 1 mm, (192, 192) of a crop, row 0 = head, column 0 = patient's right; masks are bool,
    on the slab's middle plane.
    """

    hu: np.ndarray  # int16, the image in HU
    truth: np.ndarray  # the exact cortex: rim and columns, without pyramids, sinus, vessels and cysts
    medulla: np.ndarray  # the pyramids
    vessels: np.ndarray  # those within the capsule, which an annotator may or may not include
    kidney: np.ndarray  # all within the capsule
    facts: dict[str, Any]  # anatomy and examination in JSON-ready values


def draw_wide_case(random: np.random.Generator) -> Case:
    """Draw a crop or a whole coronal slice of any phase; the same generator state gives the same bytes."""
    return draw_slice(random) if random.random() < _SLICE_RATE else draw_case(random, any_phase=True)


def draw_case(random: np.random.Generator, *, any_phase: bool = False) -> Case:
    """Draw one crop; the same generator state gives the same bytes (anatomy and ranges: our choice)."""
    kidney, right = grow_kidney(random), bool(random.random() < 0.5)
    off_centre = bool(random.random() < OFF_CENTRE_RATE)
    phase, dose = draw_any_phase(random) if any_phase else (draw_phase(random), None)
    scanner = draw_scanner(random)
    organ = Organ(
        kidney=kidney,
        tubes=grow_tubes(kidney, random),
        lesions=draw_lesions(kidney, random),
        contrast=contrast_at(phase, random, dose),
        **_parenchyma(random),
        urine_hu=_urine(phase, dose, random) if any_phase else 8.0,
    )
    centre = SIZE_PX / 2 - 0.5 + np.clip(random.normal(0, 5, 2), -11, 11)
    rows_mm, columns_mm = np.arange(SIZE_PX, dtype=np.float64) - centre[:, None]
    grid = Planes(rows_mm, columns_mm, np.array([_depth(kidney, off_centre, random)]))
    solid = kidney.depth(grid)[0]
    surroundings = paint_surroundings(solid, right=right, contrast=organ.contrast, random=random)
    tissue, masks = render(organ, grid, solid, scanner.slab_mm, surroundings)
    facts = {
        "side": "right" if right else "left",
        "off_centre": off_centre,
        "depth_mm": round(float(grid.depths_mm[0]), 1),
        "length_mm": round(2 * float(kidney.half_axes_mm[0]), 1),
        "cortex_mm": round(kidney.cortex_mm, 1),
        "lesions": [lesion.name for lesion in organ.lesions],
        **_examination(phase, organ.contrast, scanner),
    }
    image = scan(tissue, scanner, random)
    if not right:
        image, masks = (np.ascontiguousarray(pixels[..., ::-1]) for pixels in (image, masks))
    cortex, medulla, vessels, within = masks
    return Case(image, _without_specks(cortex), medulla, vessels, within, facts)


def draw_slice(random: np.random.Generator) -> Case:
    """Draw a whole coronal slice of a body, at any depth, of any phase (anatomy and ranges: our choice)."""
    body, phase, scanner = draw_patient(random)
    if body.kidneys and random.random() > _ANYWHERE_RATE:
        depth = float(body.kidneys[random.integers(len(body.kidneys))].centre_mm[2]) + random.normal(0, 9)
    else:
        depth = random.uniform(-85, 105)
    beside = body.trunk.half_width_mm + random.uniform(-10, 60)
    slab = body.cut(
        np.arange(-random.uniform(100, 230), random.uniform(100, 320)),
        np.arange(-beside, beside + random.uniform(-40, 40)),
        depth,
        scanner.slab_mm,
    )
    facts = {
        "kidneys": [kidney.side for kidney in body.kidneys],
        "depth_mm": round(depth, 1),
        **_examination(phase, body.contrast, scanner),
    }
    cortex, medulla, vessels, within = slab.masks
    return Case(scan(slab.hu, scanner, random), _without_specks(cortex), medulla, vessels, within, facts)


def draw_patient(
    random: np.random.Generator, absent_rate: float = _ABSENT_RATE
) -> tuple[Body, float, Scanner]:
    """Draw a body at any phase, that phase, and a scanner."""
    phase, dose = draw_any_phase(random)
    contrast, scanner, trunk = contrast_at(phase, random, dose), draw_scanner(random), draw_trunk(random)
    urine_hu = _urine(phase, dose, random)
    kidneys = tuple(
        _place(side, contrast, urine_hu, random)
        for side in ("right", "left")
        if random.random() > absent_rate
    )
    return build_body(trunk, kidneys, vary_organs(contrast, random), random), phase, scanner


def _place(side: str, contrast: Contrast, urine_hu: float, random: np.random.Generator) -> PlacedKidney:
    """Grow a kidney where it usually lies: the right one a little lower."""
    kidney = grow_kidney(random)
    outward = -1 if side == "right" else 1
    centre = (random.normal(-6 * outward, 15), outward * random.uniform(58, 74), random.normal(-8, 7))
    organ = Organ(
        kidney=kidney,
        tubes=grow_tubes(kidney, random),
        lesions=draw_lesions(kidney, random),
        contrast=contrast,
        **_parenchyma(random),
        urine_hu=urine_hu,
    )
    return PlacedKidney(organ, side, np.array(centre))


def _parenchyma(random: np.random.Generator) -> dict[str, Any]:
    return {
        "border_mm": random.uniform(1.5, 4),
        "mottling": Waves.draw(random, 9),
        "haze": random.uniform(0.05, 0.7),
    }


def _urine(phase: float, dose: float | None, random: np.random.Generator) -> float:
    """Return the HU in the collecting system, which the contrast medium reaches after the nephrographic phase."""
    bright = random.uniform(50, 900)
    return bright if phase > 1.15 and dose is None else 8.0


def _examination(phase: float, contrast: Contrast, scanner: Scanner) -> dict[str, Any]:
    return {
        "phase": round(phase, 3),
        "cortex_hu": round(contrast.cortex + scanner.offset_hu, 1),
        "medulla_hu": round(contrast.medulla + scanner.offset_hu, 1),
        "slab_mm": round(scanner.slab_mm, 1),
        "slice_mm": round(scanner.slice_mm, 1),
        "noise_hu": round(scanner.noise_hu, 1),
    }


def _depth(kidney: Kidney, off_centre: bool, random: np.random.Generator) -> float:
    """Draw how far before or behind the kidney's centre the slab lies, in mm."""
    half_depth = float(np.sqrt(((kidney.axes[:, 2] * kidney.half_axes_mm) ** 2).sum()))
    share = random.choice([-1, 1]) * random.uniform(0.35, 0.75) if off_centre else random.normal(0, 0.1)
    return half_depth * float(share)


def _without_specks(cortex: np.ndarray) -> np.ndarray:
    """Drop specks of cortex that nobody would outline."""
    parts = label(cortex, connectivity=2)
    return cortex & (np.bincount(parts.ravel()) >= _SMALLEST_PART_PX)[parts]
