"""What the scanner adds: slices, point spread, correlated noise, streaks and uneven brightness."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import make_interp_spline
from scipy.ndimage import gaussian_filter, gaussian_filter1d, uniform_filter1d

from kcseg.phantom.fields import smooth_field

AIR_HU, HIGHEST_HU = -1024.0, 3071.0


@dataclass(frozen=True)
class Scanner:
    """How one examination was taken and reformatted; deviations in pixels of 1 mm are (row, column)."""

    slab_mm: float  # thickness of the coronal slab
    slice_mm: float  # thickness of the axial slices the crop was reformatted from, which lie along the rows
    blur_px: tuple[float, float]  # deviation of the point spread
    noise_hu: float  # deviation of the noise
    grain_px: tuple[float, float]  # deviation of the noise's correlation
    streak_hu: float  # deviation of the streaks that thick bone leaves along the rows
    shading_hu: float  # deviation of the uneven brightness
    offset_hu: float  # calibration error


def draw_scanner(random: np.random.Generator) -> Scanner:
    """Draw an examination: two in three from slices of about a millimetre, else from slices of up to five.

    Ranges are our choice; noise and its grain span what was measured on public coronal crops.
    """
    return Scanner(
        slab_mm=random.uniform(1, 4.5),
        slice_mm=random.uniform(2, 5) if random.random() < 0.35 else 1.0,
        blur_px=(random.uniform(0.4, 0.9), random.uniform(0.4, 0.95)),
        noise_hu=float(np.clip(np.exp(random.normal(np.log(15.5), 0.4)), 5, 32)),
        grain_px=(random.uniform(0.55, 1.0), random.uniform(0.6, 1.15)),
        streak_hu=random.uniform(0, 5) + (random.uniform(4, 14) if random.random() < 0.15 else 0.0),
        shading_hu=random.uniform(0, 16),
        offset_hu=random.normal(0, 15),
    )


def scan(tissue_hu: np.ndarray, scanner: Scanner, random: np.random.Generator) -> np.ndarray:
    """Return the image of a plane of tissue, int16 HU of the same shape (height, width) at 1 mm."""
    shape = tissue_hu.shape
    image = gaussian_filter(tissue_hu, scanner.blur_px, mode="nearest")
    body = np.clip((image + 300) / 200, 0.3, 1)
    fine = _grain(random, shape, scanner.grain_px)
    wide = _grain(random, shape, (scanner.grain_px[0], 2.5 * scanner.grain_px[1]))
    level = 1 + 0.15 * smooth_field(random, shape, 60)
    image += scanner.noise_hu * body * level * (0.8 * fine + 0.6 * wide)
    image += scanner.streak_hu * body * _streaks(tissue_hu, random)
    image += scanner.shading_hu * smooth_field(random, shape, 70) * (tissue_hu > -500) + scanner.offset_hu
    if scanner.slice_mm > 1:
        image = _sliced(image, scanner.slice_mm, random)
    return np.rint(np.clip(image, AIR_HU, HIGHEST_HU)).astype(np.int16)


def _grain(
    random: np.random.Generator, shape: tuple[int, ...], deviation_px: tuple[float, float]
) -> np.ndarray:
    """Return noise of deviation 1, correlated over `deviation_px`."""
    noise = gaussian_filter(random.standard_normal(shape), deviation_px, mode="wrap")
    return noise / np.sqrt((noise**2).mean())


def _streaks(tissue_hu: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return streaks along the rows, of deviation about 1, strongest where a row crosses bone."""
    length_px = random.uniform(12, 40)
    streaks = _grain(random, tissue_hu.shape, (random.uniform(0.5, 1.0), length_px))
    bone = gaussian_filter1d((tissue_hu > 250).mean(axis=1), 3)
    return streaks * (0.6 + 0.8 * bone / max(bone.max(), 0.05))[:, np.newaxis]


def _sliced(image: np.ndarray, slice_mm: float, random: np.random.Generator) -> np.ndarray:
    """Average rows into slices and interpolate between them, as a reformat of thick slices does."""
    height = image.shape[0]
    middles = np.rint(np.arange(random.uniform(-slice_mm, 0), height + slice_mm, slice_mm)).astype(int)
    odd = 1 + 2 * round((slice_mm - 1) / 2)  # an even window would shift the image by half a pixel
    averaged = uniform_filter1d(image, odd, axis=0, mode="nearest")
    slices = averaged[np.clip(middles, 0, height - 1)]
    return make_interp_spline(middles, slices, k=1)(np.arange(height))
