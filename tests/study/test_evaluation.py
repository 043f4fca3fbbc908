import numpy as np
import pytest

from kcseg.config import EnsembleConfig
from kcseg.dataset.batch import Batch
from kcseg.study.evaluation import evaluate, write_scores
from kcseg.study.scores import dice


class Told:
    """Stands in for the ensemble: gives the soft masks it was told, one image after the other."""

    def __init__(self, soft_masks):
        self._soft_masks = iter(soft_masks)

    def soft_masks(self, images):
        return next(self._soft_masks)[np.newaxis]


@pytest.fixture
def case():
    random = np.random.default_rng(0)
    soft = random.random((3, 7, 20, 30)).astype(np.float32)
    references, truths = (tuple(random.random((20, 30)) < share for _ in range(3)) for share in (0.4, 0.2))
    images = tuple(np.zeros((20, 30), np.float32) for _ in range(3))
    return soft, Batch("test", ("a", "b", "c"), images, references), truths


def test_members_mean_and_median_against_reference_and_truth(case):
    soft, batch, truths = case
    found = evaluate(Told(soft), batch, truths, EnsembleConfig())
    assert found.names == (*(f"member-{number}" for number in range(1, 8)), "mean", "median")
    for masks, against in ((found.dice_reference, batch.masks), (found.dice_truth, truths)):
        for image in range(3):
            assert masks[2, image] == dice(soft[image, 2] > 0.5, against[image])
            assert masks[7, image] == dice(soft[image].mean(axis=0) > 0.5, against[image])
            assert masks[8, image] == dice(np.median(soft[image], axis=0) > 0.5, against[image])


def test_scores_are_means_over_the_images(tmp_path, case):
    soft, batch, truths = case
    found = evaluate(Told(soft), batch, truths, EnsembleConfig())
    write_scores(tmp_path / "scores.csv", found)
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert lines[0] == "name,dice_reference,dice_truth"
    name, *scores = lines[-1].split(",")
    assert name == "median"
    expected = [found.dice_reference[8].mean(), found.dice_truth[8].mean()]
    assert list(map(float, scores)) == pytest.approx(expected, abs=5.1e-5)


def test_without_truth_its_column_is_empty(tmp_path, case):
    soft, batch, _ = case
    write_scores(tmp_path / "scores.csv", evaluate(Told(soft), batch, None, EnsembleConfig()))
    assert all(line.endswith(",") for line in (tmp_path / "scores.csv").read_text().splitlines()[1:])
