"""What an export says of itself: what it is made of, and how to ask it."""

from datetime import date
from typing import Any, Protocol

import keras

import kcseg
from kcseg.config import Config, ExportConfig
from kcseg.config_json import to_json
from kcseg.serving.graph import EnsembleGraph

MODEL = "renal cortex segmentation in coronal CT: U-Nets, largest component of each, median"
LICENCE = "Apache-2.0"


class Trained(Protocol):
    """Trained members and what is known of them: a run, or the weights packed from one."""

    @property
    def config(self) -> Config:
        """The method they were trained with."""

    def load_network(self, number: int) -> keras.Model:
        """Build a member's network, numbers from 1, and give it its weights."""

    def member_facts(self, number: int) -> dict[str, Any]:
        """At least `validation_dice`, None of a member trained on all images, and `sha256` of its weights."""

    def training_data(self) -> dict[str, Any]:
        """At least the number of `images` and their fingerprint `sha256`."""


def manifest(
    trained: Trained,
    graph: EnsembleGraph,
    settings: ExportConfig,
    *,
    agreement: float | None,
    created: date | None,
) -> dict[str, Any]:
    """Return what `assets.extra/manifest.json` says; the same for equal arguments and members.

    `agreement` is the mean Dice between the masks of `graph` and those of float32, None where it is float32 itself.
    """
    return {
        "model": MODEL,
        "intended_use": "research only; not a medical device",
        "licence": LICENCE,
        "kcseg": kcseg.__version__,
        "created": None if created is None else created.isoformat(),
        "precision": settings.precision,
        "agreement_with_float32": agreement,
        "png_hu_offset": settings.hu_offset,
        "maximum_pixels_per_request": settings.maximum_pixels,
        "signatures": graph.signature_dtypes(),
        "members": members_facts(trained),
        "training_data": trained.training_data(),
        "config": to_json(trained.config),
    }


def members_facts(trained: Trained) -> dict[str, dict[str, Any]]:
    """Return each member's `validation_dice` and `sha256`, as its `member_facts` say them."""
    facts = {f"member-{number}": trained.member_facts(number) for number in trained.config.member_numbers}
    return {name: {key: said[key] for key in ("validation_dice", "sha256")} for name, said in facts.items()}
