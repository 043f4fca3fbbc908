"""What each part of the method adds: ways to combine the members, scored on the same test images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from scipy.ndimage import distance_transform_edt

from kcseg.config import EnsembleConfig
from kcseg.network.components import keep_largest_component
from kcseg.progress import Tell, counted, silent
from kcseg.study.known import Known
from kcseg.study.scores import Scores, masks_of, score

_WITHOUT = " without component"


@dataclass(frozen=True)
class Members:
    """Soft masks of a run's members on the test images, float32 (members, height, width) in [0, 1] per image."""

    config: EnsembleConfig
    raw: Sequence[np.ndarray]  # as the networks give them
    kept: Sequence[np.ndarray]  # of each the largest component

    @classmethod
    def of(cls, raw: Sequence[np.ndarray], config: EnsembleConfig) -> "Members":
        """Find the largest components of soft masks."""
        largest = partial(
            keep_largest_component, threshold=config.component_threshold, neighbours=config.neighbours
        )
        return cls(config, raw, [largest(one).numpy() for one in raw])

    def masks(self) -> list[np.ndarray]:
        """Return the ensemble's mask of each image, cut from the median: bool (height, width)."""
        return [masks_of(kept, self.config.mask_threshold)["median"] for kept in self.kept]

    def folds(self) -> "Members":
        """Return the fold members alone."""
        raw, kept = ([one[: self.config.folds] for one in part] for part in (self.raw, self.kept))
        return Members(self.config, raw, kept)


def combine(members: Members, known: Known) -> dict[str, Scores]:
    """Score every member, and every way to combine them, with and without largest component.

    Returns:
        By name: `member-1` … , `single` (their average), `median` (the method), `mean`, `majority`, and `single`,
        `median` and `mean` `without component`.
    """
    threshold = members.config.mask_threshold

    def masks() -> Iterator[dict[str, np.ndarray]]:
        for raw, kept in zip(members.raw, members.kept, strict=True):
            without = {f"{name}{_WITHOUT}": mask for name, mask in masks_of(raw, threshold).items()}
            majority = (kept > threshold).mean(axis=0) > 0.5
            yield {**masks_of(kept, threshold), "majority": majority, **without}

    scores = score(masks(), known)
    names = [name for name in scores if name.startswith("member-") and not name.endswith(_WITHOUT)]
    for kind in ("", _WITHOUT):
        scores[f"single{kind}"] = averaged([scores[f"{name}{kind}"] for name in names])
    names += ["single", "median", "mean", "majority"]
    names += [f"{name}{_WITHOUT}" for name in ("single", "median", "mean")]
    return {name: scores[name] for name in names}


def averaged(scores: Sequence[Scores]) -> Scores:
    """Return the mean over several networks of their Dice on each image: what one of them reaches on average."""
    truth = [one.truth for one in scores if one.truth is not None]
    return Scores(
        np.mean([one.reference for one in scores], axis=0), np.mean(truth, axis=0) if truth else None
    )


def by_count(members: Members, known: Known, tell: Tell = silent) -> dict[int, list[Scores]]:
    """Score the median of every choice of 1, 2 … all members; of an even number it is the mean of the middle two."""
    counts = range(1, len(members.kept[0]) + 1)
    choices = [chosen for count in counts for chosen in combinations(range(len(counts)), count)]
    one_more = counted(tell, "scoring choices of members", len(known.batch))

    def masks() -> Iterator[dict[tuple[int, ...], np.ndarray]]:
        for kept in members.kept:
            medians = {chosen: np.median(kept[list(chosen)], axis=0) for chosen in choices}
            yield {chosen: one > members.config.mask_threshold for chosen, one in medians.items()}
            one_more()

    scores = score(masks(), known)
    return {count: [scores[chosen] for chosen in choices if len(chosen) == count] for count in counts}


def edge_share(members: Members, known: Known, within_px: int = 2) -> tuple[float, float]:
    """Return how much of the members' disagreement lies so near the edge of the reference, and how much of the pixels.

    Disagreement is the standard deviation over members; both are shares of the whole.
    """
    # a pixel lies inside or outside: one of its two distances is 0
    distances = [distance_transform_edt(one) + distance_transform_edt(~one) for one in known.references]
    near = np.concatenate([distance.ravel() for distance in distances]) <= within_px
    disagreement = np.concatenate([one.std(axis=0).ravel() for one in members.kept])
    return float(disagreement[near].sum() / disagreement.sum()), float(near.mean())
