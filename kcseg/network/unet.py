"""The paper's U-Net: residual blocks on five levels, convolutions on the skips, a sigmoid at the end."""

import zlib
from dataclasses import dataclass
from itertools import pairwise

import keras
from keras import KerasTensor, layers

from kcseg.config import NetworkConfig
from kcseg.network.normalisation import BatchNormalization


def build_unet(config: NetworkConfig, *, seed: int) -> keras.Model:
    """Build the network with seeded random weights.

    Input `image`, float32 (batch, height, width, 1): HU windowed to [0, 1], any height and width. Output
    `soft_mask`, float32 (batch, height, width, structures) in [0, 1]. Source: the paper's figure 2, which finds one
    structure; filters, blocks, kernel and up-sampling are our choice (`NetworkConfig`).
    """
    blocks = _Blocks(config, seed)
    filters = [config.filters * 2**level for level in range(config.levels)]

    image = keras.Input((None, None, 1), name="image")
    x = blocks.convolution(image, filters[0], "first")
    skips = []
    for level, width in enumerate(filters[:-1], start=1):
        x = blocks.residual(x, width, f"down{level}")
        skips.append(blocks.skip(x, width, f"skip{level}"))
        x = layers.MaxPooling2D(padding="same", name=f"pool{level}")(x)
    x = blocks.residual(x, filters[-1], "bottom")
    for level in range(config.levels - 1, 0, -1):
        width, skip = filters[level - 1], skips.pop()
        x = CropLike(name=f"crop{level}")([blocks.upsample(x, width, f"rise{level}"), skip])
        x = layers.Concatenate(name=f"join{level}")([skip, x])
        x = blocks.convolution(x, width, f"merge{level}")
        x = blocks.residual(x, width, f"up{level}")
    head = layers.Conv2D(
        len(config.structures),
        1,
        activation="sigmoid",
        kernel_initializer=blocks.initializer("soft_mask"),
        name="soft_mask",
    )
    return keras.Model(image, head(x), name="unet")


def count_parameters(config: NetworkConfig) -> int:
    """Return how many weights the network has, all of them, without building any.

    Reckoned and not asked of Keras, which keeps a count's variables and names for the networks built after it.
    """
    widths = [config.filters * 2**level for level in range(config.levels)]

    def normalised(inputs: int, width: int, kernel_px: int = config.kernel_px) -> int:
        return kernel_px**2 * inputs * width + 4 * width

    def residual(inputs: int, width: int) -> int:
        shortcut = 0 if inputs == width else normalised(inputs, width, 1)
        inner = 2 * config.blocks_per_level - 1
        return shortcut + normalised(inputs, width) + inner * normalised(width, width)

    # the first convolution and the head
    count = normalised(1, widths[0]) + len(config.structures) * (widths[0] + 1)
    for above, width in zip([widths[0], *widths], widths, strict=False):
        count += residual(above, width)
    upsampling_px = 2 if config.upsampling == "transpose" else 1
    for width, below in pairwise(widths):
        count += config.skip_convolutions * normalised(width, width)
        count += upsampling_px**2 * below * width + width
        count += normalised(2 * width, width) + residual(width, width)
    return count


class CropLike(layers.Layer):
    """Crop the first of two inputs to the height and width of the second.

    Pooling rounds odd sizes up, so an up-sampled map is at most one pixel larger than its skip: cropping there lets
    the network take images of any size.
    """

    def call(self, inputs: list[KerasTensor]) -> KerasTensor:
        """Crop x (batch, height, width, channels) to its target's height and width."""
        x, target = inputs
        _, height, width, _ = keras.ops.shape(target)
        return x[:, :height, :width, :]

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """Batch, height and width of the target, channels of x."""
        x, target = input_shape
        return (*target[:3], x[3])


@dataclass(frozen=True)
class _Blocks:
    """The parts of the network; each layer has a name of its own, and draws its weights from that and the seed."""

    config: NetworkConfig
    seed: int

    def residual(self, x: KerasTensor, width: int, name: str) -> KerasTensor:
        for number in range(1, self.config.blocks_per_level + 1):
            x = self.residual_block(x, width, f"{name}_block{number}")
        if self.config.dropout:
            x = layers.SpatialDropout2D(self.config.dropout, seed=self.seed_of(name), name=f"{name}_dropout")(
                x
            )
        return x

    def residual_block(self, x: KerasTensor, width: int, name: str) -> KerasTensor:
        """Two convolutions the input goes around unchanged, or by a 1 × 1 convolution where the width grows."""
        shortcut = x if x.shape[-1] == width else self.normalised(x, width, 1, f"{name}_shortcut")
        x = self.convolution(x, width, f"{name}_a")
        x = self.normalised(x, width, self.config.kernel_px, f"{name}_b")
        return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, shortcut]))

    def skip(self, x: KerasTensor, width: int, name: str) -> KerasTensor:
        for number in range(1, self.config.skip_convolutions + 1):
            x = self.convolution(x, width, f"{name}_{number}")
        return x

    def convolution(self, x: KerasTensor, width: int, name: str) -> KerasTensor:
        """A plain convolution; batch normalisation stands between it and its ReLU (paper)."""
        return layers.ReLU(name=f"{name}_relu")(self.normalised(x, width, self.config.kernel_px, name))

    def normalised(self, x: KerasTensor, width: int, kernel_px: int, name: str) -> KerasTensor:
        convolution = layers.Conv2D(
            width,
            kernel_px,
            padding="same",
            use_bias=False,
            kernel_initializer=self.initializer(name),
            name=f"{name}_convolution",
        )
        normalisation = BatchNormalization(
            momentum=self.config.batch_norm_momentum, name=f"{name}_normalisation"
        )
        return normalisation(convolution(x))

    def upsample(self, x: KerasTensor, width: int, name: str) -> KerasTensor:
        """Double height and width and come to the width of the level above."""
        initializer = self.initializer(name)
        if self.config.upsampling == "transpose":
            return layers.Conv2DTranspose(width, 2, strides=2, kernel_initializer=initializer, name=name)(x)
        # narrowing before enlarging costs a quarter of narrowing after it, and comes to the same
        x = layers.Conv2D(width, 1, kernel_initializer=initializer, name=f"{name}_narrow")(x)
        return layers.UpSampling2D(name=name)(x)

    def initializer(self, name: str) -> keras.initializers.Initializer:
        return keras.initializers.HeNormal(seed=self.seed_of(name))

    def seed_of(self, name: str) -> int:
        return zlib.crc32(f"{self.seed}/{name}".encode())
