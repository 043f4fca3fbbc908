from dataclasses import replace

import numpy as np

from kcseg.config import AugmentationConfig
from kcseg.dataset.pipeline import TrainingSteps, validation_dataset
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
