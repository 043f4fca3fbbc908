"""The audit of the references: those that networks which never saw them contradict most come first."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kcseg.dataset.batch import Batch, training_batch, training_truth
from kcseg.errors import InputError
from kcseg.files import is_folder
from kcseg.phantom.simulate import planted_faults
from kcseg.progress import Tell, silent
from kcseg.study.scores import dice
from kcseg.study.soft_masks import held_out_soft_masks
from kcseg.training.run import Run


@dataclass(frozen=True)
class Finding:
    """How far a reference is from the prediction of a network that never saw it; areas in mm² at 1 mm.

    Attributes:
        rank: 1 for the reference most contradicted.
        id: of the image, with its batch before it.
        batch: the one the image is from; empty where the id names none.
        score: 1 - `dice` + `surprise`. Our choice of some sixty, on a simulation with seed 77 that is used for nothing
            else: its rank correlation with the references' true error was 0.61, that of Dice alone 0.50, and its area
            under the ROC curve for planted faults 0.67 and 0.57.
        dice: between reference and prediction.
        surprise: how much less the network believes in the reference than it doubts anyway: mean over the reference's
            pixels of the log-loss under the soft mask, less the entropy of the soft mask there; in nats.
        surplus_mm2, missing_mm2: reference without prediction, and prediction without reference.
        reference_mm2, prediction_mm2: their areas.
        reference_dice_truth, prediction_dice_truth: Dice of either against the truth; None where that is not known.
        faults: planted in the reference, names of `FaultRates`; None where not known.
    """

    rank: int
    id: str
    batch: str
    score: float
    dice: float
    surprise: float
    surplus_mm2: int
    missing_mm2: int
    reference_mm2: int
    prediction_mm2: int
    reference_dice_truth: float | None = None
    prediction_dice_truth: float | None = None
    faults: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Audit:
    """All findings, worst first; `predictions` are bool (height, width) in the order of the batch."""

    findings: tuple[Finding, ...]
    predictions: tuple[np.ndarray, ...]


def audit_run(
    run: Run,
    batch: Batch,
    truth: Sequence[np.ndarray] | None = None,
    faults: Sequence[tuple[str, ...]] | None = None,
    tell: Tell = silent,
) -> Audit:
    """Rank the references of a run's training images by how much the networks that held them out contradict them.

    Args:
        run: with trained fold members.
        batch: its training images.
        truth: exact masks, bool (height, width), in the order of the batch; only to measure how good the audit is.
        faults: planted in each reference, in that order; only for that, too.
        tell: told of every image.

    Raises:
        InputError: other images than the run's, or fold members that are missing.
    """
    soft_masks = held_out_soft_masks(run, batch, tell)
    threshold = run.config.ensemble.mask_threshold
    predictions = tuple(soft_mask > threshold for soft_mask in soft_masks)
    return Audit(rank_references(batch, soft_masks, truth, faults, threshold=threshold), predictions)


def rank_references(
    batch: Batch,
    soft_masks: Sequence[np.ndarray],
    truth: Sequence[np.ndarray] | None = None,
    faults: Sequence[tuple[str, ...]] | None = None,
    *,
    threshold: float = 0.5,
) -> tuple[Finding, ...]:
    """Return a finding per reference, that with the highest score first; ties keep the order of the batch.

    Args:
        batch: images with references.
        soft_masks: of networks that never saw these, float (height, width) in [0, 1], in the order of the batch.
        truth: exact masks, bool (height, width), and
        faults: planted in each reference, both in that order; None where not known.
        threshold: the prediction is where a soft mask is above it.
    """
    assert batch.masks is not None
    rows: list[dict[str, Any]] = []
    for index, name in enumerate(batch.ids):
        reference, prediction = batch.masks[index], soft_masks[index] > threshold
        row = {"id": name, "batch": name.rpartition("/")[0]}
        row |= _compare(reference, prediction, _surprise(reference, soft_masks[index]))
        if truth is not None:
            row["reference_dice_truth"] = dice(reference, truth[index])
            row["prediction_dice_truth"] = dice(prediction, truth[index])
        if faults is not None:
            row["faults"] = faults[index]
        rows.append(row)
    rows.sort(key=lambda row: -row["score"])
    return tuple(Finding(rank=rank, **row) for rank, row in enumerate(rows, start=1))


def read_audited(
    run: Run, data: Path | None = None
) -> tuple[Batch, tuple[np.ndarray, ...] | None, tuple[tuple[str, ...], ...] | None]:
    """Read what a run was trained on: its batch, and truth and planted faults where they are known.

    Args:
        run: the run.
        data: its challenge folder; by default the one simulated inside the run.

    Raises:
        InputError: no such folder, or one that cannot be read.
    """
    challenge = run.challenge(data)
    if not is_folder(challenge):
        raise InputError(
            f"there are no training images in {challenge}; name the challenge folder of its training"
        )
    batch = training_batch(challenge)
    return batch, training_truth(challenge), planted_faults(challenge, batch.ids)


def _compare(reference: np.ndarray, prediction: np.ndarray, surprise: float) -> dict[str, Any]:
    overlap = dice(prediction, reference)
    return {
        "score": 1 - overlap + surprise,
        "dice": overlap,
        "surprise": surprise,
        "surplus_mm2": int(np.count_nonzero(reference & ~prediction)),
        "missing_mm2": int(np.count_nonzero(prediction & ~reference)),
        "reference_mm2": int(np.count_nonzero(reference)),
        "prediction_mm2": int(np.count_nonzero(prediction)),
    }


def _surprise(reference: np.ndarray, soft_mask: np.ndarray) -> float:
    if not reference.any():
        return 0.0
    # a network is never surer than that: one pixel must not outweigh all others (our choice)
    belief = np.clip(soft_mask[reference].astype(float), 0.01, 0.99)
    entropy = -belief * np.log(belief) - (1 - belief) * np.log(1 - belief)
    return float((-np.log(belief) - entropy).mean())
