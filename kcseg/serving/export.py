"""The trained members, their largest components and the median as one SavedModel: HU in, cortex out."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kcseg.config import EXPORT, ExportConfig
from kcseg.data.batch import training_batch
from kcseg.errors import InputError
from kcseg.files import atomic_folder, read_json, write_json
from kcseg.network.losses import dice
from kcseg.serving.graph import EnsembleGraph
from kcseg.serving.manifest import manifest
from kcseg.serving.warmup import write_warmup
from kcseg.training.run import MODEL_NAME, Run


def export_run(
    run: Run, settings: ExportConfig = EXPORT, *, data: Path | None = None, created: date | None = None
) -> Path:
    """Write the ensemble of a run to `export/kcseg/<version>` inside it and return that folder.

    Versions count up, as TF Serving expects; an earlier one is never touched. Beside the model, `assets.extra/` holds
    `manifest.json` and TF Serving's warm-up requests.

    Args:
        run: a run whose members are all trained.
        settings: precision, HU offset of PNG, limits.
        data: the challenge folder the run was trained on, which a precision other than float32 is checked with; by
            default the one simulated inside the run.
        created: the day to state in the manifest.

    Raises:
        InputError: members are missing, a member's weights are not what training wrote, or masks of the precision
            agree too little with those of float32.
    """
    missing = run.missing_members()
    if missing:
        raise InputError(
            f"{run.folder} lacks the members {', '.join(map(str, missing))}; run kcseg-train on it until it ends"
        )
    networks = [run.load_network(number) for number in run.config.member_numbers]
    graph = EnsembleGraph(networks, run.config, settings)
    agreement = None if settings.precision == "float32" else _agreement(run, networks, graph, settings, data)
    target = run.export_folder / str(max(versions(run.export_folder), default=0) + 1)
    with atomic_folder(target) as temporary:
        tf.saved_model.save(graph, str(temporary), signatures=graph.signatures)
        write_warmup(temporary, MODEL_NAME)
        facts = manifest(run, graph, settings, agreement=agreement, created=created)
        write_json(temporary / "assets.extra" / "manifest.json", facts)
    return target


def versions(folder: Path) -> list[int]:
    """Return the versions of an exported model, lowest first."""
    return sorted(
        int(path.parent.name) for path in folder.glob("*/saved_model.pb") if path.parent.name.isdigit()
    )


def _agreement(
    run: Run, networks: list[keras.Model], graph: EnsembleGraph, settings: ExportConfig, data: Path | None
) -> float:
    """Return the mean Dice between the graph's masks and those of float32 on a sample of the training images."""
    exact = EnsembleGraph(networks, run.config, replace(settings, precision="float32"))
    scores = []
    for image in _sample(run, settings.sample_images, data):
        expected, found = (
            tf.cast(ensemble.segment(image[np.newaxis])["mask"], tf.float32) for ensemble in (exact, graph)
        )
        scores.append(float(dice(expected, found)[0]))
    agreement = float(np.mean(scores))
    if agreement < settings.minimum_agreement:
        raise InputError(
            f"masks in {settings.precision} agree with those in float32 to a Dice of {agreement:.4f} on "
            f"{len(scores)} training images, less than {settings.minimum_agreement}; export in float32"
        )
    return agreement


def _sample(run: Run, count: int, data: Path | None) -> list[np.ndarray]:
    """Return training images of a run, evenly spaced among all, float32 (height, width) in HU."""
    challenge = data or run.folder / "challenge"
    if not challenge.is_dir():
        raise InputError(
            f"a lesser precision is checked on training images, and there are none in {challenge}; "
            "name the challenge folder of the run with --data"
        )
    batch = training_batch(challenge)
    if batch.fingerprint() != read_json(run.folder / "data.json")["sha256"]:
        raise InputError(f"{challenge} is not what {run.folder} was trained on; name that folder with --data")
    chosen = np.linspace(0, len(batch) - 1, min(count, len(batch))).round().astype(int)
    return [batch.images[index] for index in chosen]
