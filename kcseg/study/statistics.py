"""What the pages state of many images: intervals, and how well scores rank."""

import numpy as np
from scipy.stats import bootstrap
from sklearn.metrics import roc_auc_score


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean over images, (count,): percentiles of 9999 resamples (our choice).

    For a paired comparison, `values` are the differences per image.
    """
    found = bootstrap((values,), np.mean, method="percentile", rng=2018).confidence_interval
    return float(found.low), float(found.high)


def roc_auc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Return the area under the ROC curve of scores, (count,), for bool (count,); None without both kinds."""
    return float(roc_auc_score(positive, scores)) if 0 < positive.sum() < positive.size else None
