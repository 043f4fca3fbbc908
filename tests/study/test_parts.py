from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion
from skimage.measure import label

from kcseg.serving.runner import Ensemble
from kcseg.study.evaluation import evaluate
from kcseg.study.parts import (
    Scores,
    SoftMasks,
    averaged,
    by_count,
    combine,
    edge_share,
    gain,
    majority,
    without_augmentation,
)
from kcseg.study.scores import dice


@pytest.fixture(scope="module")
def soft(trained_run, rings):
    return SoftMasks(trained_run, rings.images, trained_run.config.member_numbers)


@pytest.fixture(scope="module")
def truth(rings):
    return tuple(binary_erosion(mask) for mask in rings.masks)


@pytest.fixture(scope="module")
def scores(soft, rings, truth):
    return combine(soft, rings, truth)


def test_the_soft_masks_are_the_exported_ensembles(soft, trained_run, rings):
    exported = Ensemble.load(trained_run.folder).soft_masks(np.stack(rings.images))
    np.testing.assert_allclose(soft.kept, np.moveaxis(exported, 1, 0), atol=1e-5)


def test_one_component_of_each_is_kept(soft):
    threshold = soft.config.ensemble.component_threshold
    for masks, kept in zip(soft.raw > threshold, soft.kept > threshold, strict=True):
        for mask, one in zip(masks, kept, strict=True):
            assert label(one, connectivity=2).max() == min(label(mask, connectivity=2).max(), 1)


def test_members_mean_and_median_score_as_in_the_runs_own_table(scores, trained_run, rings, truth):
    theirs = evaluate(Ensemble.load(trained_run.folder), rings, truth, trained_run.config.ensemble)
    for place, name in enumerate(theirs.names):
        np.testing.assert_allclose(scores[name].reference, theirs.dice_reference[place], atol=0.01)
        np.testing.assert_allclose(scores[name].truth, theirs.dice_truth[place], atol=0.01)


def test_of_three_members_majority_is_median(scores):
    assert np.array_equal(scores["majority"].reference, scores["median"].reference)


def test_majority_counts_members():
    votes = np.array([0.9, 0.6, 0.4])[:, None, None, None]
    assert majority(votes, 0.5).item() == pytest.approx(2 / 3)


def test_a_single_network_is_the_average_of_the_members(scores):
    members = [scores[f"member-{number}"] for number in (1, 2, 3)]
    np.testing.assert_allclose(scores["single"].reference, averaged(members).reference)
    np.testing.assert_allclose(scores["single"].truth, np.mean([one.truth for one in members], axis=0))


def test_every_choice_of_members_is_scored(soft, rings, scores):
    found = by_count(soft, rings, None)
    assert {count: len(chosen) for count, chosen in found.items()} == {1: 3, 2: 3, 3: 1}
    np.testing.assert_array_equal(found[3][0].reference, scores["median"].reference)
    np.testing.assert_array_equal(found[1][1].reference, scores["member-2"].reference)
    assert found[1][0].truth is None


def test_of_folds_leaves_full_members_out(soft):
    assert len(soft.of_folds().kept) == soft.config.ensemble.folds == 2 and len(soft.kept) == 3


def test_a_gain_is_the_paired_difference():
    random = np.random.default_rng(0)
    hard = random.uniform(0.5, 0.9, 200)  # images differ far more than the two ways do
    ours, theirs = Scores(hard + 0.01, hard), Scores(hard + random.normal(0, 0.001, 200), hard)
    found = gain(ours, theirs)
    assert found.reference == pytest.approx(0.01, abs=5e-4)
    assert 0.009 < found.reference_interval[0] < found.reference < found.reference_interval[1] < 0.011
    assert found.truth == 0 and found.truth_interval == (0, 0)
    assert gain(ours, Scores(hard, None)).truth is None


def test_disagreement_is_told_from_the_edge(soft):
    reference = np.zeros((1, 32, 32), bool)
    reference[0, 8:24, 8:24] = True
    edge = binary_dilation(reference[0]) & ~binary_erosion(reference[0])
    folds = np.zeros((3, 1, 32, 32), np.float32)
    folds[0, 0][edge] = 1
    made = SoftMasks.__new__(SoftMasks)
    made.config, made.raw, made.kept = soft.config, folds, folds
    share, pixels = edge_share(made, reference)
    assert share == pytest.approx(1) and pixels < 0.3
    folds[0, 0] = ~edge
    assert edge_share(made, reference)[0] < 0.3


def test_without_augmentation_nothing_is_changed(tiny):
    from kcseg.dataset.augment import Augmenter

    still = without_augmentation(tiny)
    assert replace(still, augmentation=tiny.augmentation) == tiny
    random = np.random.default_rng(0)
    images, labels = random.random((2, 32, 32), np.float32), random.integers(0, 2, (2, 32, 32), np.uint8)
    changed, moved = Augmenter(still.augmentation)(images, labels, seed=3)
    np.testing.assert_allclose(changed, images, atol=1e-6)
    np.testing.assert_array_equal(moved, labels)


def test_dice_is_the_challenges(scores, soft, rings):
    masks = np.median(soft.kept, axis=0) > 0.5
    expected = [dice(mask, reference) for mask, reference in zip(masks, rings.masks, strict=True)]
    np.testing.assert_array_equal(scores["median"].reference, expected)
