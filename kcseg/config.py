"""Every number of the method, once: the paper's values as defaults, our choices where the paper is silent."""

import reprlib
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TypeVar

from kcseg.errors import InputError

T = TypeVar("T")


def _setting(default: T, holds: Callable[[T], bool]) -> T:
    """Return a field of `_Settings`: its default, and what must hold for any other value."""
    return field(default=default, metadata={"holds": holds})


def _one_of(default: T, *others: T) -> T:
    return _setting(default, lambda value: value in (default, *others))


class _Settings:
    """Refuses values with which nothing could be done."""

    def __post_init__(self) -> None:
        for item in fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            if "holds" in item.metadata and not item.metadata["holds"](value):
                part = type(self).__name__.removesuffix("Config").lower()
                name = f"{part}.{item.name}" if part else item.name
                raise InputError(
                    f"'{name}' cannot be {reprlib.repr(value)}; kcseg.config says what it may be"
                )


@dataclass(frozen=True)
class ImageConfig(_Settings):
    """How HU become the network's input (paper: clip to the window, rescale to [0, 1])."""

    window_hu: tuple[float, float] = _setting((-150.0, 200.0), lambda value: value[0] < value[1])


@dataclass(frozen=True)
class AugmentationConfig(_Settings):
    """Ranges of the random changes; the paper names the six kinds, the ranges are our choice.

    Intensity values are fractions of the window: 0.1 is 35 HU.
    """

    translation_px: float = _setting(16.0, lambda value: value >= 0)
    rotation_degrees: float = _setting(20.0, lambda value: 0 <= value <= 180)
    zoom: tuple[float, float] = _setting((0.85, 1.2), lambda value: 0 < value[0] <= value[1])
    noise_deviation: tuple[float, float] = _setting((0.0, 0.05), lambda value: 0 <= value[0] <= value[1] <= 1)
    brightness: float = _setting(0.1, lambda value: 0 <= value <= 1)
    contrast: float = _setting(0.2, lambda value: 0 <= value <= 1)
    # side of the square that is cut from anywhere in larger images; 0 takes images whole
    crop_px: int = _setting(0, lambda value: value == 0 or value >= 16)


@dataclass(frozen=True)
class NetworkConfig(_Settings):
    """The U-Net (paper: five levels, residual blocks, convolutions on the skips; the rest is our choice)."""

    levels: int = _setting(5, lambda value: 1 <= value <= 8)
    # at full resolution; doubled at each level below
    filters: int = _setting(32, lambda value: 1 <= value <= 1024)
    blocks_per_level: int = _setting(1, lambda value: 1 <= value <= 16)
    kernel_px: int = _setting(3, lambda value: 1 <= value <= 31)
    upsampling: str = _one_of("transpose", "nearest")  # the second trains slower
    skip_convolutions: int = _setting(1, lambda value: 0 <= value <= 16)
    dropout: float = _setting(0.0, lambda value: 0 <= value < 1)
    # what it finds, in the order of its outputs; the paper's network finds the cortex alone
    structures: tuple[str, ...] = _one_of(("cortex",), ("cortex", "kidney"))
    # Keras' 0.99 leaves the moving averages useless for the first hundreds of steps
    batch_norm_momentum: float = _setting(0.9, lambda value: 0 <= value < 1)


@dataclass(frozen=True)
class TrainingConfig(_Settings):
    """One network's training (paper: Adam, 1e-4, batches of 10, until convergence).

    Convergence is our choice: the watched Dice has not risen for `patience_epochs`. Fold members watch the Dice of
    their held-out images, full members that of their training batches.
    """

    loss: str = _one_of("binary_crossentropy", "dice", "binary_crossentropy+dice")
    learning_rate: float = _setting(1e-4, lambda value: value > 0)
    schedule: str = _one_of("constant", "cosine")  # the second falls to zero over maximum_epochs
    batch_size: int = _setting(10, lambda value: value >= 1)
    maximum_epochs: int = _setting(400, lambda value: value >= 1)
    patience_epochs: int = _setting(30, lambda value: value >= 1)
    # of a network trained on all images first, from which every member goes on (our choice; the paper's has none). It
    # saves six long trainings in seven, but the images a fold member holds out are then not new to it
    shared_epochs: int = _setting(0, lambda value: value >= 0)


