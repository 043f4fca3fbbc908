"""Hounsfield units to the network's input."""

from collections.abc import Sequence

import numpy as np

AIR_HU = -1024.0


def window(images_hu: np.ndarray, window_hu: tuple[float, float]) -> np.ndarray:
    """Clip to the window and rescale it to [0, 1]; float32, shape kept.

    Source: the paper clips to [-150, 200] HU, which keeps the whole range of the cortex and drops bone and air.
    """
    low, high = window_hu
    return ((np.clip(images_hu, low, high) - low) / (high - low)).astype(np.float32)


def stack(images: Sequence[np.ndarray], fill: float) -> np.ndarray:
    """Bring images of any sizes to the largest height and width, centred, `fill` around; (count, height, width)."""
    height = max(image.shape[0] for image in images)
    width = max(image.shape[1] for image in images)
    stacked = np.full((len(images), height, width), fill, dtype=images[0].dtype)
    for target, image in zip(stacked, images, strict=True):
        top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
        target[top : top + image.shape[0], left : left + image.shape[1]] = image
    return stacked
