"""Everything between a CT image and its cortex mask as one graph of stock TensorFlow operations."""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from typing import Any, Protocol

import keras
import tensorflow as tf

from kcseg.config import Config, ExportConfig
from kcseg.network.components import keep_largest_component
from kcseg.network.fold import fold_normalisation
from kcseg.network.median import exchange_median
from kcseg.serving.contract import KIDNEY
from kcseg.serving.png import decode_grey_png

IMAGE = tf.TensorSpec((None, None, None), tf.float32, name="image")
INT16_IMAGE = tf.TensorSpec((None, None, None), tf.int16, name="image")
IMAGE_BYTES = tf.TensorSpec((None,), tf.string, name="image_bytes")


class Trained(Protocol):
    """Trained members and what is known of them: a run, or the weights packed from one."""

    @property
    def config(self) -> Config:
        """The method they were trained with."""

    def load_network(self, number: int, into: keras.Model | None = None) -> keras.Model:
        """Build a member's network, numbers from 1, or take that of another one, and give it its weights."""

    def member_facts(self, number: int) -> dict[str, Any]:
        """At least `validation_dice`, None of a member trained on all images, and `sha256` of its weights."""

    def training_data(self) -> dict[str, Any]:
        """At least the number of `images` and their fingerprint `sha256`."""


def _graph(spec: tf.TensorSpec) -> Callable:
    """Make a graph of a function of one tensor; none here branches on values, which autograph would look for."""
    return tf.function(input_signature=[spec], autograph=False)


