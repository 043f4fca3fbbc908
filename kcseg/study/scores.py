"""The challenge's score: Dice, per image and averaged."""

from pathlib import Path

import numpy as np

from kcseg.errors import InputError
from kcseg.image.formats import read_mask
from kcseg.image.image import Mask, same_spacing
from kcseg.image.listing import list_masks, pairing_faults


def dice(prediction: np.ndarray, reference: np.ndarray) -> float:
    """Return 2|P∩T| / (|P|+|T|) of two bool masks (height, width), the paper's score.

    Where both are empty it is 1 (our choice).

    Raises:
        InputError: the shapes differ.

    >>> dice(np.array([[1, 1, 0]], bool), np.array([[0, 1, 0]], bool))
    0.6666666666666666
    """
    if prediction.shape != reference.shape:
        raise InputError(
            f"expected masks of one shape, got {prediction.shape} and {reference.shape}; resample one of them"
        )
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    return 2 * np.count_nonzero(np.logical_and(prediction, reference)) / total if total else 1.0


def score_folders(predictions: Path, references: Path) -> dict[str, float]:
    """Return the Dice of each mask in two folders, paired by file name without suffix, sorted by id.

    A folder that holds `masks/` stands for that folder; files of different formats may be paired.

    Raises:
        InputError: a mask without a partner, a mask that cannot be read, or a pair on different grids.
    """
    expected, predicted = list_masks(references), list_masks(predictions)
    if faults := pairing_faults(expected, predicted, names=("reference", "prediction")):
        raise InputError(faults[0])
    return {name: _score(predicted[name], expected[name]) for name in expected}


def _score(prediction_path: Path, reference_path: Path) -> float:
    prediction, reference = read_mask(prediction_path), read_mask(reference_path)
    same_shape = prediction.pixels.shape == reference.pixels.shape
    if not (same_shape and same_spacing(prediction.spacing_mm, reference.spacing_mm)):
        raise InputError(
            f"{prediction_path} and {reference_path} lie on different grids "
            f"({_grid(prediction)} and {_grid(reference)}); predict on the grid of the reference"
        )
    return dice(prediction.pixels, reference.pixels)


def _grid(mask: Mask) -> str:
    height, width = mask.pixels.shape
    spacing = "" if mask.spacing_mm is None else " of {:g} x {:g} mm".format(*mask.spacing_mm)
    return f"{height} x {width} pixels{spacing}"
