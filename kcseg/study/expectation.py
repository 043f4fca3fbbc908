"""How good masks will be: the expected Dice fitted to simulated cases that training never saw."""

from collections.abc import Iterator

import numpy as np
from scipy.special import logit
from sklearn.linear_model import QuantileRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kcseg.phantom.case import Case, draw_wide_case
from kcseg.prediction.expectation import QUANTILES, Expectation, features_of
from kcseg.prediction.kidneys import find_kidneys
from kcseg.progress import Tell, counted, silent
from kcseg.serving.runner import Ensemble, Segmentation
from kcseg.study.scores import dice

_PLACE = 2000  # of these cases among the seeds, where no batch of a challenge has its own
_MM = (1.0, 1.0)
_FARTHEST = 0.005  # from 0 and from 1: the logit of either is infinite
_PENALTY = 1e-4
_LEAST_KIDNEYS = 30


def fit_expectation(ensemble: Ensemble, *, cases: int, seed: int, tell: Tell = silent) -> Expectation | None:
    """Fit the expected Dice of an ensemble that finds kidneys to `cases` fresh ones; None where it finds hardly any.

    `seed` is that of the simulation the ensemble was trained on, of whose cases none are drawn again.
    """
    one_more = counted(tell, "fitting the expected Dice", cases)
    judged: list[tuple[np.ndarray, float]] = []
    for number in range(cases):
        case = draw_wide_case(np.random.default_rng((seed, _PLACE, number)))
        judged += judge(ensemble, case)
        one_more()
    if len(judged) < _LEAST_KIDNEYS:
        return None
    features, scores = (np.array(column) for column in zip(*judged, strict=True))
    return fit_dice(features, scores)


def fit_dice(features: np.ndarray, scores: np.ndarray) -> Expectation:
    """Fit the expected Dice to features (kidneys, features) and Dice (kidneys,)."""
    target = logit(np.clip(scores, _FARTHEST, 1 - _FARTHEST))
    return Expectation(
        [_quantile(features, target, share) for share in QUANTILES],
        features.min(axis=0).tolist(),
        features.max(axis=0).tolist(),
    )


def judge(ensemble: Ensemble, case: Case) -> Iterator[tuple[np.ndarray, float]]:
    """Yield of each kidney found in a case its features, and the true Dice of its cortex."""
    found = ensemble.segment_raw(case.hu[np.newaxis])[0]
    # the same finder for both, so that each kidney meets its own truth
    known = {kidney.side: kidney.cortex for kidney in find_kidneys(case.hu, exactly(case), _MM)}
    for kidney in find_kidneys(case.hu, found, _MM):
        truth = known.get(kidney.side, np.zeros_like(case.truth))
        yield features_of(kidney, found, _MM), dice(kidney.cortex, truth)


def exactly(case: Case) -> Segmentation:
    """Return what a perfect ensemble would say of a case."""
    cortex, kidney = (mask.astype(np.float32) for mask in (case.truth, case.kidney))
    return Segmentation(case.truth, cortex, 0 * cortex, kidney)


def _quantile(features: np.ndarray, target: np.ndarray, share: float) -> list[float]:
    """Return the constant and the coefficients of a quantile, for features as they are."""
    fitted = make_pipeline(StandardScaler(), QuantileRegressor(quantile=share, alpha=_PENALTY))
    scaler, regressor = (step for _, step in fitted.fit(features, target).steps)
    coefficients = regressor.coef_ / scaler.scale_
    return [float(regressor.intercept_ - coefficients @ scaler.mean_), *coefficients.tolist()]
