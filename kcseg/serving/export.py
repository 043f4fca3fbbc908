"""The trained members, their largest components and the median as one SavedModel: HU in, cortex out."""

from pathlib import Path

import keras
import tensorflow as tf

from kcseg.config import Config
from kcseg.errors import InputError
from kcseg.files import atomic_folder
from kcseg.network.components import keep_largest_component
from kcseg.network.median import exchange_median
from kcseg.training.run import Run


class EnsembleGraph(tf.Module):
    """Everything between a CT image and its cortex mask, in stock TensorFlow operations."""

    def __init__(self, networks: list[keras.Model], config: Config):
        super().__init__()
        self.networks = networks
        self._config = config

    @tf.function(input_signature=[tf.TensorSpec((None, None, None), tf.float32, name="image")])
    def segment(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Segment images in HU, float32 (batch, height, width), any size.

        Returns:
            `mask` uint8, `probability` float32 (the median), `disagreement` float32 (the members' standard deviation,
            our choice), each (batch, height, width).
        """
        soft_masks = self._soft_masks(image)
        probability = exchange_median(soft_masks)
        return {
            "mask": tf.cast(probability > self._config.ensemble.mask_threshold, tf.uint8),
            "probability": probability,
            "disagreement": tf.math.reduce_std(tf.stack(soft_masks), axis=0),
        }

    @tf.function(input_signature=[tf.TensorSpec((None, None, None), tf.float32, name="image")])
    def members(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return every member's `soft_masks` after components, float32 (batch, members, height, width)."""
        return {"soft_masks": tf.stack(self._soft_masks(image), axis=1)}

    def _soft_masks(self, image: tf.Tensor) -> list[tf.Tensor]:
        # without this, an image of another rank reaches a kernel that aborts the whole process
        image = tf.ensure_shape(image, (None, None, None))
        low, high = self._config.image.window_hu
        windowed = (tf.clip_by_value(image, low, high) - low) / (high - low)
        ensemble = self._config.ensemble
        return [
            keep_largest_component(
                network(windowed[..., tf.newaxis], training=False)[..., 0],
                threshold=ensemble.component_threshold,
                neighbours=ensemble.neighbours,
            )
            for network in self.networks
        ]


def export_run(run: Run) -> Path:
    """Write the ensemble of a run to `export/kcseg/<version>` inside it and return that folder.

    Versions count up, as TF Serving expects; an earlier one is never touched.

    Raises:
        InputError: members are missing, or a member's weights are not what training wrote.
    """
    missing = run.missing_members()
    if missing:
        raise InputError(
            f"{run.folder} lacks the members {', '.join(map(str, missing))}; run kcseg-train on it until it ends"
        )
    networks = [run.load_network(number) for number in run.config.member_numbers]
    graph = EnsembleGraph(networks, run.config)
    target = run.export_folder / str(max(versions(run.export_folder), default=0) + 1)
    with atomic_folder(target) as temporary:
        tf.saved_model.save(
            graph, str(temporary), signatures={"serving_default": graph.segment, "members": graph.members}
        )
    return target


def versions(folder: Path) -> list[int]:
    """Return the versions of an exported model, lowest first."""
    return sorted(
        int(path.parent.name) for path in folder.glob("*/saved_model.pb") if path.parent.name.isdigit()
    )
