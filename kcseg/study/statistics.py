"""Rank statistics and intervals for what the pages state."""

import numpy as np
from scipy.stats import rankdata


def roc_auc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Return the area under the ROC curve: how often a positive scores above a negative, ties counting half.

    Args:
        scores: (count,), higher means more likely positive.
        positive: bool (count,).

    Returns:
        From 0 to 1, 0.5 for chance; None where there are no positives or no negatives.

    >>> roc_auc(np.array([0.9, 0.8, 0.1]), np.array([True, False, False]))
    1.0
    """
    count, others = np.count_nonzero(positive), np.count_nonzero(~positive)
    if not count or not others:
        return None
    return float((rankdata(scores)[positive].sum() - count * (count + 1) / 2) / (count * others))


def mean_interval(
    values: np.ndarray, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 2018
) -> tuple[float, float]:
    """Return the bootstrap interval of a mean over images (percentiles; our choice).

    For a paired comparison, `values` are the differences per image: images are drawn, not their halves.

    Args:
        values: (count,), at least one.
        confidence: share of resampled means within the interval.
        resamples: how often images are drawn with replacement.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    means = [random.choice(values, len(values)).mean() for _ in range(resamples)]
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
