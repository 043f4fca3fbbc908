"""The challenge's score, Dice: of two masks, of two folders, and of ways to segment a batch."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kcseg.config import EnsembleConfig
from kcseg.errors import InputError
from kcseg.image.formats import read_mask
from kcseg.image.image import Mask, same_spacing
from kcseg.image.listing import list_masks, pairing_faults
from kcseg.progress import Tell, counted, silent
from kcseg.serving.runner import Ensemble
from kcseg.study.known import Known


@dataclass(frozen=True)
class Scores:
    """Dice per image: against the references and, where it is known, against the truth; float64 (images,) each."""

    reference: np.ndarray
    truth: np.ndarray | None = None

    def __sub__(self, other: "Scores") -> "Scores":
        """Return the differences image by image."""
        truth = None if self.truth is None or other.truth is None else self.truth - other.truth
        return Scores(self.reference - other.reference, truth)


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


def score(masks: Iterable[Mapping[Any, np.ndarray]], known: Known) -> dict[Any, Scores]:
    """Score ways to segment images.

    Args:
        masks: for each image, in the order of the batch, the bool (height, width) of each way by its name.
        known: the batch.
    """
    against = [known.references] if known.truth is None else [known.references, known.truth]
    found: dict[Any, list[list[float]]] = defaultdict(list)
    for ways, *exact in zip(masks, *against, strict=True):
        for name, mask in ways.items():
            found[name].append([dice(mask, one) for one in exact])
    return {name: Scores(*np.transpose(values)) for name, values in found.items()}


def evaluate(
    ensemble: Ensemble, known: Known, config: EnsembleConfig, tell: Tell = silent
) -> dict[str, Scores]:
    """Score the members of an ensemble, their mean and their median, by the names of `masks_of`."""
    one_more = counted(tell, "scoring", len(known.batch))

    def masks() -> Iterator[dict[str, np.ndarray]]:
        for image in known.batch.images:
            yield masks_of(soft_masks_of(ensemble, image), config.mask_threshold)
            one_more()

    return score(masks(), known)


def soft_masks_of(ensemble: Ensemble, image_hu: np.ndarray) -> np.ndarray:
    """Return the members' soft masks of an image (height, width), float32 (members, height, width).

    The largest component of each (paper); all that they found where they find kidneys, too, and images may show two.
    """
    return ensemble.soft_masks(image_hu[np.newaxis], components=not ensemble.finds_kidneys)[0]


def masks_of(soft_masks: np.ndarray, threshold: float) -> dict[str, np.ndarray]:
    """Return the masks `member-1` … of an image, that of their `mean`, and that of their `median` (paper).

    Of soft masks (members, height, width), cut at the threshold: bool (height, width) each.
    """
    members = {f"member-{number}": one for number, one in enumerate(soft_masks, start=1)}
    combined = {"mean": soft_masks.mean(axis=0), "median": np.median(soft_masks, axis=0)}
    return {name: one > threshold for name, one in (members | combined).items()}


def score_rows(scores: Mapping[str, Scores]) -> list[dict[str, Any]]:
    """Return the mean Dice over the images, a row per way; the challenge ranked by `dice_reference` (paper)."""
    return [
        {
            "name": name,
            "dice_reference": round(float(one.reference.mean()), 4),
            "dice_truth": None if one.truth is None else round(float(one.truth.mean()), 4),
        }
        for name, one in scores.items()
    ]


def score_folders(predictions: Path, references: Path) -> dict[str, float]:
    """Return the Dice of each mask in two folders, paired by file name without suffix, sorted by id.

    A folder that holds `masks/` stands for that folder; files of different formats may be paired.

    Raises:
        InputError: a mask without a partner, a mask that cannot be read, or a pair on different grids.
    """
    expected, predicted = list_masks(references), list_masks(predictions)
    if faults := pairing_faults(expected, predicted, names=("reference", "prediction")):
        raise InputError(faults[0])
    return {name: _score_files(predicted[name], expected[name]) for name in expected}


def _score_files(prediction_path: Path, reference_path: Path) -> float:
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
