"""How like real CT the simulated images are: noise, its grain and spectrum, and the HU they hold."""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter

_PATCH_PX = 32
_CENTRE_MM, _AROUND_MM = 30, 60


def noise(image_hu: np.ndarray) -> dict[str, float]:
    """Measure level and grain of the noise of an image in HU (height, width), at least 48 × 48 (our choice of method).

    Detail finer than 4 px is taken as noise on the third of the soft tissue whose slope is least. The grain is the
    correlation between pixels 1 or 2 px apart.
    """
    image = image_hu.astype(float)
    smooth = gaussian_filter(image, 2.5)
    slope = np.hypot(*np.gradient(gaussian_filter(image, 2)))
    tissue = (smooth > -150) & (smooth < 250)
    flat = tissue & (slope <= np.percentile(slope[tissue], 33)) if tissue.any() else np.ones_like(tissue)
    detail = image - gaussian_filter(image, 4)

    def correlation(down: int, right: int) -> float:
        height, width = image.shape
        here = np.s_[: height - down, : width - right]
        both = flat[here] & flat[down:, right:]
        return float(np.corrcoef(detail[here][both], detail[down:, right:][both])[0, 1])

    return {
        "level_hu": float(detail[flat].std()),
        "along_rows_1_px": correlation(0, 1),
        "along_rows_2_px": correlation(0, 2),
        "down_columns_1_px": correlation(1, 0),
        "down_columns_2_px": correlation(2, 0),
    }


def noise_range(images_hu: Sequence[np.ndarray]) -> dict[str, tuple[float, float, float]]:
    """Return the 10th, 50th and 90th percentile over images of each value of `noise`, by name."""
    found = [noise(image) for image in images_hu]
    return {name: tuple(np.percentile([one[name] for one in found], (10, 50, 90))) for name in found[0]}


def noise_spectrum(images_hu: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return frequencies in cycles per pixel and the share of the noise power at each, both (16,).

    Taken from the flattest patch of 32 × 32 of each image, freed of its slope, Hann-weighted.
    """
    weight = np.outer(np.hanning(_PATCH_PX), np.hanning(_PATCH_PX))
    power = np.mean(
        [np.abs(np.fft.fft2(_flattest_patch(image) * weight)) ** 2 for image in images_hu], axis=0
    )
    axis = np.fft.fftfreq(_PATCH_PX)
    ring = np.rint(np.hypot(*np.meshgrid(axis, axis)) * _PATCH_PX).astype(int).ravel()
    mean = np.bincount(ring, power.ravel()) / np.bincount(ring)
    mean = mean[1 : _PATCH_PX // 2 + 1]
    return np.arange(1, _PATCH_PX // 2 + 1) / _PATCH_PX, mean / mean.sum()


def _flattest_patch(image_hu: np.ndarray) -> np.ndarray:
    image = image_hu.astype(float)
    slope = np.hypot(*np.gradient(gaussian_filter(image, 3)))
    slope[(image < -300) | (image > 300)] = 1000  # neither air nor bone
    slopes, patches = (
        sliding_window_view(values, (_PATCH_PX, _PATCH_PX))[::8, ::8] for values in (slope, image)
    )
    means = slopes.mean(axis=(2, 3))
    patch = patches[np.unravel_index(means.argmin(), means.shape)]
    rows, columns = np.indices(patch.shape)
    design = np.stack([np.ones(patch.size), rows.ravel(), columns.ravel()], axis=1)
    trend, *_ = np.linalg.lstsq(design, patch.ravel(), rcond=None)
    return patch - (design @ trend).reshape(patch.shape)


def hu_shares(images_hu: Sequence[np.ndarray], edges_hu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which share of the pixels lies in each bin of HU, within 30 mm of the centre and beyond 60 mm from it."""
    centre, around = [], []
    for image in images_hu:
        rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
        distance = np.hypot(rows - (image.shape[0] - 1) / 2, columns - (image.shape[1] - 1) / 2)
        centre.append(image[distance < _CENTRE_MM])
        around.append(image[distance > _AROUND_MM])
    return _shares(np.concatenate(centre), edges_hu), _shares(np.concatenate(around), edges_hu)


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counts, _ = np.histogram(values, edges)
    return counts / max(1, values.size)
