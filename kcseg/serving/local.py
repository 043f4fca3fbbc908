"""An ensemble in a folder, exported or as packed weights, run by TensorFlow."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from kcseg.config import EXPORT
from kcseg.errors import InputError, reason_of
from kcseg.files import is_file
from kcseg.serving.bundle import is_bundle, load_bundle
from kcseg.serving.contract import OUTPUTS, REQUIRED, check_signatures, outputs_with_kidney
from kcseg.serving.export import versions
from kcseg.serving.graph import EnsembleGraph
from kcseg.serving.stock import checked_copy, unloadable
from kcseg.training.run import MODEL_NAME


class LocalModel:
    """A SavedModel that `kcseg export` wrote, in memory: its `signatures`, and their `definitions` in the file."""

    card: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, folder: Path):
        """Load one version.

        Raises:
            InputError: it cannot be read, is not an exported ensemble, or could do more than compute.
        """
        self._folder = folder
        try:
            with checked_copy(folder) as (copy, self.definitions):
                self._model = tf.saved_model.load(str(copy))  # kept: it holds the signatures' variables
            self.signatures = dict(self._model.signatures)
            self.outputs = {name: found.structured_outputs for name, found in self.signatures.items()}
        except InputError:
            raise
        except Exception as error:  # of a foreign graph, TensorFlow raises anything
            raise unloadable(folder, error) from error
        check_signatures(folder, self.outputs, *REQUIRED)

    def __call__(self, signature: str, images: np.ndarray) -> Mapping[str, np.ndarray]:
        """Answer as `Model` does; an InputError where the export lacks the signature, or its graph fails."""
        check_signatures(self._folder, self.outputs, signature)
        try:
            return _arrays(self.signatures[signature](image=tf.constant(images)))
        except Exception as error:  # as above
            raise InputError(
                f"{self._folder} cannot segment {images.shape} pixels ({reason_of(error)}); take fewer at a time, or "
                "export it anew"
            ) from error


class PackedModel:
    """The ensemble of packed weights, in networks built here."""

    def __init__(self, folder: Path, *, fast: bool = False):
        """Build it, or `fast` its first full member alone; an InputError where the weights are damaged."""
        bundle = load_bundle(folder)
        ensemble = bundle.config.ensemble
        alone = ensemble.folds + 1 if ensemble.full_members else 1
        self._graph = EnsembleGraph.of(bundle, EXPORT, [alone] if fast else None)
        # what it says of all members does not hold of one
        self.card = {} if fast else bundle.card
        self.outputs = outputs_with_kidney() if "kidney" in bundle.config.network.structures else OUTPUTS

    def __call__(self, signature: str, images: np.ndarray) -> Mapping[str, np.ndarray]:
        """Answer as `Model` does."""
        return _arrays(self._graph.signatures[signature](tf.constant(images)))


def load_model(path: Path, *, fast: bool = False) -> PackedModel | LocalModel:
    """Load what `path` means: packed weights, a run folder, an exported model or one version of it.

    Of packed weights, `fast` loads one member alone.

    Raises:
        InputError: there is none of these, or it cannot be read; `fast` of what is exported already.
    """
    folder = find_model(path)
    if is_bundle(folder):
        return PackedModel(folder, fast=fast)
    if fast:
        raise InputError(f"{folder} is exported with all its members; one alone is taken from packed weights")
    return LocalModel(folder)


def find_versions(path: Path) -> Path:
    """Return the folder of versions meant by `path`: a run folder, or an exported model.

    Raises:
        InputError: there is none.
    """
    for folder in (path, path / "export" / MODEL_NAME):
        if versions(folder):
            return folder
    if is_file(path / "config.json"):
        raise InputError(f"{path} is a run that is not exported yet; run 'kcseg train' on it until it ends")
    if is_file(path / "saved_model.pb"):
        raise InputError(f"{path} is one version; name the folder of all versions, {path.resolve().parent}")
    raise InputError(
        f"there is no exported ensemble in {path}; name a run folder, an exported model or packed weights"
    )


def find_model(path: Path) -> Path:
    """Return the folder to load for `path`: packed weights, one version, or the newest of those found.

    Raises:
        InputError: there is none.
    """
    if is_bundle(path) or is_file(path / "saved_model.pb"):
        return path
    folder = find_versions(path)
    return folder / str(versions(folder)[-1])


def _arrays(outputs: Mapping[str, tf.Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in outputs.items()}
