"""The exported ensemble, ready to be asked."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import tensorflow as tf

from kcseg.errors import InputError
from kcseg.serving.export import versions
from kcseg.training.run import MODEL_NAME


@dataclass(frozen=True)
class Segmentation:
    """What the ensemble says of a stack of images; arrays are (batch, height, width).

    `mask` bool, True = cortex; `probability` float32, the median of the members; `disagreement` float32, their
    standard deviation.
    """

    mask: np.ndarray
    probability: np.ndarray
    disagreement: np.ndarray


class Ensemble:
    """Seven networks, their components and the median behind one call."""

    def __init__(self, model: tf.Module):
        self._model = model  # keeps the variables alive that the signatures use
        self._segment = model.signatures["serving_default"]
        self._members = model.signatures["members"]

    @classmethod
    def load(cls, path: Path) -> "Ensemble":
        """Load from a run folder, a model folder (its newest version) or one version.

        Raises:
            InputError: no exported ensemble is there, or it cannot be read.
        """
        folder = find_model(path)
        try:
            return cls(tf.saved_model.load(str(folder)))
        except (OSError, ValueError, KeyError, RuntimeError, AttributeError, tf.errors.OpError) as error:
            raise InputError(
                f"{folder} cannot be loaded as a kcseg ensemble ({error}); export it anew"
            ) from error

    def segment(self, images_hu: np.ndarray) -> Segmentation:
        """Segment images in HU, (batch, height, width), any size."""
        found = self._segment(image=_as_images(images_hu))
        return Segmentation(
            mask=found["mask"].numpy().astype(bool),
            probability=found["probability"].numpy(),
            disagreement=found["disagreement"].numpy(),
        )

    def segment_each(self, images_hu: Iterable[np.ndarray], batch_size: int = 8) -> Iterator[Segmentation]:
        """Segment images (height, width) one after the other, in order; only a batch is held in memory.

        Neighbours of one shape go through the networks together. Each result's arrays are (height, width).
        """
        for _, same_shape in groupby(images_hu, key=np.shape):
            while images := list(islice(same_shape, batch_size)):
                found = self.segment(np.stack(images))
                for parts in zip(found.mask, found.probability, found.disagreement, strict=True):
                    yield Segmentation(*parts)

    def soft_masks(self, images_hu: np.ndarray) -> np.ndarray:
        """Return each member's soft mask after components, float32 (batch, members, height, width)."""
        return self._members(image=_as_images(images_hu))["soft_masks"].numpy()


def _as_images(images_hu: np.ndarray) -> tf.Tensor:
    if np.ndim(images_hu) != 3:
        raise InputError(f"expected images as (batch, height, width), got shape {np.shape(images_hu)}")
    return tf.constant(images_hu, tf.float32)


def find_model(path: Path) -> Path:
    """Return the folder that holds the saved_model.pb meant by `path`."""
    for folder in (path, path / "export" / MODEL_NAME):
        if (folder / "saved_model.pb").is_file():
            return folder
        found = versions(folder)
        if found:
            return folder / str(found[-1])
    if (path / "config.json").is_file():
        raise InputError(f"{path} is a run that is not exported yet; run kcseg-train on it until it ends")
    raise InputError(f"there is no exported ensemble in {path}; name a run folder or an exported model")
