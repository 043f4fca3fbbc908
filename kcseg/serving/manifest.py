"""What an export says of itself: what it is made of, and how to ask it."""

from datetime import date
from typing import Any

import kcseg
from kcseg.config import ExportConfig
from kcseg.config_json import to_json
from kcseg.serving.graph import EnsembleGraph, Trained

MODEL = "renal cortex segmentation in coronal CT: U-Nets, largest component of each, median"
LICENCE = "Apache-2.0"


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
