"""Weights as arrays in one file each: the state of a half-finished training, and what pre-training hands over."""

import io
import json
import warnings
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from kcseg.config import NetworkConfig
from kcseg.errors import InputError, reason_of, shortened
from kcseg.files import read_bytes, write
from kcseg.network.unet import build_unet, count_parameters

_LISTS = ("variables", "best_weights")


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
    """Write the state atomically: a kill while it is written leaves the state before."""
    arrays: dict[str, Any] = {
        f"{name}-{index}": array for name in _LISTS for index, array in enumerate(getattr(state, name))
    }
    facts = {"history": state.history, "best_epoch": state.best_epoch, "best_score": state.best_score}
    # as bytes: Python fails on a damaged text of NumPy's
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    write(path, lambda file: np.savez(file, **arrays))


def load_state(path: Path) -> TrainingState:
    """Read a state back; no pickle is ever opened.

    Raises:
        InputError: the file is damaged.
    """
    try:
        arrays = arrays_in(read_bytes(path))
        state = TrainingState(**json.loads(arrays.pop("facts").tobytes()))
        for name in _LISTS:
            # in the order they were written
            setattr(state, name, [array for key, array in arrays.items() if key.startswith(f"{name}-")])
        return state
    except Exception as error:
        raise InputError(
            f"the resume state {path} is damaged ({reason_of(error)}); delete it to start this member anew"
        ) from error


def arrays_in(content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of what `numpy.savez` wrote: no pickle, and nothing that unpacks to more than the file holds.

    Raises:
        ValueError: the file is damaged, or of another kind.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > len(content):
                raise ValueError("it unpacks to more than it holds")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except Exception as error:  # readers raise all kinds of errors on damaged bytes
        raise ValueError(reason_of(error)) from error
    if not all(isinstance(array, np.ndarray) and array.dtype.kind in "iuf" for array in found.values()):
        raise ValueError("it holds more than numbers")
    return found


def weights_by_path(network: keras.Model) -> dict[str, np.ndarray]:
    """Return a network's weights by variable path, which is the same in every network of that configuration.

    The seeds of dropout have other names in each network, and are left out.
    """
    return {variable.path: keras.ops.convert_to_numpy(variable) for variable in network.weights}


def refuse_too_small(path: Path, size_bytes: int, config: NetworkConfig) -> None:
    """Compare the size of a file of weights with that of its network before the network gets memory.

    Raises:
        InputError: the weights take more, at two bytes each, than the file has.
    """
    if 2 * (count := count_parameters(config)) > size_bytes:
        raise InputError(
            f"{path} was trained with another network: its {size_bytes} bytes are too few for {count} weights; "
            "take the settings it was trained with"
        )


def save_pretrained(path: Path, network: keras.Model) -> None:
    """Write a network's weights by variable path, for other networks to start from."""
    arrays: dict[str, Any] = weights_by_path(network)  # NumPy's types would take them for its flag
    write(path, lambda file: np.savez(file, **arrays))


def load_pretrained(path: Path, config: NetworkConfig, *, head: bool = False) -> dict[str, np.ndarray]:
    """Read pre-trained weights for a network; without `head`, those of its head begin anew, as for another task.

    Raises:
        InputError: no such file, a damaged one, or weights of another network: the first layer that differs is named.
    """
    try:
        content = read_bytes(path)
        found = _chosen(arrays_in(content), head)
    except Exception as error:
        raise InputError(
            f"{path} holds no pre-trained weights ({reason_of(error)}); choose a file that kcseg pretrain wrote"
        ) from error
    refuse_too_small(path, len(content), config)
    wanted = _chosen(weights_by_path(build_unet(config, seed=0)), head)
    for name in [*wanted, *found]:
        layer = shortened(name.rpartition("/")[0])
        here, there = (weights[name].shape if name in weights else "missing" for weights in (wanted, found))
        if here != there:
            raise InputError(
                f"{path} was trained with another network: {layer} is {here} here and {there} there; "
                "pre-train with the same preset and configuration"
            )
        if found[name].dtype.kind != "f" or not np.isfinite(found[name]).all():
            raise InputError(f"{path} holds no finite numbers for {layer}; pre-train anew")
    return found


def load_weights(path: Path, network: keras.Model) -> None:
    """Give a network the weights that Keras' `save_weights` wrote.

    Raises:
        InputError: weights of another network, or a file that leads to others or unpacks to more than it holds.
    """
    try:
        with h5py.File(path, "r") as file:
            _check_arrays(file, len(network.weights))
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Keras only warns of some weights that do not fit
            network.load_weights(path)
    except Exception as error:
        raise InputError(
            f"{path} cannot be loaded as weights of this network ({reason_of(error)}); train the member anew"
        ) from error


def _check_arrays(file: h5py.File, least: int) -> None:
    """Refuse links, arrays that are not stored in the file as they are, and fewer arrays than `least`."""
    arrays: list[str] = []

    def fault(name: str, link: object) -> str | None:
        if not isinstance(link, h5py.HardLink):
            return "it has links"
        if isinstance(item := file[name], h5py.Dataset):
            # other layouts may read other files, or unpack to any size
            if item.external or item.is_virtual or item.id.get_storage_size() != item.nbytes:
                return "an array is not stored in it as it is"
            arrays.append(name)
        return None

    if found := file.visititems_links(fault):  # goes to each group once, however many names it has
        raise ValueError(found)
    if len(arrays) < least:  # Keras would leave those that are missing random
        raise ValueError(f"{len(arrays)} arrays instead of {least}")


def _chosen(weights: dict[str, np.ndarray], head: bool) -> dict[str, np.ndarray]:
    return {name: array for name, array in weights.items() if head or not name.startswith("soft_mask/")}
