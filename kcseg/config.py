"""Every number of the method, once: the paper's values as defaults, our choices where the paper is silent."""

import difflib
import functools
import json
import reprlib
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from types import MappingProxyType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from kcseg.errors import InputError


@dataclass(frozen=True)
class ImageConfig:
    """How HU become the network's input (paper: clip to the window, rescale to [0, 1])."""

    window_hu: tuple[float, float] = (-150.0, 200.0)


@dataclass(frozen=True)
class AugmentationConfig:
    """Ranges of the random changes; the paper names the six kinds, the ranges are our choice.

    Intensity values are fractions of the window: 0.1 is 35 HU.
    """

    translation_px: float = 16.0
    rotation_degrees: float = 20.0
    zoom: tuple[float, float] = (0.85, 1.2)
    noise_deviation: tuple[float, float] = (0.0, 0.05)
    brightness: float = 0.1
    contrast: float = 0.2


@dataclass(frozen=True)
class NetworkConfig:
    """The U-Net (paper: five levels, residual blocks, convolutions on the skips; the rest is our choice)."""

    levels: int = 5
    filters: int = 32  # at full resolution; doubled at each level below
    blocks_per_level: int = 1
    kernel_px: int = 3
    upsampling: str = "transpose"  # or "nearest", which trains slower
    skip_convolutions: int = 1
    dropout: float = 0.0
    # Keras' 0.99 leaves the moving averages useless for the first hundreds of steps
    batch_norm_momentum: float = 0.9


@dataclass(frozen=True)
class TrainingConfig:
    """One network's training (paper: Adam, 1e-4, batches of 10, until convergence).

    Convergence is our choice: the watched Dice has not risen for `patience_epochs`. Fold members watch the Dice of
    their held-out images, full members that of their training batches.
    """

    loss: str = "binary_crossentropy"  # or "dice", or "binary_crossentropy+dice"
    learning_rate: float = 1e-4
    schedule: str = "constant"  # or "cosine": falls to zero over maximum_epochs
    batch_size: int = 10
    maximum_epochs: int = 400
    patience_epochs: int = 30


@dataclass(frozen=True)
class EnsembleConfig:
    """The members and how they are combined (paper: five folds, two full runs, components, median).

    The thresholds and the neighbourhood are our choice.
    """

    folds: int = 5
    full_members: int = 2
    component_threshold: float = 0.5
    neighbours: int = 8
    mask_threshold: float = 0.5


@dataclass(frozen=True)
class SimulationConfig:
    """Size of the simulated challenge that stands in when no data are given (paper: 250 + 247 and 299)."""

    train: tuple[int, ...] = (250, 247)
    test: int = 299
    seed: int = 2018


@dataclass(frozen=True)
class PretrainingConfig:
    """Learning COCO persons first (paper: the same network; everything below is our choice).

    Loss, rate, schedule and batch size are those of `TrainingConfig`.
    """

    size_px: int = 192
    person_share: float = 0.75  # of the crops are cut around a person, the others anywhere
    margin: tuple[float, float] = (1.1, 2.5)  # side of the crop over that of the person
    steps_per_epoch: int = 500
    maximum_epochs: int = 60
    validation_crops: int = 500


