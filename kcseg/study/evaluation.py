"""How each member and both ensembles did on a batch: the challenge's ranking, and the distance to the truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kcseg.config import EnsembleConfig
from kcseg.dataset.batch import Batch
from kcseg.files import write_csv
from kcseg.progress import Tell, counted, silent
from kcseg.serving.runner import Ensemble
from kcseg.study.scores import dice


@dataclass(frozen=True)
class Evaluation:
    """Masks and scores of every predictor on every image of a batch.

    `names` are `member-1` … and then `mean` and `median`. `masks` holds, per image, bool (predictors, height, width);
    `dice_reference` and `dice_truth` are float64 (predictors, images), the latter None where no truth is known.
    """

    names: tuple[str, ...]
    masks: tuple[np.ndarray, ...]
    dice_reference: np.ndarray
    dice_truth: np.ndarray | None

    def rows(self) -> list[dict[str, object]]:
        """Mean Dice over the images, a row per predictor; the challenge ranked by this (paper)."""
        return [
            {
                "name": name,
                "dice_reference": round(float(self.dice_reference[index].mean()), 4),
                "dice_truth": None
                if self.dice_truth is None
                else round(float(self.dice_truth[index].mean()), 4),
            }
            for index, name in enumerate(self.names)
        ]


def evaluate(
    ensemble: Ensemble,
    batch: Batch,
    truth: Sequence[np.ndarray] | None,
    config: EnsembleConfig,
    tell: Tell = silent,
) -> Evaluation:
    """Score members, mean and median on a batch with references; `truth` holds bool (height, width) or is None."""
    masks, one_more = [], counted(tell, "scoring", len(batch))
    for image in batch.images:
        masks.append(_predictor_masks(ensemble.soft_masks(image[np.newaxis])[0], config.mask_threshold))
        one_more()
    members = len(masks[0]) - 2
    return Evaluation(
        names=(*(f"member-{number}" for number in range(1, members + 1)), "mean", "median"),
        masks=tuple(masks),
        dice_reference=_scores(masks, batch.masks or ()),
        dice_truth=None if truth is None else _scores(masks, truth),
    )


def write_scores(path: Path, evaluation: Evaluation) -> None:
    """Write `scores.csv`: name, dice_reference, dice_truth (empty where no truth is known)."""
    write_csv(path, evaluation.rows())


def _predictor_masks(soft_masks: np.ndarray, threshold: float) -> np.ndarray:
    """Members, mean and median of soft masks (members, height, width) as masks."""
    everyone = [*soft_masks, soft_masks.mean(axis=0), np.median(soft_masks, axis=0)]
    return np.stack(everyone) > threshold


def _scores(masks: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> np.ndarray:
    return np.array(
        [
            [dice(mask, reference) for mask in predictors]
            for predictors, reference in zip(masks, references, strict=True)
        ]
    ).T
