from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes

from kcseg.config import AugmentationConfig, Config
from kcseg.dataset.batch import Batch
from kcseg.dataset.pipeline import TrainingSteps, outlines, training_steps, validation_dataset
from kcseg.errors import InputError
from kcseg.image.window import window

STILL = AugmentationConfig(0.0, 0.0, (1.0, 1.0), (0.0, 0.0), 0.0, 0.0)


def test_every_image_is_seen_once_before_any_is_seen_again(rings, tiny):
    config = replace(tiny, augmentation=STILL, training=replace(tiny.training, batch_size=5))
    steps = TrainingSteps(rings, config, seed=1)
    seen = np.concatenate([steps(step)[1] for step in range(12)])  # 60 images: five times the twelve
    known = {mask.tobytes(): name for name, mask in zip(rings.ids, rings.masks, strict=True)}
    order = [known[(mask[..., 0] > 0).tobytes()] for mask in seen]
    rounds = [order[start : start + 12] for start in range(0, 60, 12)]
    assert all(sorted(one) == list(rings.ids) for one in rounds)
    assert len(set(map(tuple, rounds))) == 5


def test_a_step_does_not_depend_on_the_steps_before(rings, tiny):
    whole = list(TrainingSteps(rings, tiny, seed=1).dataset(0, 8))
    late = list(TrainingSteps(rings, tiny, seed=1).dataset(5, 8))
    for (images, masks), (again, masks_again) in zip(whole[5:], late, strict=True):
        assert images.numpy().tobytes() == again.numpy().tobytes()
        assert masks.numpy().tobytes() == masks_again.numpy().tobytes()


def test_batches_are_what_the_network_takes(rings, tiny):
    images, masks = next(iter(TrainingSteps(rings, tiny, seed=1).dataset(0, 1)))
    assert images.shape == masks.shape == (4, 32, 32, 1)
    assert images.dtype == masks.dtype == np.float32
    assert images.numpy().min() >= 0 and images.numpy().max() <= 1
    assert set(np.unique(masks)) == {0, 1}


def test_smaller_images_are_laid_on_air(rings, tiny):
    cut = replace(
        rings, images=(rings.images[0][:20], *rings.images[1:]), masks=(rings.masks[0][:20], *rings.masks[1:])
    )
    config = replace(tiny, augmentation=STILL, training=replace(tiny.training, batch_size=12))
    images, masks = TrainingSteps(cut, config, seed=1)(0)
    smallest = np.argmin(masks.sum(axis=(1, 2, 3)))
    assert images[smallest, :6].max() == 0 and images[smallest, -6:].max() == 0


def test_validation_images_are_only_windowed(rings, tiny):
    images, masks = (np.concatenate(parts) for parts in zip(*validation_dataset(rings, tiny), strict=True))
    np.testing.assert_array_equal(images[..., 0], window(np.stack(rings.images), tiny.image.window_hu))
    np.testing.assert_array_equal(masks[..., 0], np.stack(rings.masks))


def two_structures(rings: Batch, tiny: Config) -> tuple[Batch, Config]:
    """Return images of several sizes with kidneys, and the configuration that cuts squares from them."""
    wide = [np.pad(image, ((0, 30), (10, 0)), constant_values=-1024) for image in rings.images]
    masks = [np.pad(mask, ((0, 30), (10, 0))) for mask in rings.masks]
    kidneys = tuple(binary_fill_holes(mask) for mask in masks)
    batch = replace(rings, images=tuple(wide), masks=tuple(masks), kidneys=kidneys)
    network = replace(tiny.network, structures=("cortex", "kidney"))
    return batch, replace(tiny, network=network, augmentation=replace(STILL, crop_px=24))


def test_squares_hold_image_and_both_outlines_of_one_place(rings, tiny):
    batch, config = two_structures(rings, tiny)
    images, labels = training_steps(batch, config, seed=1)(0)
    assert images.shape == (4, 24, 24, 1) and labels.shape == (4, 24, 24, 2)
    cortex, kidney = labels[..., 0] > 0, labels[..., 1] > 0
    assert kidney.any() and not (cortex & ~kidney).any()
    assert images[..., 0][cortex].mean() > images[..., 0][~kidney].mean()


def test_squares_of_validation_stay_where_they_are(rings, tiny):
    batch, config = two_structures(rings, tiny)
    first, second = (list(validation_dataset(batch, config)) for _ in range(2))
    for (images, labels), (again, labels_again) in zip(first, second, strict=True):
        assert images.shape[1:] == (24, 24, 1) and labels.shape[1:] == (24, 24, 2)
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(labels, labels_again)


def test_a_network_for_kidneys_needs_their_masks(rings, tiny):
    _, config = two_structures(rings, tiny)
    with pytest.raises(InputError, match=r"kidneys/ID\.npy"):
        outlines(rings, config)
