"""What each part of the method buys: ways to combine the members, scored on the same test images."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import keras
import numpy as np
from scipy.ndimage import distance_transform_edt

from kcseg.config import Config, EnsembleConfig
from kcseg.dataset.batch import Batch
from kcseg.image.window import window
from kcseg.network.components import keep_largest_component
from kcseg.progress import Tell, counted, silent
from kcseg.study.scores import dice
from kcseg.study.statistics import mean_interval
from kcseg.training.run import Run

_AT_ONCE = 8  # images through a network together


@dataclass(frozen=True)
class Scores:
    """Dice per test image: against the references and, where it is known, against the truth; float64 (images,) each."""

    reference: np.ndarray
    truth: np.ndarray | None


@dataclass(frozen=True)
class Gain:
    """By how much one way of segmenting beats another on the same images: mean difference and its 95 % interval."""

    reference: float
    reference_interval: tuple[float, float]
    truth: float | None = None
    truth_interval: tuple[float, float] | None = None


class SoftMasks:
    """Soft masks of a run's members on the test images, as the networks give them and with one component each.

    Attributes:
        raw, kept: float32 (members, images, height, width) in [0, 1]; 300 MB each for seven members and the
            challenge's 299 test images.
    """

    def __init__(
        self,
        run: Run,
        images: Sequence[np.ndarray],
        numbers: Sequence[int],
        tell: Tell = silent,
    ):
        """Segment images of one size, HU (height, width) each, with the members of these numbers."""
        self.config = run.config
        windowed = window(np.stack(images), run.config.image.window_hu)[..., np.newaxis]
        shape = (len(numbers), *windowed.shape[:3])
        self.raw, self.kept = np.empty(shape, np.float32), np.empty(shape, np.float32)
        one_more = counted(tell, "segmenting", len(numbers) * len(images))
        for place, number in enumerate(numbers):
            network = run.load_network(number)
            for first in range(0, len(windowed), _AT_ONCE):
                part = slice(first, first + _AT_ONCE)
                soft_masks = network.predict_on_batch(windowed[part])[..., 0]
                self.raw[place, part] = soft_masks
                self.kept[place, part] = _largest(soft_masks, run.config.ensemble)
                for _ in soft_masks:
                    one_more()
            keras.backend.clear_session(free_memory=True)

    def of_folds(self) -> "SoftMasks":
        """Return those of the fold members alone."""
        folds = copy.copy(self)
        folds.raw, folds.kept = (part[: self.config.ensemble.folds] for part in (self.raw, self.kept))
        return folds


def median(soft_masks: np.ndarray) -> np.ndarray:
    """Return the median over members (paper), (images, height, width), of (members, images, height, width)."""
    return np.median(soft_masks, axis=0)


def mean(soft_masks: np.ndarray) -> np.ndarray:
    """Return the mean over members."""
    return soft_masks.mean(axis=0)


def majority(soft_masks: np.ndarray, threshold: float) -> np.ndarray:
    """Return the share of members whose soft mask is above the threshold: above a half is a majority."""
    return (soft_masks > threshold).mean(axis=0, dtype=np.float32)


def score(
    soft_masks: np.ndarray, batch: Batch, truth: Sequence[np.ndarray] | None, threshold: float
) -> Scores:
    """Score soft masks (images, height, width), cut at a threshold, on a batch with references."""
    masks = soft_masks > threshold
    assert batch.masks is not None
    return Scores(_dice(masks, batch.masks), None if truth is None else _dice(masks, truth))


def gain(ours: Scores, theirs: Scores) -> Gain:
    """Compare two ways image by image: paired bootstrap over the test images."""
    difference = ours.reference - theirs.reference
    reference = (float(difference.mean()), mean_interval(difference))
    if ours.truth is None or theirs.truth is None:
        return Gain(*reference)
    difference = ours.truth - theirs.truth
    return Gain(*reference, float(difference.mean()), mean_interval(difference))


def averaged(scores: Sequence[Scores]) -> Scores:
    """Return the mean over several networks of their Dice on each image: what one of them reaches on average."""
    truth = [one.truth for one in scores if one.truth is not None]
    return Scores(
        np.mean([one.reference for one in scores], axis=0), np.mean(truth, axis=0) if truth else None
    )


def combine(soft: SoftMasks, batch: Batch, truth: Sequence[np.ndarray] | None) -> dict[str, Scores]:
    """Score every member, and every way to combine them, with and without largest component.

    Returns:
        By name: `member-1` … , `single` (their average), `median` (the method), `mean`, `majority`, and `single`,
        `median` and `mean` `without component`.
    """
    threshold = soft.config.ensemble.mask_threshold

    def scored(soft_masks: np.ndarray, threshold: float = threshold) -> Scores:
        return score(soft_masks, batch, truth, threshold)

    members = {f"member-{number}": scored(one) for number, one in enumerate(soft.kept, start=1)}
    return {
        **members,
        "single": averaged(list(members.values())),
        "median": scored(median(soft.kept)),
        "mean": scored(mean(soft.kept)),
        "majority": scored(majority(soft.kept, threshold), 0.5),
        "single without component": averaged([scored(one) for one in soft.raw]),
        "median without component": scored(median(soft.raw)),
        "mean without component": scored(mean(soft.raw)),
    }


def by_count(
    soft: SoftMasks,
    batch: Batch,
    truth: Sequence[np.ndarray] | None,
    tell: Tell = silent,
) -> dict[int, list[Scores]]:
    """Score the median of every choice of 1, 2 … all members; of an even number it is the mean of the middle two."""
    everyone = range(len(soft.kept))
    scores: dict[int, list[Scores]] = {}
    one_more = counted(tell, "scoring choices of members", 2 ** len(soft.kept) - 1)
    for count in range(1, len(soft.kept) + 1):
        scores[count] = []
        for chosen in combinations(everyone, count):
            found = median(soft.kept[list(chosen)])
            scores[count].append(score(found, batch, truth, soft.config.ensemble.mask_threshold))
            one_more()
    return scores


def edge_share(soft: SoftMasks, references: Sequence[np.ndarray], within_px: int = 2) -> tuple[float, float]:
    """Say where fold members disagree: at the edge of the reference, or elsewhere.

    Returns:
        The share of the fold members' disagreement (standard deviation) that lies within so many pixels of the
        reference's edge, and the share of the pixels that lie there.
    """
    folds = soft.kept[: soft.config.ensemble.folds]
    near = np.stack([_near_edge(reference, within_px) for reference in references])
    disagreement = folds.std(axis=0)
    return float(disagreement[near].sum() / disagreement.sum()), float(near.mean())


def rows(scores: Mapping[str, Scores]) -> list[dict[str, object]]:
    """Return mean Dice with its 95 % interval over the images, a row per way of segmenting."""
    return [
        {
            "": name,
            "Dice, reference": _with_interval(one.reference),
            **({} if one.truth is None else {"Dice, truth": _with_interval(one.truth)}),
        }
        for name, one in scores.items()
    ]


def without_augmentation(config: Config) -> Config:
    """Return the configuration with every random change of the images switched off."""
    still = replace(
        config.augmentation,
        translation_px=0.0,
        rotation_degrees=0.0,
        zoom=(1.0, 1.0),
        noise_deviation=(0.0, 0.0),
        brightness=0.0,
        contrast=0.0,
    )
    return replace(config, augmentation=still)


def _largest(soft_masks: np.ndarray, config: EnsembleConfig) -> np.ndarray:
    return keep_largest_component(
        soft_masks, threshold=config.component_threshold, neighbours=config.neighbours
    ).numpy()


def _dice(masks: np.ndarray, references: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([dice(mask, reference) for mask, reference in zip(masks, references, strict=True)])


def _near_edge(mask: np.ndarray, within_px: int) -> np.ndarray:
    inside, outside = distance_transform_edt(mask), distance_transform_edt(~mask)
    return np.maximum(inside, outside) <= within_px


def _with_interval(values: np.ndarray) -> str:
    low, high = mean_interval(values)
    return f"{values.mean():.4f} ({low:.4f} to {high:.4f})"
