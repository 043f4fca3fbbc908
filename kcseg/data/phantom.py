"""One simulated case: a coronal CT crop in HU around one kidney, and the exact mask of its cortex."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from kcseg.data.anatomy import Kidney, Points, Tissue, draw_kidney
from kcseg.data.canvas import Canvas, smooth_noise
from kcseg.data.enhancement import Enhancement, draw_enhancement
from kcseg.data.surroundings import paint_surroundings

SIZE_PX = 192
_FINE = 2  # everything is painted at half a millimetre, so that edges become partial volume
_SLAB_PLANES = 3


@dataclass(frozen=True, eq=False)
class Case:
    """A simulated case; arrays are (192, 192) at 1 mm, row 0 = head, column 0 = patient's right.

    Attributes:
        hu: int16, the image in HU.
        truth: bool, the exact cortex on the central plane: rim and columns.
        medulla: bool, the pyramids.
        vessels: bool, the vessels inside the kidney, which an annotator may or may not include.
        side: "right" or "left".
        phase: from 0, early arterial, to 1, nephrographic.
        off_centre_mm: distance of the plane from the middle of the kidney.
    """

    hu: np.ndarray
    truth: np.ndarray
    medulla: np.ndarray
    vessels: np.ndarray
    side: str
    phase: float
    off_centre_mm: float


@dataclass(frozen=True, eq=False)
class View:
    """How the crop cuts the kidney: position, tilt, rotation about its long axis, and the slab around the plane."""

    centre: np.ndarray
    tilt: float
    rotation: float
    off_centre_mm: float
    slab_mm: float

    def points(self, down: np.ndarray, medial: np.ndarray, depth_mm: np.ndarray) -> Points:
        """Return the kidney's own coordinates u, v, w of pixels on a plane `depth_mm` from its middle."""
        down, medial = down - self.centre[0], medial - self.centre[1]
        u = down * np.cos(self.tilt) - medial * np.sin(self.tilt)  # the upper pole leans to the spine
        across = medial * np.cos(self.tilt) + down * np.sin(self.tilt)
        v = across * np.cos(self.rotation) + depth_mm * np.sin(self.rotation)
        w = depth_mm * np.cos(self.rotation) - across * np.sin(self.rotation)
        return u, v, w


def draw_case(random: np.random.Generator) -> Case:
    """Draw anatomy, contrast phase, plane and noise, and paint them; float64 throughout, rounded at the end."""
    kidney, enhancement = draw_kidney(random), draw_enhancement(random)
    view = _draw_view(random, kidney)
    canvas = _canvas(random)
    central, slab = _sections(canvas, kidney, view)
    outside_mm = distance_transform_edt(central == Tissue.OUTSIDE) * canvas.pixel_mm
    outside_mm -= distance_transform_edt(central != Tissue.OUTSIDE) * canvas.pixel_mm
    paint_surroundings(canvas, outside_mm, enhancement)
    hu = _acquire(random, np.mean([_with_kidney(canvas, section, enhancement) for section in slab], axis=0))
    truth, medulla, vessels = (
        _shrink(central == tissue) >= 0.5 for tissue in (Tissue.CORTEX, Tissue.MEDULLA, Tissue.VESSEL)
    )
    side = "left" if random.random() < 0.5 else "right"
    if side == "left":
        hu, truth, medulla, vessels = (
            np.ascontiguousarray(array[:, ::-1]) for array in (hu, truth, medulla, vessels)
        )
    return Case(hu, truth, medulla, vessels, side, enhancement.phase, view.off_centre_mm)


def _draw_view(random: np.random.Generator, kidney: Kidney) -> View:
    reach = 0.55 * kidney.half_axes[2]
    return View(
        centre=random.normal(0, 6, 2),
        tilt=np.deg2rad(random.uniform(0, 25)),
        rotation=np.deg2rad(random.uniform(5, 40)),
        off_centre_mm=float(np.clip(random.normal(0, 0.5 * reach), -reach, reach)),
        slab_mm=random.uniform(1, 5),
    )


def _canvas(random: np.random.Generator) -> Canvas:
    axis = (np.arange(SIZE_PX * _FINE) + 0.5) / _FINE - SIZE_PX / 2
    down, medial = np.meshgrid(axis, axis, indexing="ij")
    return Canvas(np.zeros(down.shape), down, medial, 1 / _FINE, random)


def _sections(canvas: Canvas, kidney: Kidney, view: View) -> tuple[np.ndarray, list[np.ndarray]]:
    """Cut the central plane and those of the slab; one warp for all makes their outlines as irregular as real ones."""
    down = canvas.down + 1.5 * canvas.field(24) + 0.5 * canvas.field(6)
    medial = canvas.medial + 1.5 * canvas.field(24) + 0.5 * canvas.field(6)
    thickness = view.slab_mm / _SLAB_PLANES
    depths = view.off_centre_mm + thickness * (np.arange(_SLAB_PLANES) - (_SLAB_PLANES - 1) / 2)
    # each pixel looks somewhere within its plane's share of the slab, or edges would show as steps
    jitter = thickness * (canvas.random.random(down.shape) - 0.5)
    central = kidney.section(view.points(down, medial, np.full(down.shape, view.off_centre_mm)))
    return central, [kidney.section(view.points(down, medial, depth + jitter)) for depth in depths]


def _with_kidney(canvas: Canvas, section: np.ndarray, enhancement: Enhancement) -> np.ndarray:
    """Paint one plane of the kidney over its surroundings."""
    layer = Canvas(canvas.hu.copy(), canvas.down, canvas.medial, canvas.pixel_mm, canvas.random)
    layer.paint(section == Tissue.CORTEX, enhancement.cortex, 5, 6)
    layer.paint(section == Tissue.MEDULLA, enhancement.medulla, 6, 5)
    layer.paint(section == Tissue.SINUS_FAT, -85, 18, 4)
    layer.paint(section == Tissue.URINE, 12, 5, 4)
    layer.paint(section == Tissue.VESSEL, 0.5 * (enhancement.blood + enhancement.vein), 10, 8)
    layer.paint(section == Tissue.CYST, 10)
    layer.paint(section == Tissue.STONE, 900)
    return layer.hu


def _acquire(random: np.random.Generator, hu: np.ndarray) -> np.ndarray:
    """Blur as a scanner does, add its noise, which is correlated and streaks sideways, and round to int16."""
    blurred = gaussian_filter(_shrink(hu), random.uniform(0.45, 1.0, 2))
    grain = gaussian_filter(
        random.standard_normal(blurred.shape), (random.uniform(0.4, 0.8), random.uniform(0.6, 1.4))
    )
    streaks = gaussian_filter(
        random.standard_normal(blurred.shape), (random.uniform(0.4, 0.8), random.uniform(8, 25))
    )
    share = random.uniform(0.1, 0.6)
    noise = grain / grain.std() * np.sqrt(1 - share**2) + streaks / streaks.std() * share
    strength = random.uniform(7, 22) * (1 + 0.15 * smooth_noise(random, blurred.shape, 60))
    return np.rint(np.clip(blurred + strength * noise, -1024, 3071)).astype(np.int16)


def _shrink(fine: np.ndarray) -> np.ndarray:
    """Average blocks of fine pixels to 1 mm, float64 (192, 192)."""
    return fine.astype(float).reshape(SIZE_PX, _FINE, SIZE_PX, _FINE).mean(axis=(1, 3))
