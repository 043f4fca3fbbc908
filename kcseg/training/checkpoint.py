"""Weights as arrays in one file each: the state of a half-finished training, and what pre-training hands over."""

import io
import json
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import keras
import numpy as np

from kcseg.config import NetworkConfig
from kcseg.errors import InputError
from kcseg.files import write
from kcseg.network.unet import build_unet

# what NumPy and zipfile raise at files that are not what they seem
_DAMAGE: tuple[type[Exception], ...] = (
    *(ValueError, KeyError, EOFError, TypeError, AttributeError, NotImplementedError, RuntimeError, OSError),
    *(MemoryError, zlib.error, zipfile.BadZipFile),
)


@dataclass
class TrainingState:
    """All that the next epoch depends on.

    `variables` are those of network and optimiser, `best_weights` the network's at the best epoch so far; `history`
    holds one row of logs per finished epoch.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = -1
    best_score: float = -1.0
    variables: list[np.ndarray] = field(default_factory=list)
    best_weights: list[np.ndarray] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history)


def save_state(path: Path, state: TrainingState) -> None:
    """Write the state atomically: whoever is killed while writing leaves the state before."""
    facts = {"history": state.history, "best_epoch": state.best_epoch, "best_score": state.best_score}
    arrays = {
        f"{name}-{index}": array
        for name in ("variables", "best_weights")
        for index, array in enumerate(getattr(state, name))
    }

    def save(file: BinaryIO) -> None:
        np.savez(file, facts=np.array(json.dumps(facts)), **arrays)

    write(path, save)


def arrays_in(content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file by name; no pickle is ever opened.

    Raises:
        ValueError: the file is damaged, or no npz file.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except _DAMAGE as error:
        raise ValueError(str(error) or "damaged") from error


def save_pretrained(path: Path, network: keras.Model) -> None:
    """Write a network's weights by variable path, for other networks to start from."""
    arrays = {variable.path: keras.ops.convert_to_numpy(variable) for variable in network.variables}
    write(path, lambda file: np.savez(file, **arrays))


def load_pretrained(path: Path, config: NetworkConfig) -> dict[str, np.ndarray]:
    """Read pre-trained weights for a network, all but those of its head, which begins anew.

    Raises:
        InputError: no such file, a damaged one, or weights of another network: the first layer that differs is named.
    """
    try:
        found = arrays_in(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} holds no pre-trained weights ({error}); name what kcseg pretrain wrote"
        ) from error
    start = {}
    for variable in build_unet(config, seed=0).variables:
        layer, shape = variable.path.rsplit("/", 1)[0], tuple(variable.shape)
        if layer == "soft_mask":
            continue
        if variable.path not in found or found[variable.path].shape != shape:
            got = found[variable.path].shape if variable.path in found else "no such layer"
            raise InputError(
                f"{path} was trained with another network: {layer} is {shape} here and {got} there; "
                "pre-train with the same preset and configuration"
            )
        start[variable.path] = found.pop(variable.path)
    if further := [name for name in found if not name.startswith("soft_mask/")]:
        raise InputError(
            f"{path} was trained with another network: it has a layer {further[0].rsplit('/', 1)[0]} that is not here; "
            "pre-train with the same preset and configuration"
        )
    return start


def load_state(path: Path) -> TrainingState:
    """Read a state back; no pickle is ever opened.

    Raises:
        InputError: the file is damaged.
    """
    try:
        arrays = arrays_in(path.read_bytes())
        state = TrainingState(**json.loads(str(arrays["facts"])))
        for name in ("variables", "best_weights"):
            count = sum(key.startswith(f"{name}-") for key in arrays)
            setattr(state, name, [arrays[f"{name}-{index}"] for index in range(count)])
        return state
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"the resume state {path} is damaged ({error}); delete it to start this member anew"
        ) from error
