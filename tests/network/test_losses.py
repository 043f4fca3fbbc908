import keras
import numpy as np
import pytest

from kcseg.network.losses import LOSSES, binary_crossentropy, dice, soft_dice_loss, where_known
from kcseg.study import scores


@pytest.fixture
def pair():
    random = np.random.default_rng(0)
    reference = (random.random((3, 9, 8, 1)) < 0.3).astype(np.float32)
    return reference, random.uniform(0.01, 0.99, reference.shape).astype(np.float32)


def test_dice_is_the_challenge_score_of_each_image(pair):
    reference, soft_mask = pair
    expected = [scores.dice(soft > 0.5, mask > 0) for soft, mask in zip(soft_mask, reference, strict=True)]
    np.testing.assert_allclose(dice(reference, soft_mask), expected, atol=1e-6)


def test_dice_of_two_empty_masks_is_one():
    empty = np.zeros((1, 4, 4, 1), np.float32)
    assert float(dice(empty, empty)[0]) == 1


def test_crossentropy_is_the_mean_over_pixels(pair):
    reference, soft_mask = pair
    expected = -np.log(np.where(reference > 0, soft_mask, 1 - soft_mask)).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(binary_crossentropy(reference, soft_mask), expected, rtol=1e-4)


def test_soft_dice_falls_from_one_to_zero():
    mask = np.zeros((1, 20, 20, 1), np.float32)
    mask[:, 5:15, 5:15] = 1
    assert float(soft_dice_loss(mask, 1 - mask)[0]) > 0.99
    assert float(soft_dice_loss(mask, mask)[0]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_prefers_the_right_mask(name, pair):
    reference, _ = pair
    right, wrong = np.clip(reference, 0.1, 0.9), np.clip(1 - reference, 0.1, 0.9)
    assert np.all(np.asarray(LOSSES[name](reference, right)) < np.asarray(LOSSES[name](reference, wrong)))


def test_unknown_pixels_count_for_nothing():
    reference = np.zeros((2, 4, 4, 1), np.float32)
    reference[:, :2] = 1
    soft_mask = np.random.default_rng(0).uniform(0.1, 0.9, reference.shape).astype(np.float32)
    unknown = reference.copy()
    unknown[:, :, 3] = -1
    other = soft_mask.copy()
    other[:, :, 3] = 0.5
    for measure in (*LOSSES.values(), dice):
        found = keras.ops.convert_to_numpy(where_known(measure)(unknown, soft_mask))
        np.testing.assert_allclose(found, keras.ops.convert_to_numpy(where_known(measure)(unknown, other)))
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(where_known(measure)(reference, soft_mask)),
            keras.ops.convert_to_numpy(measure(reference, soft_mask)),
        )
