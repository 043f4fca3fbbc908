import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import log_loss

from kcseg.dataset.batch import Batch, training_truth
from kcseg.phantom.annotator import FAULTS, FaultRates
from kcseg.study.audit import audit_run, rank_references
from kcseg.study.known import Known
from kcseg.study.scores import dice


@pytest.fixture
def square():
    mask = np.zeros((24, 24), bool)
    mask[6:18, 6:18] = True
    return mask


def known(*references):
    ids = tuple(f"train-1/{number:04}" for number in range(1, len(references) + 1))
    return Known(Batch("train", ids, tuple(np.zeros((24, 24), np.float32) for _ in references), references))


def soft(mask, belief=0.95):
    return np.where(mask, belief, 1 - belief).astype(np.float32)


def test_the_reference_that_reaches_furthest_comes_first(square):
    wide, narrow = square.copy(), square.copy()
    wide[3:21, 3:21] = True
    narrow[6:8] = False
    found = rank_references(known(square, narrow, wide), [soft(square)] * 3)
    assert [(row["rank"], row["id"]) for row in found] == [
        (1, "train-1/0003"),
        (2, "train-1/0002"),
        (3, "train-1/0001"),
    ]
    assert [(row["surplus_mm2"], row["missing_mm2"]) for row in found] == [(180, 0), (0, 24), (0, 0)]
    assert (found[0]["reference_mm2"], found[0]["prediction_mm2"], found[0]["batch"]) == (324, 144, "train-1")


def test_score_is_dice_and_log_loss_less_entropy():
    random = np.random.default_rng(0)
    reference, soft_mask = random.random((24, 24)) < 0.4, random.uniform(0.05, 0.95, (24, 24))
    (row,) = rank_references(known(reference), [soft_mask])
    inside = soft_mask[reference]
    surprise = log_loss(np.ones(len(inside)), inside, labels=[0, 1])
    surprise -= entropy([inside, 1 - inside]).mean()
    assert row["dice"] == dice(soft_mask > 0.5, reference)
    assert row["score"] == pytest.approx(1 - row["dice"] + surprise)


def test_a_doubtful_network_contradicts_less_than_a_sure_one(square):
    wide = square.copy()
    wide[3:21, 3:21] = True
    sure, doubtful = (
        rank_references(known(wide), [soft(square, belief)])[0]["score"] for belief in (0.98, 0.6)
    )
    assert sure > doubtful + 0.5


def test_empty_masks_have_a_score(square):
    nothing = np.zeros_like(square)
    found = rank_references(known(nothing, nothing, square), [soft(nothing), soft(square), soft(nothing)])
    assert all(np.isfinite(row["score"]) for row in found) and found[-1]["id"] == "train-1/0001"


def test_audit_of_a_run_holds_references_and_predictions_against_the_truth(trained_run, rings):
    truth = tuple(np.roll(mask, number % 4, axis=1) for number, mask in enumerate(rings.masks))
    faults = tuple(("far_too_wide",) if number % 3 == 0 else () for number in range(len(rings)))
    found = audit_run(trained_run, Known(rings, truth, faults))
    assert (np.diff([row["score"] for row in found.rows]) <= 0).all()
    for row in found.rows:
        place = rings.ids.index(row["id"])
        assert row["faults"] == " ".join(faults[place])
        assert row["reference_dice_truth"] == dice(rings.masks[place], truth[place])
        assert row["prediction_dice_truth"] == dice(found.predictions[place], truth[place])


def test_kinds_of_faults_are_those_of_the_annotator():
    assert FAULTS == ("vessels_included", "columns_merged", "sheets_joined", "far_too_wide")
    assert all(0 < getattr(FaultRates(), kind) < 1 for kind in FAULTS)


def test_truth_of_the_training_batches_is_pooled_or_none(ring_challenge, tmp_path):
    from shutil import copytree, rmtree

    truth = training_truth(ring_challenge)
    np.testing.assert_array_equal(truth[3], np.load(ring_challenge / "train-1" / "truth" / "0003.npy"))
    copytree(ring_challenge, tmp_path / "challenge")
    rmtree(tmp_path / "challenge" / "train-1" / "truth")
    assert training_truth(tmp_path / "challenge") is None