@dataclass(frozen=True)
class Config:
    """The whole method. Written beside every result."""

    image: ImageConfig = field(default_factory=ImageConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    pretraining: PretrainingConfig = field(default_factory=PretrainingConfig)
    seed: int = 2018

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
class ExportConfig:
    """How a trained ensemble is written (our choice throughout); chosen at the export, so no part of a run's `Config`.

    Raises:
        InputError: a value that cannot be.
    """

    precision: str = "float32"  # or "bfloat16", about twice as fast on processors that have it
    hu_offset: int = -1024  # added to the values of a 16-bit PNG to get HU: what DICOM stores, air at 0
    # in all images of one request: one of 4096 x 4096, the largest the readers take, or 64 of 512 x 512
    maximum_pixels: int = 2**24
    # least mean Dice between the masks of a lesser precision and those of float32; the teams of the challenge
    # lay within 0.03 of each other, so masks must agree much better than that
    minimum_agreement: float = 0.99
    sample_images: int = 16  # training images that agreement is measured on

    def __post_init__(self) -> None:
        """Refuse values with which nothing could be exported."""
        rules = {
            "precision": self.precision in ("float32", "bfloat16"),
            "hu_offset": abs(self.hu_offset) <= 65536,
            "maximum_pixels": self.maximum_pixels >= 1,
            "minimum_agreement": 0 <= self.minimum_agreement <= 1,
            "sample_images": self.sample_images >= 1,
        }
        for name, holds in rules.items():
            if not holds:
                raise InputError(f"'{name}' of an export cannot be {getattr(self, name)!r}")


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

PRESETS = MappingProxyType({"paper": PAPER, "quick": QUICK, "thorough": THOROUGH})

T = TypeVar("T")


def to_json(config: Config) -> dict[str, Any]:
    """Return the configuration as JSON-ready dictionaries and lists."""
    return json.loads(json.dumps(asdict(config)))


def from_json(values: Any, source: str, base: Config = PAPER) -> Config:
    """Return a configuration from what `to_json` gives; keys left out keep the value they have in `base`.

    Raises:
        InputError: unknown key (the nearest known key is named) or value that cannot be; `source` is named.
    """
    config = _merge(base, values, source, "")
    _check(config, source)
    return config


def _check(config: Config, source: str) -> None:
    """Refuse values of the right type with which nothing could be trained."""
    low, high = config.image.window_hu
    augmentation = config.augmentation
    rules = {
        "augmentation.translation_px": augmentation.translation_px >= 0,
        "augmentation.rotation_degrees": 0 <= augmentation.rotation_degrees <= 180,
        "augmentation.zoom": 0 < augmentation.zoom[0] <= augmentation.zoom[1],
        "augmentation.noise_deviation": 0
        <= augmentation.noise_deviation[0]
        <= augmentation.noise_deviation[1]
        <= 1,
        "augmentation.brightness": 0 <= augmentation.brightness <= 1,
        "augmentation.contrast": 0 <= augmentation.contrast <= 1,
        "image.window_hu": low < high,
        "network.levels": 1 <= config.network.levels <= 8,
        "network.filters": 1 <= config.network.filters <= 1024,
        "network.blocks_per_level": 1 <= config.network.blocks_per_level <= 16,
        "network.kernel_px": 1 <= config.network.kernel_px <= 31,
        "network.upsampling": config.network.upsampling in ("nearest", "transpose"),
        "network.skip_convolutions": 0 <= config.network.skip_convolutions <= 16,
        "network.dropout": 0 <= config.network.dropout < 1,
        "network.batch_norm_momentum": 0 <= config.network.batch_norm_momentum < 1,
        "training.loss": config.training.loss in ("binary_crossentropy", "dice", "binary_crossentropy+dice"),
        "training.learning_rate": config.training.learning_rate > 0,
        "training.schedule": config.training.schedule in ("constant", "cosine"),
        "training.batch_size": config.training.batch_size >= 1,
        "training.maximum_epochs": config.training.maximum_epochs >= 1,
        "training.patience_epochs": config.training.patience_epochs >= 1,
        "ensemble.folds": config.ensemble.folds == 0 or config.ensemble.folds >= 2,
        "ensemble.full_members": config.ensemble.full_members >= 0,
        "ensemble.component_threshold": 0 <= config.ensemble.component_threshold < 1,
        "ensemble.neighbours": config.ensemble.neighbours in (4, 8),
        "ensemble.mask_threshold": 0 <= config.ensemble.mask_threshold < 1,
        "simulation.train": bool(config.simulation.train) and min(config.simulation.train) >= 1,
        "simulation.test": config.simulation.test >= 0,
        "simulation.seed": config.simulation.seed >= 0,
        "pretraining.size_px": 16 <= config.pretraining.size_px <= 1024,
        "pretraining.person_share": 0 <= config.pretraining.person_share <= 1,
        "pretraining.margin": 0 < config.pretraining.margin[0] <= config.pretraining.margin[1],
        "pretraining.steps_per_epoch": config.pretraining.steps_per_epoch >= 1,
        "pretraining.maximum_epochs": config.pretraining.maximum_epochs >= 1,
        "pretraining.validation_crops": config.pretraining.validation_crops >= 1,
        "seed": config.seed >= 0,
    }
    for name, holds in rules.items():
        if not holds:
            value = functools.reduce(getattr, name.split("."), config)
            raise InputError(
                f"'{name}' in {source} cannot be {reprlib.repr(value)}; kcseg.config says what it may be"
            )
    if config.members < 1:
        raise InputError(f"'ensemble.folds' and 'ensemble.full_members' in {source} leave no member to train")


def _merge(base: T, values: Any, source: str, prefix: str) -> T:
    if not isinstance(values, dict):
        raise InputError(
            f"{prefix or 'the configuration'} in {source} must be an object, got {reprlib.repr(values)}"
        )
    known = [item.name for item in fields(base)]  # type: ignore[arg-type]
    hints = get_type_hints(type(base))
    changes = {}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key[:80], known, n=1, cutoff=0.0)[0]
            raise InputError(
                f"unknown key {reprlib.repr(prefix + key)} in {source}; did you mean '{prefix}{near}'?"
            )
        current = getattr(base, key)
        changes[key] = (
            _merge(current, value, source, f"{prefix}{key}.")
            if is_dataclass(current)
            else _typed(value, hints[key], f"{prefix}{key}", source)
        )
    return replace(base, **changes)  # type: ignore[type-var]


def _typed(value: Any, kind: Any, name: str, source: str) -> Any:
    """Return a JSON value as the type its field declares, or say what was expected."""
    if get_origin(kind) is tuple and isinstance(value, list):
        kinds = get_args(kind)
        if kinds[-1] is Ellipsis:
            kinds = (kinds[0],) * len(value)
        if len(kinds) == len(value):
            return tuple(_typed(*pair, name, source) for pair in zip(value, kinds, strict=True))
    elif kind is float:
        if type(value) in (int, float) and abs(value) < 1e30:  # neither infinite nor NaN
            return float(value)
    elif type(value) is kind:
        return value
    expected = getattr(kind, "__name__", kind) if get_origin(kind) is None else kind
    raise InputError(f"'{name}' in {source} must be {expected}, got {reprlib.repr(value)}")
