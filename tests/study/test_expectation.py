import numpy as np
import pytest
from scipy.special import expit, logit

from kcseg.phantom.case import draw_wide_case
from kcseg.prediction.expectation import FEATURES, QUANTILES
from kcseg.serving.contract import KIDNEY, outputs_with_kidney
from kcseg.serving.runner import Ensemble
from kcseg.study.expectation import fit_dice, fit_expectation, judge


def judged(seed, count=800):
    """Features and Dice: its logit falls with the first feature, and scatters more with the second."""
    random = np.random.default_rng(seed)
    features = random.uniform(0, 1, (count, len(FEATURES)))
    scatter = random.normal(0, 0.2 + 0.5 * features[:, 1])
    return features, expit(3 - 2 * features[:, 0] + scatter)


def test_four_new_masks_in_five_lie_within_their_interval_and_in_order():
    expectation = fit_dice(*judged(0))
    features, scores = judged(1)
    expected, low, high = np.transpose([expectation(row) for row in features])
    assert np.mean((scores >= low) & (scores <= high)) == pytest.approx(0.8, abs=0.04)
    assert np.mean(scores < low) == pytest.approx(QUANTILES[0], abs=0.03)
    assert np.all((low <= expected) & (expected <= high))
    assert np.corrcoef(logit(expected), 3 - 2 * features[:, 0])[0, 1] > 0.98


def test_beyond_what_the_fit_has_seen_nothing_is_extrapolated():
    features, scores = judged(0)
    expectation = fit_dice(features, scores)
    farthest = np.array(expectation.highest)
    assert expectation(farthest + 100) == expectation(farthest)


class Knowing:
    """Stands in for a model: knows the truth of one case, and gives a share of its rows."""

    outputs = outputs_with_kidney()

    def __init__(self, case, last_row=None):
        self.truth, self.kidney = case.truth.copy(), case.kidney
        if last_row is not None:
            self.truth[last_row:] = False

    def __call__(self, signature, images):
        truth, kidney = (mask[np.newaxis].astype(np.float32) for mask in (self.truth, self.kidney))
        return {"probability": truth, "disagreement": 0 * truth, KIDNEY: kidney}


def case_of(kind):
    """A wide case: a whole slice through two kidneys, or a crop of one."""
    cases = (draw_wide_case(np.random.default_rng((5, number))) for number in range(100))
    if kind == "crop":
        return next(case for case in cases if "side" in case.facts)
    return next(case for case in cases if case.hu.shape[1] > 250 and len(list(judge_exactly(case))) == 2)


def judge_exactly(case):
    return judge(Ensemble(Knowing(case)), case)


@pytest.mark.parametrize("kind", ["slice", "crop"])
def test_a_perfect_mask_has_dice_1_and_a_half_one_less(kind):
    case = case_of(kind)
    assert [score for _, score in judge_exactly(case)] == pytest.approx([1.0] * (2 if kind == "slice" else 1))
    middle = int(np.flatnonzero(case.truth.any(axis=1)).mean())
    halves = [score for _, score in judge(Ensemble(Knowing(case, middle)), case)]
    assert halves and max(halves) < 0.95 and min(halves) > 0.2


def test_an_ensemble_that_finds_no_kidneys_is_not_judged():
    class Blind:
        outputs = Knowing.outputs

        def __call__(self, signature, images):
            nothing = np.zeros(images.shape, np.float32)
            return {"probability": nothing, "disagreement": nothing, KIDNEY: nothing}

    assert fit_expectation(Ensemble(Blind()), cases=2, seed=1) is None
