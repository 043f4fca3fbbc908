"""The trained members, their largest components and the median as one SavedModel: HU in, cortex out."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import tensorflow as tf

from kcseg.config import EXPORT, ExportConfig
from kcseg.errors import InputError
from kcseg.files import atomic_folder, write_json
from kcseg.serving.agreement import agreement, sample_images
from kcseg.serving.bundle import is_bundle, load_bundle
from kcseg.serving.graph import EnsembleGraph, Trained
from kcseg.serving.manifest import manifest
from kcseg.serving.warmup import write_warmup
from kcseg.training.run import MODEL_NAME, Run, load_run

# what an export consists of
EXPORTED = (
    *(
        "saved_model.pb",
        "fingerprint.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
    ),
    *("assets.extra/manifest.json", "assets.extra/tf_serving_warmup_requests", "assets"),
)
_VERSION = re.compile("[1-9][0-9]{0,17}")  # TF Serving's are positive and of 64 bits


def export_model(
    path: Path,
    out: Path | None = None,
    settings: ExportConfig = EXPORT,
    *,
    data: Path | None = None,
    created: date | None = None,
) -> Path:
    """Export a run folder or packed weights, as `export_run` does; packed weights need `out`."""
    if not is_bundle(path):
        return export_run(load_run(path), settings, out=out, data=data, created=created)
    if out is None:
        raise InputError(f"{path} holds packed weights, which are not added to; name a folder to export to")
    return _write_version(load_bundle(path), out, settings, data, created)


def export_run(
    run: Run,
    settings: ExportConfig = EXPORT,
    *,
    out: Path | None = None,
    data: Path | None = None,
    created: date | None = None,
) -> Path:
    """Write the members of a run to `out/<version>` and return that folder.

    Versions count up, as TF Serving expects; an earlier one is never touched. Beside the model, `assets.extra/` holds
    `manifest.json` and TF Serving's warm-up requests.

    Args:
        run: a run whose members are all trained.
        settings: precision, HU offset of PNG, limits.
        out: the folder of the versions; by default `export/kcseg` inside the run.
        data: the challenge folder of the training, by default the one simulated inside the run; a precision other
            than float32 is checked on its images.
        created: the day to state in the manifest.

    Raises:
        InputError: members are not trained, or their weights are damaged; masks of the precision agree too little with
            those of float32.
    """
    refuse_unfinished(run)
    return _write_version(run, out or run.export_folder, settings, run.challenge(data), created)


@contextmanager
def exported(path: Path) -> Iterator[Path]:
    """Yield a run folder or exported model as it is, and packed weights as an export in a temporary folder."""
    if not is_bundle(path):
        yield path
        return
    with TemporaryDirectory(prefix="kcseg-") as folder:
        export_model(path, Path(folder))
        yield Path(folder)


def refuse_unfinished(run: Run) -> None:
    """Raise an InputError for a run whose members are not all trained."""
    if missing := run.missing_members():
        raise InputError(
            f"{run.folder} lacks the members {', '.join(map(str, missing))}; run 'kcseg train' on it until it ends"
        )


def versions(folder: Path) -> list[int]:
    """Return the versions of an exported model, lowest first."""
    return sorted(
        int(path.parent.name)
        for path in folder.glob("*/saved_model.pb")
        if _VERSION.fullmatch(path.parent.name)
    )


def _write_version(
    trained: Trained, out: Path, settings: ExportConfig, data: Path | None, created: date | None
) -> Path:
    graph, agrees = _graph(trained, settings, data)
    target = out / str(max(versions(out), default=0) + 1)
    with atomic_folder(target) as temporary:
        tf.saved_model.save(graph.weights(), str(temporary), signatures=graph.traced)
        write_warmup(temporary, MODEL_NAME)
        facts = manifest(trained, graph, settings, agreement=agrees, created=created)
        write_json(temporary / "assets.extra" / "manifest.json", facts)
    return target


def _graph(trained: Trained, settings: ExportConfig, data: Path | None) -> tuple[EnsembleGraph, float | None]:
    """Return the graph, and the mean Dice between its masks and those of float32, None where it is float32."""
    graph = EnsembleGraph.of(trained, settings)
    if settings.precision == "float32":
        return graph, None
    if data is None:
        raise InputError(
            f"{settings.precision} is checked on training images; name the challenge folder of the training"
        )
    exact = EnsembleGraph.of(trained, replace(settings, precision="float32"))
    images = sample_images(data, trained.training_data()["sha256"], settings.sample_images)
    agrees = agreement(exact, graph, images)
    if agrees < settings.minimum_agreement:
        raise InputError(
            f"masks in {settings.precision} agree with those in float32 to a Dice of {agrees:.4f} on "
            f"{len(images)} training images, less than {settings.minimum_agreement}; export in float32"
        )
    return graph, agrees
