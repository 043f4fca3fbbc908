import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion
from skimage.measure import label

from kcseg.dataset.batch import Batch
from kcseg.serving.runner import Ensemble
from kcseg.study.known import Known
from kcseg.study.parts import Members, averaged, by_count, combine, edge_share
from kcseg.study.scores import dice, evaluate
from kcseg.study.soft_masks import soft_masks


@pytest.fixture(scope="module")
def members(trained_run, rings):
    raw = soft_masks(trained_run, rings.images, trained_run.config.member_numbers)
    return Members.of(raw, trained_run.config.ensemble)


@pytest.fixture(scope="module")
def known(rings):
    return Known(rings, tuple(binary_erosion(mask) for mask in rings.masks))


@pytest.fixture(scope="module")
def scores(members, known):
    return combine(members, known)


def test_the_soft_masks_are_the_exported_ensembles(members, trained_run, rings):
    exported = Ensemble.load(trained_run.folder).soft_masks(np.stack(rings.images))
    np.testing.assert_allclose(members.kept, exported, atol=1e-5)


def test_one_component_of_each_is_kept(members):
    threshold = members.config.component_threshold
    for masks, kept in zip(members.raw, members.kept, strict=True):
        for mask, one in zip(masks > threshold, kept > threshold, strict=True):
            assert label(one, connectivity=2).max() == min(label(mask, connectivity=2).max(), 1)


def test_members_mean_and_median_score_as_in_the_runs_own_table(scores, trained_run, known):
    theirs = evaluate(Ensemble.load(trained_run.folder), known, trained_run.config.ensemble)
    for name, expected in theirs.items():
        np.testing.assert_allclose(scores[name].reference, expected.reference, atol=0.01)
        np.testing.assert_allclose(scores[name].truth, expected.truth, atol=0.01)


def test_every_way_has_a_row_of_its_own(scores):
    assert list(scores) == [
        *("member-1", "member-2", "member-3", "single", "median", "mean", "majority"),
        *("single without component", "median without component", "mean without component"),
    ]


def test_of_three_members_majority_is_median(scores):
    assert np.array_equal(scores["majority"].reference, scores["median"].reference)


def test_majority_counts_members(members):
    votes = np.array([0.9, 0.9, 0.2, 0.2])[:, np.newaxis, np.newaxis]  # mean and median are above a half
    everywhere = Batch("test", ("a",), (np.zeros((1, 1), np.float32),), (np.ones((1, 1), bool),))
    found = combine(Members(members.config, [votes], [votes]), Known(everywhere))
    assert (found["mean"].reference, found["median"].reference, found["majority"].reference) == (1, 1, 0)


def test_a_single_network_is_the_average_of_the_members(scores):
    members = [scores[f"member-{number}"] for number in (1, 2, 3)]
    np.testing.assert_allclose(scores["single"].reference, averaged(members).reference)
    np.testing.assert_allclose(scores["single"].truth, np.mean([one.truth for one in members], axis=0))


def test_every_choice_of_members_is_scored(members, rings, scores):
    found = by_count(members, Known(rings))
    assert {count: len(chosen) for count, chosen in found.items()} == {1: 3, 2: 3, 3: 1}
    np.testing.assert_array_equal(found[3][0].reference, scores["median"].reference)
    np.testing.assert_array_equal(found[1][1].reference, scores["member-2"].reference)
    assert found[1][0].truth is None


def test_images_may_differ_in_size(members, rings):
    masks = tuple(mask[3 * place :] for place, mask in enumerate(rings.masks[:3]))
    raw = [one[:, 3 * place :] for place, one in enumerate(members.raw[:3])]
    cut, known = Members.of(raw, members.config), Known(Batch("test", rings.ids[:3], masks, masks), masks)
    assert combine(cut, known)["median"].truth.shape == (3,)
    assert by_count(cut, known)[3][0].reference.shape == (3,)
    assert 0 < edge_share(cut, known)[0] < 1


def test_folds_leave_full_members_out(members):
    assert len(members.folds().kept[0]) == members.config.folds == 2 and len(members.kept[0]) == 3


def test_disagreement_at_the_edge_is_told_from_that_elsewhere(members):
    reference = np.zeros((32, 32), bool)
    reference[8:24, 8:24] = True
    edge = binary_dilation(reference) & ~binary_erosion(reference)
    folds = np.zeros((3, 32, 32), np.float32)
    folds[0][edge] = 1
    made = Members(members.config, [folds], [folds])
    known = Known(Batch("test", ("a",), (folds[0],), (reference,)))
    share, pixels = edge_share(made, known)
    assert share == pytest.approx(1) and pixels < 0.3
    folds[0] = ~edge
    assert edge_share(made, known)[0] < 0.3


def test_dice_is_the_challenges(scores, members, rings):
    masks = [np.median(one, axis=0) > 0.5 for one in members.kept]
    np.testing.assert_array_equal(members.masks(), masks)
    expected = [dice(mask, reference) for mask, reference in zip(masks, rings.masks, strict=True)]
    np.testing.assert_array_equal(scores["median"].reference, expected)
