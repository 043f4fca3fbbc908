"""Training and validation batches as tf.data, each a function of its step and the seed alone."""

import numpy as np
import tensorflow as tf

from kcseg.config import Config
from kcseg.data.augment import Augmenter
from kcseg.data.batch import Batch
from kcseg.data.window import AIR_HU, stack, window


class TrainingSteps:
    """The endless stream of training batches; any step can be asked for, which is what makes training resumable.

    The images are dealt in a new random order each time all have been seen, and no batch is ever smaller than
    `batch_size`: a batch may begin with the last images of one order and end with the first of the next.
    """

    def __init__(self, batch: Batch, config: Config, *, seed: int):
        if batch.masks is None:
            raise ValueError("training needs masks")
        self._images = window(stack(batch.images, AIR_HU), config.image.window_hu)
        self._masks = stack(batch.masks, False).astype(np.uint8)
        self._augmenter = Augmenter(config.augmentation)
        self._batch_size = config.training.batch_size
        self._seed = seed

    @property
    def per_epoch(self) -> int:
        """Steps in which every image is seen once, rounded up."""
        return -(-len(self._images) // self._batch_size)

    def __call__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return images and masks of a step, float32 (batch_size, height, width, 1) in [0, 1] each."""
        position = int(step) * self._batch_size + np.arange(self._batch_size)
        chosen = [
            self._order(int(round))[place]
            for round, place in zip(*divmod(position, len(self._images)), strict=True)
        ]
        images, masks = self._augmenter(
            self._images[chosen], self._masks[chosen], seed=_seed(self._seed, 1, int(step))
        )
        return images[..., np.newaxis], masks[..., np.newaxis].astype(np.float32)

    def dataset(self, first: int, last: int) -> tf.data.Dataset:
        """Return the steps from `first` up to `last`, prepared ahead of the training step that takes them."""
        _, height, width = self._images.shape
        both = tf.TensorSpec((self._batch_size, height, width, 1), tf.float32)
        # a generator and not a map: tf.data runs maps in several threads when it sees fit, the augmenter stands one
        steps = tf.data.Dataset.from_generator(
            lambda: map(self, range(first, last)), output_signature=(both, both)
        )
        return steps.prefetch(2)

    def _order(self, round: int) -> np.ndarray:
        return np.random.default_rng([self._seed, 0, round]).permutation(len(self._images))


def validation_dataset(batch: Batch, config: Config) -> tf.data.Dataset:
    """Return images and references unchanged but for the window, float32 (batch, height, width, 1) in [0, 1] each."""
    if batch.masks is None:
        raise ValueError("validation needs masks")
    images = window(stack(batch.images, AIR_HU), config.image.window_hu)
    masks = stack(batch.masks, False).astype(np.float32)
    dataset = tf.data.Dataset.from_tensor_slices((images[..., np.newaxis], masks[..., np.newaxis]))
    return dataset.batch(config.training.batch_size).prefetch(1)


def _seed(*parts: int) -> int:
    """Mix numbers into one 32-bit seed."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
