"""What an exported ensemble and whoever asks it have agreed on, wherever it runs."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Protocol

import numpy as np

from kcseg.errors import InputError

OUTPUTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"serving_default": ("mask", "probability", "disagreement"), "members": ("soft_masks",)}
)
IMAGES_TOGETHER = 8  # through the networks at a time; the last digits of a result depend on it (our choice)
ANSWER_BYTES = 1 << 30  # the largest taken: an image of 2048 x 2048, as JSON, by ten members (our choice)


class Model(Protocol):
    """Whoever runs the signatures of an exported ensemble: TensorFlow here, or a server elsewhere."""

    def __call__(self, signature: str, images: np.ndarray) -> Mapping[str, np.ndarray]:
        """Return the outputs of a signature for images in HU, float32 (batch, height, width), none of them 0."""


def check_signatures(where: object, found: Mapping[str, Collection[str]]) -> None:
    """Refuse a model that lacks a signature of an exported ensemble, or one of its outputs.

    Args:
        where: the model's place, for the message.
        found: the names of the outputs by signature.

    Raises:
        InputError: something is missing.
    """
    for signature, names in OUTPUTS.items():
        missing = sorted(set(names) - set(found.get(signature, ())))
        if missing:
            raise InputError(
                f"the model at {where} is no kcseg ensemble: its signature {signature!r} lacks {', '.join(missing)}; "
                "serve a folder that 'kcseg export' wrote"
            )


def too_large(where: object, most_bytes: int) -> str:
    """Say that an answer is larger than we take."""
    return f"{where} answers with more than {most_bytes >> 20} MiB; send fewer images"


def too_slow(where: object, timeout_s: float) -> str:
    """Say that an answer takes too long."""
    return f"{where} did not answer within {timeout_s:g} s; send fewer images, or wait longer"
