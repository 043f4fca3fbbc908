"""The trained members, their largest components and the median as one SavedModel: HU in, cortex out."""

from pathlib import Path

import tensorflow as tf

from kcseg.config import ExportConfig
from kcseg.errors import InputError
from kcseg.files import atomic_folder
from kcseg.serving.graph import EnsembleGraph
from kcseg.training.run import Run


def export_run(run: Run, settings: ExportConfig = ExportConfig()) -> Path:
    """Write the ensemble of a run to `export/kcseg/<version>` inside it and return that folder.

    Versions count up, as TF Serving expects; an earlier one is never touched.

    Raises:
        InputError: members are missing, or a member's weights are not what training wrote.
    """
    missing = run.missing_members()
    if missing:
        raise InputError(
            f"{run.folder} lacks the members {', '.join(map(str, missing))}; run kcseg-train on it until it ends"
        )
    networks = [run.load_network(number) for number in run.config.member_numbers]
    graph = EnsembleGraph(networks, run.config, settings)
    target = run.export_folder / str(max(versions(run.export_folder), default=0) + 1)
    with atomic_folder(target) as temporary:
        tf.saved_model.save(graph, str(temporary), signatures=graph.signatures)
    return target


def versions(folder: Path) -> list[int]:
    """Return the versions of an exported model, lowest first."""
    return sorted(
        int(path.parent.name) for path in folder.glob("*/saved_model.pb") if path.parent.name.isdigit()
    )
