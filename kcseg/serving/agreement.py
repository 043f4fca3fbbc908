"""How well the masks of an ensemble in a lower precision agree with those in float32."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from kcseg.dataset.batch import evenly, training_batch
from kcseg.errors import InputError
from kcseg.files import is_folder
from kcseg.network.losses import dice
from kcseg.serving.graph import EnsembleGraph


def agreement(exact: EnsembleGraph, other: EnsembleGraph, images_hu: list[np.ndarray]) -> float:
    """Return the mean Dice between two ensembles' masks of images in HU, float32 (height, width) each."""
    scores = []
    for image in images_hu:
        masks = [ensemble.segment(image[np.newaxis])["mask"] for ensemble in (exact, other)]
        scores.append(dice(*(tf.cast(mask[..., tf.newaxis], tf.float32) for mask in masks))[0])
    return float(np.mean(scores))


def sample_images(challenge: Path, fingerprint: str, count: int) -> list[np.ndarray]:
    """Return training images, evenly spaced among all of a challenge folder, float32 (height, width) each in HU.

    Raises:
        InputError: the folder is not there, or its training batch does not have this fingerprint.
    """
    batch = training_batch(challenge) if is_folder(challenge) else None
    if batch is None or batch.fingerprint() != fingerprint:
        raise InputError(
            f"{challenge} does not hold the images these members were trained on, on which a lower precision is "
            "checked; name the challenge folder of the training"
        )
    return [batch.images[index] for index in evenly(len(batch), count)]