class EnsembleGraph(tf.Module):
    """The members side by side, the largest component of each, and the median; HU in, cortex and kidney out.

    Where the members find the kidney, too, its outputs come beside those of the cortex.

    Side by side was the fastest of the arrangements measured (`benchmarks/serving.py`). Whatever is sent is answered
    or refused with an InvalidArgumentError: NaN counts as air, infinities and other values beyond the window as its
    ends, an image or batch without pixels gets an answer without pixels, and a request of more than
    `settings.maximum_pixels` is refused (our choice).
    """

    def __init__(self, networks: Iterable[keras.Model], config: Config, settings: ExportConfig):
        """Take the members' networks, all of one shape; each is done with before the next is asked for."""
        super().__init__()
        self._config = config
        self._settings = settings
        self._network: keras.Model = None  # folded; the members differ in their weights alone
        self._members = []
        for network in networks:
            self._network = fold_normalisation(network, dtype=settings.precision, into=self._network)
            self._members.append([tf.Variable(weight.value) for weight in self._network.trainable_variables])

    @classmethod
    def of(
        cls, trained: Trained, settings: ExportConfig, numbers: Collection[int] | None = None
    ) -> "EnsembleGraph":
        """Return that of trained members: all of them, or those with these numbers."""

        def networks() -> Iterator[keras.Model]:
            network = None
            for number in numbers or trained.config.member_numbers:
                yield (network := trained.load_network(number, network))

        return cls(networks(), trained.config, settings)

    @property
    def signatures(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """The functions by the names they are served under."""
        return {
            "serving_default": self.segment,
            "int16": self.segment_int16,
            "png": self.segment_png,
            "members": self.members,
            "raw_members": self.raw_members,
            "raw": self.raw,
        }

    @cached_property
    def traced(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The signatures as graphs; saving the functions themselves would trace each a second time."""
        return {name: function.get_concrete_function() for name, function in self.signatures.items()}

    def weights(self) -> tf.Module:
        """Return what holds the members' weights, and no function or layer: each would be traced and saved again."""
        holder = tf.Module()
        holder.weights = [weight for weights in self._members for weight in weights]
        return holder

    def signature_dtypes(self) -> dict[str, dict[str, dict[str, str]]]:
        """Return the dtypes of inputs and outputs by signature."""
        return {
            name: {
                "inputs": {spec.name: spec.dtype.name for spec in function.structured_input_signature[0]},
                "outputs": {key: spec.dtype.name for key, spec in function.structured_outputs.items()},
            }
            for name, function in self.traced.items()
        }

    @_graph(IMAGE)
    def segment(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Segment images in HU, float32 (batch, height, width), any size.

        Returns:
            `mask` uint8, `probability` float32 (the median), `disagreement` float32 (the members' standard deviation,
            our choice), each (batch, height, width); of members that find kidneys also `kidney_probability`.
        """
        found = self._medians(self._soft_masks(image))
        mask = tf.cast(found["probability"] > self._config.ensemble.mask_threshold, tf.uint8)
        return {"mask": mask, **found}

    @_graph(IMAGE)
    def raw(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return `probability`, `disagreement` and `kidney_probability` as `segment` does, but without components.

        For images of more than one kidney, and for scans, whose components are found in 3D.
        """
        return self._medians(self._raw_masks(image))

    @_graph(INT16_IMAGE)
    def segment_int16(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Segment images in HU as CT stores them, int16 (batch, height, width): half the bytes to send."""
        return self.segment(tf.cast(tf.ensure_shape(image, INT16_IMAGE.shape), tf.float32))

    @_graph(IMAGE_BYTES)
    def segment_png(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Segment 16-bit grey PNGs of one size, string (batch,); HU are the stored values and `hu_offset`."""
        stored = decode_grey_png(image_bytes, self._settings.maximum_pixels)
        return self.segment(tf.cast(stored, tf.float32) + self._settings.hu_offset)

    @_graph(IMAGE)
    def members(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return every member's `soft_masks` after components, float32 (batch, members, height, width)."""
        return {"soft_masks": tf.stack(self._soft_masks(image)[0], axis=1)}

    @_graph(IMAGE)
    def raw_members(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return every member's `soft_masks` before components, float32 (batch, members, height, width)."""
        return {"soft_masks": tf.stack(self._raw_masks(image)[0], axis=1)}

    def _medians(self, structures: list[list[tf.Tensor]]) -> dict[str, tf.Tensor]:
        """Combine the members' soft masks of the cortex, and of the kidney where they find it."""
        cortex, *kidney = structures
        found = {
            "probability": exchange_median(cortex),
            "disagreement": tf.math.reduce_std(tf.stack(cortex), axis=0),
        }
        return {**found, KIDNEY: exchange_median(kidney[0])} if kidney else found

    @_graph(IMAGE)
    def _soft_masks(self, image: tf.Tensor) -> list[list[tf.Tensor]]:
        return [[self._largest_component(mask) for mask in masks] for masks in self._raw_masks(image)]

    @_graph(IMAGE)
    def _largest_component(self, mask: tf.Tensor) -> tf.Tensor:
        ensemble = self._config.ensemble
        return keep_largest_component(
            mask, threshold=ensemble.component_threshold, neighbours=ensemble.neighbours
        )

    @_graph(IMAGE)
    def _raw_masks(self, image: tf.Tensor) -> list[list[tf.Tensor]]:
        """Return the members' soft masks of each structure, (batch, height, width) each."""
        # without this, an image of another rank reaches a kernel that aborts the whole process
        image = tf.ensure_shape(image, IMAGE.shape)
        batch, height, width = tf.unstack(tf.shape(image))
        windowed = self._window(_with_pixels(self._of_bearable_size(image)))
        soft_masks = [
            self._soft_mask(windowed[..., tf.newaxis], list(map(tf.convert_to_tensor, weights)))[
                :batch, :height, :width
            ]
            for weights in self._members
        ]
        return [
            [mask[..., place] for mask in soft_masks] for place in range(len(self._config.network.structures))
        ]

    @tf.function(autograph=False)
    def _soft_mask(self, windowed: tf.Tensor, weights: list[tf.Tensor]) -> tf.Tensor:
        """Return what the network gives with these weights: a graph of its own, traced once for all members."""
        seeds = [tf.zeros(seed.shape, seed.dtype) for seed in self._network.non_trainable_variables]
        return self._network.stateless_call(weights, seeds, windowed, training=False)[0]

    def _of_bearable_size(self, image: tf.Tensor) -> tf.Tensor:
        pixels, most = tf.size(image, out_type=tf.int64), self._settings.maximum_pixels
        message = f"expected at most {most} pixels in a request, got"
        with tf.control_dependencies([tf.debugging.Assert(pixels <= most, [message, pixels])]):
            return tf.identity(image)

    def _window(self, image: tf.Tensor) -> tf.Tensor:
        """Clip to the window, NaN to its lower end, and rescale it to [0, 1]."""
        low, high = self._config.image.window_hu
        image = tf.where(tf.math.is_nan(image), low, image)
        return (tf.clip_by_value(image, low, high) - low) / (high - low)


def _with_pixels(image: tf.Tensor) -> tf.Tensor:
    """Give images or batches without pixels one: fused convolutions fail on empty tensors."""
    missing = tf.cast(tf.shape(image) == 0, tf.int32)
    return tf.pad(image, tf.stack([tf.zeros_like(missing), missing], axis=1))
