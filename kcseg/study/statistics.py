"""What is stated about many images: means with intervals, and how well scores rank."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap
from sklearn.metrics import roc_auc_score


@dataclass(frozen=True)
class Estimate:
    """A mean over images and the ends of its 95 % bootstrap interval; f"{found:.3f}" states all three."""

    mean: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        """Return the mean and, in brackets, the interval, each number formatted by `spec`."""
        return f"{self.mean:{spec}} ({self.low:{spec}} to {self.high:{spec}})"


def estimate(values: np.ndarray) -> Estimate:
    """Return the mean over images, (count,), and its interval: percentiles of 9999 resamples (our choice).

    For a paired comparison, `values` are the differences per image. The interval of a single value has no ends.
    """
    if values.size == 1:
        return Estimate(float(values[0]), -np.inf, np.inf)
    interval = bootstrap((values,), np.mean, method="percentile", rng=2018).confidence_interval
    return Estimate(float(values.mean()), float(interval.low), float(interval.high))


def roc_auc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Return the area under the ROC curve of scores, (count,), for bool (count,); None without both kinds."""
    return float(roc_auc_score(positive, scores)) if 0 < positive.sum() < positive.size else None
