"""How far an ensemble of a lesser precision may be trusted: its masks against those of float32."""

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
        expected, found = (
            tf.cast(ensemble.segment(image[np.newaxis])["mask"], tf.float32) for ensemble in (exact, other)
        )
        scores.append(float(dice(expected, found)[0]))
    return float(np.mean(scores))


def sample_images(challenge: Path, fingerprint: str, count: int) -> list[np.ndarray]:
    """Return training images, evenly spaced among all of a challenge folder, float32 (height, width) each in HU.

    Raises:
        InputError: the folder is not there, or its training batch does not have this fingerprint.
    """
    if not is_folder(challenge):
        raise InputError(
            f"a lesser precision is checked on training images, and there are none in {challenge}; "
            "name the challenge folder of the training with --data"
        )
    batch = training_batch(challenge)
    if batch.fingerprint() != fingerprint:
        raise InputError(
            f"{challenge} is not what these members were trained on; name that folder with --data"
        )
    return [batch.images[index] for index in evenly(len(batch), count)]