@dataclass(frozen=True)
class EnsembleConfig(_Settings):
    """The members and how they are combined (paper: five folds, two full runs, components, median).

    The thresholds and the neighbourhood are our choice.
    """

    folds: int = _setting(5, lambda value: value == 0 or value >= 2)
    full_members: int = _setting(2, lambda value: value >= 0)
    component_threshold: float = _setting(0.5, lambda value: 0 <= value < 1)
    neighbours: int = _setting(8, lambda value: value in (4, 8))
    mask_threshold: float = _setting(0.5, lambda value: 0 <= value < 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.folds + self.full_members < 1:
            raise InputError("'ensemble.folds' and 'ensemble.full_members' leave no member to train")


@dataclass(frozen=True)
class SimulationConfig(_Settings):
    """The simulated challenge that stands in when no data are given (paper: 250 + 247 and 299 images).

    `wide` ones are no challenge (our choice): a third crops, two thirds whole coronal slices, of all phases, with the
    exact masks of cortex and kidney.
    """

    train: tuple[int, ...] = _setting((250, 247), lambda value: bool(value) and min(value) >= 1)
    test: int = _setting(299, lambda value: value >= 0)
    seed: int = _setting(2018, lambda value: value >= 0)
    wide: bool = False


@dataclass(frozen=True)
class PretrainingConfig(_Settings):
    """Learning COCO persons first (paper: the same network; everything below is our choice).

    Loss, rate, schedule and batch size are those of `TrainingConfig`.
    """

    size_px: int = _setting(192, lambda value: 16 <= value <= 1024)
    # of the crops are cut around a person, the others anywhere
    person_share: float = _setting(0.75, lambda value: 0 <= value <= 1)
    # side of the crop over that of the person
    margin: tuple[float, float] = _setting((1.1, 2.5), lambda value: 0 < value[0] <= value[1])
    steps_per_epoch: int = _setting(500, lambda value: value >= 1)
    maximum_epochs: int = _setting(60, lambda value: value >= 1)
    validation_crops: int = _setting(500, lambda value: value >= 1)


@dataclass(frozen=True)
class Config(_Settings):
    """The whole method. Written beside every result."""

    image: ImageConfig = field(default_factory=ImageConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    pretraining: PretrainingConfig = field(default_factory=PretrainingConfig)
    seed: int = _setting(2018, lambda value: value >= 0)

    @property
    def members(self) -> int:
        """Number of networks: fold members first, full members after them."""
        return self.ensemble.folds + self.ensemble.full_members

    @property
    def member_numbers(self) -> range:
        """The numbers the members go by, from 1."""
        return range(1, self.members + 1)


PAPER = Config()


@dataclass(frozen=True)
class ExportConfig(_Settings):
    """How a trained ensemble is written (our choice throughout); chosen at the export, so no part of a run's `Config`.

    Raises:
        InputError: a value that cannot be.
    """

    precision: str = _one_of("float32", "bfloat16")  # the second is twice as fast on processors that have it
    # added to the values of a 16-bit PNG to get HU: what DICOM stores, air at 0
    hu_offset: int = _setting(-1024, lambda value: abs(value) <= 65536)
    # in all images of one request: one of 4096 x 4096, the largest the readers take, or 64 of 512 x 512
    maximum_pixels: int = _setting(2**24, lambda value: value >= 1)
    # least mean Dice between the masks of a lesser precision and those of float32; the teams of the challenge
    # lay within 0.03 of each other, so masks must agree much better than that
    minimum_agreement: float = _setting(0.99, lambda value: 0 <= value <= 1)
    # training images that agreement is measured on
    sample_images: int = _setting(16, lambda value: value >= 1)


EXPORT = ExportConfig()


# For two cores and ten minutes: a narrow network, fewer images, milder changes, and a loss that leaves the background
# sooner than cross-entropy alone does; half the batch makes twice the steps, at a high rate that falls to zero.
QUICK = Config(
    augmentation=AugmentationConfig(
        translation_px=10.0,
        rotation_degrees=12.0,
        zoom=(0.9, 1.1),
        noise_deviation=(0.0, 0.03),
        brightness=0.05,
        contrast=0.1,
    ),
    network=NetworkConfig(filters=8),
    training=TrainingConfig(
        loss="binary_crossentropy+dice",
        learning_rate=3e-3,
        schedule="cosine",
        batch_size=5,
        maximum_epochs=7,
        patience_epochs=7,
    ),
    simulation=SimulationConfig(train=(100, 100), test=60),
    pretraining=PretrainingConfig(steps_per_epoch=100, maximum_epochs=10, validation_crops=100),
)

# The same network on five times the images, for about an hour on two cores: what scanners and people differ in takes
# more images and wider changes of brightness to learn.
THOROUGH = replace(
    QUICK,
    augmentation=replace(QUICK.augmentation, brightness=0.1, contrast=0.2),
    training=replace(QUICK.training, maximum_epochs=10, patience_epochs=10),
    simulation=SimulationConfig(train=(500, 500), test=100),
)

# What the weights that come with kcseg were trained by, in hours on two cores: not the paper's study, but thousands of
# crops and whole slices with exact masks, so that they hold wherever the kidney lies, and in any phase.
SHIPPED = replace(
    QUICK,
    augmentation=AugmentationConfig(
        translation_px=24.0,
        rotation_degrees=20.0,
        zoom=(0.7, 1.35),
        noise_deviation=(0.0, 0.05),
        brightness=0.12,
        contrast=0.25,
        crop_px=160,
    ),
    network=NetworkConfig(filters=8, structures=("cortex", "kidney"), batch_norm_momentum=0.97),
    training=replace(QUICK.training, batch_size=8, maximum_epochs=3, patience_epochs=3, shared_epochs=18),
    simulation=SimulationConfig(train=(1800, 1800), test=300, wide=True),
)

PRESETS = MappingProxyType({"paper": PAPER, "quick": QUICK, "thorough": THOROUGH, "shipped": SHIPPED})
