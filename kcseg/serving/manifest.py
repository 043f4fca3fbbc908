"""What an exported ensemble is made of and how to ask it, for people and programs that have only the folder."""

from datetime import date
from typing import Any

import kcseg
from kcseg.config import ExportConfig, to_json
from kcseg.files import read_json
from kcseg.serving.graph import EnsembleGraph
from kcseg.training.run import Run

LICENCE = "Apache-2.0"


def manifest(
    run: Run, graph: EnsembleGraph, settings: ExportConfig, *, agreement: float | None, created: date | None
) -> dict[str, Any]:
    """Return what `assets.extra/manifest.json` says; the same for equal arguments and members.

    Args:
        run: with all members trained.
        graph: the ensemble as it is written.
        settings: what it was built with.
        agreement: mean Dice between its masks and those of float32; None where it is float32 itself.
        created: day of the export, where the caller wishes to state it.
    """
    return {
        "model": "renal cortex segmentation in coronal CT: U-Nets, largest component of each, median",
        "intended_use": "research only; not a medical device",
        "licence": LICENCE,
        "kcseg": kcseg.__version__,
        "created": None if created is None else created.isoformat(),
        "precision": settings.precision,
        "agreement_with_float32": agreement,
        "png_hu_offset": settings.hu_offset,
        "maximum_pixels_per_request": settings.maximum_pixels,
        "signatures": graph.signature_dtypes(),
        "members": {f"member-{number}": _member(run, number) for number in run.config.member_numbers},
        "training_data": read_json(run.folder / "data.json"),
        "config": to_json(run.config),
    }


def _member(run: Run, number: int) -> dict[str, Any]:
    """Validation Dice, None of a member trained on all images, and SHA-256 of the weights."""
    facts = read_json(run.member_folder(number) / "member.json")
    return {name: facts[name] for name in ("validation_dice", "sha256")}
