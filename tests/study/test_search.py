import numpy as np
import pytest

from kcseg.study.search import importance, importance_figure, parameters_figure, progress_figure
from kcseg.training.space import Between, OneOf
from kcseg.training.trial import FAILED, FINISHED, TrialResult

SPACE = {
    "training.learning_rate": Between(1e-4, 1e-2, logarithmic=True),
    "network.dropout": Between(0.0, 0.5),
    "training.loss": OneOf(("dice", "binary_crossentropy+dice")),
}


@pytest.fixture(scope="module")
def results():
    """Thirty trials whose Dice depends on the learning rate alone, and one that failed."""
    random = np.random.default_rng(0)
    results = []
    for number in range(30):
        rate = 10 ** random.uniform(-4, -2)
        loss = SPACE["training.loss"].values[number % 2]
        values = {
            "training.learning_rate": rate,
            "network.dropout": random.uniform(0, 0.5),
            "training.loss": loss,
        }
        results.append(TrialResult(f"{number:02}", FINISHED, values, dice=0.5 + 0.1 * np.log10(rate) / 4))
    return [*results, TrialResult("30", FAILED, results[0].values, reason="no memory")]


def test_what_matters_weighs_most(results):
    weights = importance(SPACE, results, seed=0)
    assert list(weights) == list(SPACE)
    assert weights["training.learning_rate"][0] > 1 > 10 * abs(weights["network.dropout"][0])
    labels = [text.get_text() for text in importance_figure(weights).axes[0].get_yticklabels()]
    assert labels[-1] == "learning rate"


def test_few_trials_weigh_nothing(results):
    assert importance(SPACE, results[:7], seed=0) == {}
    alike = [TrialResult(str(number), FINISHED, results[0].values, dice=0.5) for number in range(9)]
    assert importance(SPACE, alike, seed=0) == {}


def test_the_figures_have_a_point_for_each_finished_trial(results):
    points, best, lost = progress_figure(results).axes[0].lines
    assert len(points.get_xdata()) == 30 and list(lost.get_xdata()) == [30]
    assert (np.diff(best.get_ydata()) >= 0).all()
    rate, dropout, loss, *_ = parameters_figure(SPACE, results).axes
    shown = np.asarray(rate.collections[0].get_offsets())[:, 0]
    np.testing.assert_allclose(shown, [result.values["training.learning_rate"] for result in results[:-1]])
    assert rate.get_xscale() == "log" and dropout.get_xlim()[0] < 0
    assert [text.get_text().replace("\n", " ") for text in loss.get_xticklabels()] == [
        "dice",
        "binary crossentropy + dice",
    ]
