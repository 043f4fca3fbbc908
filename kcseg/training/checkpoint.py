"""Weights as arrays in one file each: the state of a half-finished training, and what pre-training hands over."""

import io
import json
import reprlib
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import keras
import numpy as np

from kcseg.config import NetworkConfig
from kcseg.errors import InputError, reason_of
from kcseg.files import read_bytes, write
from kcseg.network.unet import build_unet, count_parameters

_MOST_GROUPS = 10_000  # in a file of weights; a network of 70 layers takes some 300


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
        # as bytes: Python fails on a damaged text of NumPy's
        np.savez(file, facts=np.frombuffer(json.dumps(facts).encode(), np.uint8), **arrays)

    write(path, save)


def arrays_in(content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of what `numpy.savez` wrote: no pickle, and nothing that unpacks to more than it holds.

    Raises:
        ValueError: the file is damaged, or no such file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members, names = archive.infolist(), set(archive.namelist())
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ValueError("it is compressed")
            if len(names) < len(members) or sum(member.file_size for member in members) > len(content):
                raise ValueError("arrays share a name or a place in it")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except Exception as error:  # of foreign bytes, readers raise anything
        raise ValueError(reason_of(error)) from error
    if not all(isinstance(array, np.ndarray) and array.dtype.kind in "iuf" for array in found.values()):
        raise ValueError("it holds more than numbers")
    return found


def weights_by_path(network: keras.Model) -> dict[str, np.ndarray]:
    """Return a network's weights by variable path, under which another network of that configuration has them too.

    Not all its variables: those of dropout's seeds are named otherwise in each network.
    """
    return {variable.path: keras.ops.convert_to_numpy(variable) for variable in network.weights}


def refuse_too_small(path: Path, size_bytes: int, config: NetworkConfig) -> None:
    """Hold a file of weights against its network before memory is given to that.

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


def load_pretrained(path: Path, config: NetworkConfig) -> dict[str, np.ndarray]:
    """Read pre-trained weights for a network, all but those of its head, which begins anew.

    Raises:
        InputError: no such file, a damaged one, or weights of another network: the first layer that differs is named.
    """
    try:
        found = arrays_in(content := read_bytes(path))
    except Exception as error:
        raise InputError(
            f"{path} holds no pre-trained weights ({reason_of(error)}); name what kcseg pretrain wrote"
        ) from error
    refuse_too_small(path, len(content), config)
    start = {}
    for variable in build_unet(config, seed=0).weights:
        layer, shape = variable.path.rsplit("/", 1)[0], tuple(variable.shape)
        if layer == "soft_mask":
            continue
        got = found[variable.path].shape if variable.path in found else "no such layer"
        if got != shape:
            raise InputError(
                f"{path} was trained with another network: {layer} is {shape} here and {got} there; "
                "pre-train with the same preset and configuration"
            )
        array = found.pop(variable.path)
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise InputError(f"{path} holds no finite numbers for {layer}; pre-train anew")
        start[variable.path] = array
    if further := [name for name in found if not name.startswith("soft_mask/")]:
        layer = reprlib.repr(further[0].rsplit("/", 1)[0])
        raise InputError(
            f"{path} was trained with another network: it has a layer {layer} that is not here; "
            "pre-train with the same preset and configuration"
        )
    return start


def load_state(path: Path) -> TrainingState:
    """Read a state back; no pickle is ever opened.

    Raises:
        InputError: the file is damaged.
    """
    try:
        arrays = arrays_in(read_bytes(path))
        state = TrainingState(**json.loads(arrays.pop("facts").tobytes()))
        for name in ("variables", "best_weights"):
            count = sum(key.startswith(f"{name}-") for key in arrays)
            setattr(state, name, [arrays[f"{name}-{index}"] for index in range(count)])
        if not _is_sound(state):
            raise ValueError("its facts are none of a training")
        return state
    except Exception as error:
        raise InputError(
            f"the resume state {path} is damaged ({reason_of(error)}); delete it to start this member anew"
        ) from error


def load_weights(path: Path, network: keras.Model) -> None:
    """Give a network the weights that `save_weights` wrote; nothing else in the file is looked at.

    Raises:
        InputError: weights of another network, or a file that leads to others or unpacks to more than it holds.
    """
    try:
        with h5py.File(path, "r") as file:
            arrays = sum(_count_arrays(group) for group in _groups(file))
        if arrays < len(network.weights):  # Keras would leave those that are missing random
            raise ValueError(f"{arrays} arrays instead of {len(network.weights)}")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            network.load_weights(path)
    except Exception as error:
        raise InputError(
            f"{path} cannot be loaded as weights of this network ({reason_of(error)}); train the member anew"
        ) from error


def _groups(file: h5py.Group) -> Iterator[h5py.Group]:
    """Yield a group and all below it, but none that is reached by a link."""
    ahead, seen = [file], 0
    while ahead:
        group = ahead.pop()
        if (seen := seen + 1) > _MOST_GROUPS:  # a group may have many names, and itself below it
            raise ValueError("groups within groups without end")
        yield group
        ahead += (
            group[name]
            for name in group
            if isinstance(group.get(name, getlink=True), h5py.HardLink)
            and isinstance(group[name], h5py.Group)
        )


def _count_arrays(group: h5py.Group) -> int:
    """Return how many arrays a group holds; what is none, or not held by it, is an error."""
    count = 0
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError("it has links")
        item = group[name]
        # Keras stores arrays as they are; other layouts may read other files, or unpack to any size
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual or item.id.get_storage_size() != item.nbytes:
                raise ValueError("an array is not stored in it as it is")
            count += 1
    return count


def _is_sound(state: TrainingState) -> bool:
    """Whether facts have their types, and arrays are numbers."""
    rows = state.history if isinstance(state.history, list) else [None]
    return (
        all(isinstance(row, dict) and set(map(type, row.values())) <= {int, float} for row in rows)
        and type(state.best_epoch) is int
        and type(state.best_score) is float
        and all(array.dtype.kind in "iuf" for array in state.variables + state.best_weights)
    )
