"""What a search may change, and within which bounds: the one table of kcseg tune."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras_tuner

from kcseg.config import AugmentationConfig, Config


@dataclass(frozen=True)
class OneOf:
    """One of a few values; numbers among them are in order."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Between:
    """A number between two bounds, both included."""

    low: float
    high: float
    logarithmic: bool = False


# Names are those of the configuration, except for the two strengths of the augmentation, which multiply the ranges of
# the configuration the search starts from. Two strengths and not six ranges, because thirty trials say little about
# fifteen dimensions. The paper does not say what was searched; all is our choice.
SPACE: Mapping[str, OneOf | Between] = {
    "network.filters": OneOf((4, 8, 16, 32)),
    "network.blocks_per_level": OneOf((1, 2)),
    "network.skip_convolutions": OneOf((0, 1, 2)),
    "network.upsampling": OneOf(("transpose", "nearest")),
    "network.kernel_px": OneOf((3, 5)),
    "network.dropout": Between(0.0, 0.3),
    "training.loss": OneOf(("binary_crossentropy", "dice", "binary_crossentropy+dice")),
    "training.learning_rate": Between(1e-4, 1e-2, logarithmic=True),
    "training.batch_size": OneOf((5, 10, 20)),
    "augmentation.geometry": Between(0.0, 2.0),
    "augmentation.intensity": Between(0.0, 2.0),
}


def hyperparameters(space: Mapping[str, OneOf | Between]) -> keras_tuner.HyperParameters:
    """Return the space as keras-tuner takes it."""
    declared = keras_tuner.HyperParameters()
    for name, one in space.items():
        if isinstance(one, OneOf):
            declared.Choice(name, list(one.values))
        else:
            declared.Float(name, one.low, one.high, sampling="log" if one.logarithmic else "linear")
    return declared


def _geometry(augmentation: AugmentationConfig, strength: float) -> AugmentationConfig:
    smallest, largest = augmentation.zoom
    return replace(
        augmentation,
        translation_px=augmentation.translation_px * strength,
        rotation_degrees=min(augmentation.rotation_degrees * strength, 180.0),
        # as powers, so that the smallest zoom never becomes the largest
        zoom=(smallest**strength, largest**strength),
    )


def _intensity(augmentation: AugmentationConfig, strength: float) -> AugmentationConfig:
    lowest, highest = augmentation.noise_deviation
    return replace(
        augmentation,
        noise_deviation=(min(lowest * strength, 1.0), min(highest * strength, 1.0)),
        brightness=min(augmentation.brightness * strength, 1.0),
        contrast=min(augmentation.contrast * strength, 1.0),
    )


# by the last part of their name
_STRENGTHS = {"geometry": _geometry, "intensity": _intensity}


def configure(base: Config, values: Mapping[str, Any]) -> Config:
    """Return `base` with the values of a trial, by the names of `SPACE`.

    Numbers keep four digits: further ones mean nothing, and keras-tuner's messages between machines lose them.
    """
    for name, value in values.items():
        section, key = name.split(".")
        value = four_digits(value)
        part: Any = getattr(base, section)
        part = _STRENGTHS[key](part, value) if key in _STRENGTHS else replace(part, **{key: value})
        base = replace(base, **{section: part})
    return base


def values_of(config: Config, space: Mapping[str, OneOf | Between]) -> dict[str, Any] | None:
    """Return the values by which `configure` leaves a configuration as it is; None where there are none."""
    values = {}
    for name, one in space.items():
        section, key = name.split(".")
        values[name] = value = 1.0 if key in _STRENGTHS else getattr(getattr(config, section), key)
        if not (value in one.values if isinstance(one, OneOf) else one.low <= value <= one.high):
            return None
    return values if configure(config, values) == config else None


def four_digits(value: Any) -> Any:
    """Round a float to four digits; anything else stays as it is."""
    return float(f"{value:.4g}") if isinstance(value, float) else value
