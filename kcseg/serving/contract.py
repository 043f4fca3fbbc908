"""What an exported ensemble and those who ask it agree on, wherever it runs."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Protocol

import numpy as np

from kcseg.errors import InputError

OUTPUTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "serving_default": ("mask", "probability", "disagreement"),
        "members": ("soft_masks",),
        "raw_members": ("soft_masks",),
        "raw": ("probability", "disagreement"),
    }
)
KIDNEY = "kidney_probability"  # beside a probability, where the members find kidneys
REQUIRED = ("serving_default", "members")  # exports of release 0.1.0 have no other of these
# Images that go through the networks together: with another number, the last digits of a soft mask may differ.
IMAGES_TOGETHER = 8
ANSWER_BYTES = 1 << 30  # the largest taken: an image of 2048 x 2048, as JSON, by ten members (our choice)


class Model(Protocol):
    """What runs the signatures of an exported ensemble: TensorFlow here, or a server elsewhere."""

    @property
    def outputs(self) -> Mapping[str, Collection[str]]:
        """The names of the outputs by signature."""

    def __call__(self, signature: str, images: np.ndarray) -> Mapping[str, np.ndarray]:
        """Return the outputs of a signature for images in HU, float32 (batch, height, width), no side of which is 0.

        They are those of `wanted`, and may be more.
        """


def outputs_with_kidney() -> dict[str, tuple[str, ...]]:
    """Return the outputs by signature of an ensemble that finds kidneys, too."""
    return {name: (*names, KIDNEY) if "probability" in names else names for name, names in OUTPUTS.items()}


def wanted(model: Model, signature: str) -> tuple[str, ...]:
    """Return the outputs that are asked of a signature: those any ensemble has, and the kidney where there is one."""
    more = (KIDNEY,) if KIDNEY in model.outputs.get(signature, ()) else ()
    return OUTPUTS[signature] + more


def check_signatures(where: object, found: Mapping[str, Collection[str]], *wanted: str) -> None:
    """Raise an InputError for a model that lacks a wanted signature, or one of its outputs.

    Args:
        where: the model's place, for the message.
        found: the names of the outputs by signature.
        wanted: the signatures.
    """
    for signature in wanted:
        missing = sorted(set(OUTPUTS[signature]) - set(found.get(signature, ())))
        if missing:
            raise InputError(
                f"the model at {where} lacks {', '.join(missing)} of the signature {signature!r}; "
                "export it anew with 'kcseg export'"
            )


def too_large(where: object) -> str:
    """Say that an answer is larger than we take."""
    return f"{where} answers with more than {ANSWER_BYTES >> 20} MiB; send fewer images"


def too_slow(where: object, timeout_s: float) -> str:
    """Say that an answer takes too long."""
    return f"{where} did not answer within {timeout_s:g} s; send fewer images, or wait longer"
