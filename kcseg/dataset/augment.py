"""Random changes of an image and its mask together; the only module that knows albumentations."""

import os

# albumentations asks the package index for its newest version when imported, unless told not to
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations
import cv2
import numpy as np

from kcseg.config import AugmentationConfig

cv2.setNumThreads(0)  # leaves the cores to the training step


class Augmenter:
    """Shift, turn, zoom, noise, brightness and contrast (the paper's six), seeded call by call.

    Not to be shared between threads, because each call seeds the one generator anew.
    """

    def __init__(self, config: AugmentationConfig):
        self._changes = albumentations.Compose(
            [
                albumentations.Affine(
                    translate_px=(-round(config.translation_px), round(config.translation_px)),
                    rotate=(-config.rotation_degrees, config.rotation_degrees),
                    scale=config.zoom,
                    p=1.0,
                ),
                *([albumentations.CenterCrop(config.crop_px, config.crop_px)] if config.crop_px else []),
                albumentations.RandomBrightnessContrast(
                    brightness_limit=config.brightness, contrast_limit=config.contrast, p=1.0
                ),
                albumentations.GaussNoise(std_range=config.noise_deviation, p=1.0),
            ]
        )

    def __call__(self, images: np.ndarray, masks: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Change every image of a batch and its mask alike.

        Args:
            images: float32 (batch, height, width) in [0, 1], windowed before: albumentations clips to that range.
            masks: uint8 (batch, height, width, structures), 0 or 1.
            seed: equal seeds give equal bytes.

        Returns:
            Images and masks of the same shapes and dtypes, but for the height and width that are cut to; what moves
            in from outside is 0 in both.
        """
        self._changes.set_random_seed(seed)
        changed = [
            self._changes(image=image[..., np.newaxis], mask=mask)
            for image, mask in zip(images, masks, strict=True)
        ]
        return (
            np.stack([one["image"][..., 0] for one in changed]),
            np.stack([one["mask"].reshape(*one["image"].shape[:2], -1) for one in changed]),
        )
