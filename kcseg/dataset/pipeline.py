"""Training and validation batches as tf.data, each a function of its step and the seed alone."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from kcseg.config import Config, PretrainingConfig
from kcseg.dataset.augment import Augmenter
from kcseg.dataset.batch import Batch
from kcseg.dataset.coco import UNKNOWN, CocoPersons
from kcseg.errors import InputError
from kcseg.image.window import AIR_HU, stack, window

# Of the squares (our choice): around the last structure, and around tissue as bright; the others lie anywhere.
_AROUND_RATE, _BRIGHT_RATE = 0.5, 0.25
_BRIGHT_HU = (80.0, 350.0)


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
        self._structures = len(config.network.structures)
        self._batch_size = config.training.batch_size
        self._augmenter = Augmenter(config.augmentation)
        self._seed = seed
        # steps of an epoch; if not given, those in which every image is seen once, rounded up
        self.per_epoch = per_epoch or -(-count // self._batch_size)

    def __call__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return images in [0, 1] and references of a step, float32 (batch_size, height, width, 1 or structures)."""
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
        """Return the images by number, float32 (batch_size, height, width) in [0, 1], and their labels.

        Labels are uint8 (batch_size, height, width, structures).
        """

    def dataset(self, first: int, last: int) -> tf.data.Dataset:
        """Return the steps from `first` up to `last`, prepared ahead of the training step that takes them."""
        images, references = (
            tf.TensorSpec((self._batch_size, *self._size, channels), tf.float32)
            for channels in (1, self._structures)
        )
        # a generator and not a map: tf.data may run maps in several threads, and the augmenter allows one
        steps = tf.data.Dataset.from_generator(
            lambda: map(self, range(first, last)), output_signature=(images, references)
        )
        return steps.prefetch(2)

    def _order(self, round: int) -> np.ndarray:
        return np.random.default_rng([self._seed, 0, round]).permutation(self._count)


class TrainingSteps(Steps):
    """Images of the challenge, whole, and their references."""

    def __init__(self, batch: Batch, config: Config, *, seed: int, per_epoch: int | None = None):
        self._images, self._labels = _stacked(batch, config)
        super().__init__(len(batch), self._images.shape[1:3], config, seed, per_epoch)

    def _take(self, chosen: list[int], step: int) -> tuple[np.ndarray, np.ndarray]:
        return self._images[chosen], self._labels[chosen]


class CropSteps(Steps):
    """Squares cut anywhere from images of any size, many of them around a kidney, where there is one."""

    def __init__(self, batch: Batch, config: Config, *, seed: int, per_epoch: int | None = None):
        self._batch, self._config = batch, config
        super().__init__(len(batch), (config.augmentation.crop_px,) * 2, config, seed, per_epoch)

    def _take(self, chosen: list[int], step: int) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng([self._seed, 2, step])
        # with room around the square for what is turned or moved in
        return _squares(self._batch, self._config, chosen, random, room=1.5)


def training_steps(batch: Batch, config: Config, *, seed: int, per_epoch: int | None = None) -> Steps:
    """Return the steps over a batch's images, whole or cut, as the configuration says."""
    kind = CropSteps if config.augmentation.crop_px else TrainingSteps
    return kind(batch, config, seed=seed, per_epoch=per_epoch)


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
    return np.stack(images), np.stack(labels)[..., np.newaxis]


def validation_dataset(batch: Batch, config: Config) -> tf.data.Dataset:
    """Return windowed images and their references, float32 (batch, height, width, 1 or structures) in [0, 1] each.

    Where training cuts squares, so does this, at places that stay the same.
    """
    if not config.augmentation.crop_px:
        return _validation(*_stacked(batch, config), config)
    random = np.random.default_rng([config.seed, 3])
    return _validation(*_squares(batch, config, range(len(batch)), random), config)


def _stacked(batch: Batch, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Return windowed images, float32 (count, height, width), and labels, uint8 (count, height, width, structures)."""
    images = window(stack(batch.images, AIR_HU), config.image.window_hu)
    masks = [stack(masks, False) for masks in outlines(batch, config)]
    return images, np.stack(masks, axis=-1).astype(np.uint8)


def outlines(batch: Batch, config: Config) -> list[tuple[np.ndarray, ...]]:
    """Return the masks of each structure, in the order of the network's outputs.

    Raises:
        InputError: the batch lacks those of a structure.
    """
    known = {"cortex": batch.masks, "kidney": batch.kidneys}
    found = []
    for name in config.network.structures:
        masks = known[name]
        if masks is None:
            folder = {"cortex": "masks", "kidney": "kidneys"}[name]
            raise InputError(f"training a network for {name} needs {folder}/ID.npy of every training image")
        found.append(masks)
    return found


def _squares(
    batch: Batch, config: Config, chosen: Iterable[int], random: np.random.Generator, room: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a square around a place of each image, `room` times as large; air and no structure beyond the image.

    Returns as `_stacked`.
    """
    side, structures = config.augmentation.crop_px, outlines(batch, config)
    images, labels = [], []
    for index in chosen:
        image, masks = batch.images[index], [masks[index] for masks in structures]
        middle = _place(image, masks[-1], side, random)
        images.append(_cut(image, middle, round(room * side), AIR_HU))
        labels.append(np.stack([_cut(mask, middle, round(room * side), False) for mask in masks], axis=-1))
    return window(np.stack(images), config.image.window_hu), np.stack(labels).astype(np.uint8)


def _place(image: np.ndarray, mask: np.ndarray, side: int, random: np.random.Generator) -> np.ndarray:
    """Draw the middle of a square within the image; many hold a pixel of the mask, or of tissue as bright."""
    size = np.array(mask.shape)
    kind, offset = random.random(), random.uniform(-side / 2, side / 2, 2)
    middle = random.uniform((0, 0), size)
    if kind < _AROUND_RATE + _BRIGHT_RATE:
        around = mask if kind < _AROUND_RATE else (image > _BRIGHT_HU[0]) & (image < _BRIGHT_HU[1])
        if len(inside := np.flatnonzero(around)):
            middle = np.array(divmod(int(random.choice(inside)), mask.shape[1])) + offset
    least = np.minimum(side / 2, size / 2)
    return np.clip(middle, least, size - least).astype(int)


def _cut(pixels: np.ndarray, middle: np.ndarray, side: int, fill: float) -> np.ndarray:
    """Return a square around a pixel, with `fill` beyond the image."""
    square = np.full((side, side), fill, pixels.dtype)
    first = middle - side // 2
    low, high = np.maximum(first, 0), np.minimum(first + side, pixels.shape)
    into = tuple(slice(*ends) for ends in zip((low - first).tolist(), (high - first).tolist(), strict=True))
    square[into] = pixels[tuple(slice(*ends) for ends in zip(low.tolist(), high.tolist(), strict=True))]
    return square


def _validation(images: np.ndarray, labels: np.ndarray, config: Config) -> tf.data.Dataset:
    dataset = tf.data.Dataset.from_tensor_slices((images[..., np.newaxis], _as_reference(labels)))
    return dataset.batch(config.training.batch_size).prefetch(1)


def _as_reference(labels: np.ndarray) -> np.ndarray:
    """Return labels as float32; unknown pixels become negative, as `losses.where_known` expects."""
    return np.where(labels == UNKNOWN, -1.0, labels).astype(np.float32)
