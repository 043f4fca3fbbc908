"""Training and validation batches as tf.data, each a function of its step and the seed alone."""

from abc import ABC, abstractmethod

import numpy as np
import tensorflow as tf

from kcseg.config import Config, PretrainingConfig
from kcseg.dataset.augment import Augmenter
from kcseg.dataset.batch import Batch
from kcseg.dataset.coco import UNKNOWN, CocoPersons
from kcseg.image.window import AIR_HU, stack, window


class Steps(ABC):
    """The endless stream of training batches. A batch depends on its step alone, so that training can be resumed.

    The images come in a new random order each time all have been seen. No batch is smaller than `batch_size`: it
    may begin with the last images of one order and end with the first of the next.
    """

    def __init__(
        self, count: int, size: tuple[int, int], config: Config, seed: int, per_epoch: int | None = None
    ):
        self._count = count
        self._size = size
        self._batch_size = config.training.batch_size
        self._augmenter = Augmenter(config.augmentation)
        self._seed = seed
        # steps of an epoch; if not given, those in which every image is seen once, rounded up
        self.per_epoch = per_epoch or -(-count // self._batch_size)

    def __call__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return images and references of a step, float32 (batch_size, height, width, 1) each, images in [0, 1]."""
        position = step * self._batch_size + np.arange(self._batch_size)
        chosen = [
            int(self._order(int(round))[place])
            for round, place in zip(*divmod(position, self._count), strict=True)
        ]
        seed = int(np.random.SeedSequence([self._seed, 1, step]).generate_state(1)[0])
        images, labels = self._augmenter(*self._take(chosen, step), seed=seed)
        return images[..., np.newaxis], _as_reference(labels)

    @abstractmethod
    def _take(self, chosen: list[int], step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the images by number, float32 in [0, 1], and their labels, uint8; (batch_size, height, width) each."""

    def dataset(self, first: int, last: int) -> tf.data.Dataset:
        """Return the steps from `first` up to `last`, prepared ahead of the training step that takes them."""
        both = tf.TensorSpec((self._batch_size, *self._size, 1), tf.float32)
        # a generator and not a map: tf.data may run maps in several threads, and the augmenter allows one
        steps = tf.data.Dataset.from_generator(
            lambda: map(self, range(first, last)), output_signature=(both, both)
        )
        return steps.prefetch(2)

    def _order(self, round: int) -> np.ndarray:
        return np.random.default_rng([self._seed, 0, round]).permutation(self._count)


class TrainingSteps(Steps):
    """Images of the challenge and their references."""

    def __init__(self, batch: Batch, config: Config, *, seed: int, per_epoch: int | None = None):
        self._images, self._masks = _stacked(batch, config)
        super().__init__(len(batch), self._images.shape[1:], config, seed, per_epoch)

    def _take(self, chosen: list[int], step: int) -> tuple[np.ndarray, np.ndarray]:
        return self._images[chosen], self._masks[chosen]


class PersonSteps(Steps):
    """Crops of COCO persons, read from disk as they are needed; a crowd's pixels are unknown to loss and Dice."""

    def __init__(self, persons: CocoPersons, config: Config, *, seed: int):
        self._persons = persons
        self._pretraining = config.pretraining
        size = (self._pretraining.size_px,) * 2
        # not all of COCO in an epoch: a kill loses the epoch it falls into
        super().__init__(len(persons), size, config, seed, self._pretraining.steps_per_epoch)

    def _take(self, chosen: list[int], step: int) -> tuple[np.ndarray, np.ndarray]:
        return _crops(self._persons, self._pretraining, chosen, np.random.default_rng([self._seed, 2, step]))


def person_validation(persons: CocoPersons, config: Config) -> tf.data.Dataset:
    """Return a fixed choice of crops, as `PersonSteps` delivers them but unchanged."""
    count = min(config.pretraining.validation_crops, 4 * len(persons))
    random = np.random.default_rng([config.seed, 3])
    chosen = random.permutation(count) % len(persons)
    return _validation(*_crops(persons, config.pretraining, chosen.tolist(), random), config)


def _crops(
    persons: CocoPersons, config: PretrainingConfig, chosen: list[int], random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*(persons.crop(index, config, random) for index in chosen), strict=True)
    return np.stack(images), np.stack(labels)


def validation_dataset(batch: Batch, config: Config) -> tf.data.Dataset:
    """Return windowed images and their references, float32 (batch, height, width, 1) in [0, 1] each."""
    return _validation(*_stacked(batch, config), config)


def _stacked(batch: Batch, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Return windowed images, float32 in [0, 1], and masks, uint8; (count, height, width) each."""
    if batch.masks is None:
        raise ValueError("training needs masks")
    images = window(stack(batch.images, AIR_HU), config.image.window_hu)
    return images, stack(batch.masks, False).astype(np.uint8)


def _validation(images: np.ndarray, labels: np.ndarray, config: Config) -> tf.data.Dataset:
    dataset = tf.data.Dataset.from_tensor_slices((images[..., np.newaxis], _as_reference(labels)))
    return dataset.batch(config.training.batch_size).prefetch(1)


def _as_reference(labels: np.ndarray) -> np.ndarray:
    """Return labels as float32 with a channel; unknown pixels become negative, as `losses.where_known` expects."""
    return np.where(labels == UNKNOWN, -1.0, labels)[..., np.newaxis].astype(np.float32)
