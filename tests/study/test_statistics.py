import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import roc_auc_score

from kcseg.study.statistics import estimate, roc_auc


@pytest.mark.parametrize("levels", [3, 1000])  # with ties and without
def test_area_under_the_curve_is_that_of_scikit_learn(levels):
    random = np.random.default_rng(levels)
    positive = random.random(60) < 0.3
    scores = random.integers(0, levels, 60) + positive * levels / 4
    assert roc_auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


def test_without_either_kind_there_is_no_curve():
    assert roc_auc(np.arange(3.0), np.ones(3, bool)) is None
    assert roc_auc(np.arange(3.0), np.zeros(3, bool)) is None


def test_interval_is_that_of_scipy():
    values = np.random.default_rng(0).normal(0.1, 1, 80)
    expected = bootstrap((values,), np.mean, method="percentile").confidence_interval
    found = estimate(values)
    assert found.mean == pytest.approx(values.mean())
    np.testing.assert_allclose((found.low, found.high), expected, atol=0.02)
    assert found == estimate(values)
    assert f"{estimate(np.full(5, 0.25)):+.2f}" == "+0.25 (+0.25 to +0.25)"


def test_the_interval_of_one_image_has_no_ends():
    assert f"{estimate(np.array([0.5])):.1f}" == "0.5 (-inf to inf)"
