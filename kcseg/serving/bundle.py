"""Packed weights: a folder of plain arrays, the settings their networks are built from, and hashes of all."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

import kcseg
from kcseg.config import Config
from kcseg.config_json import from_json, to_json
from kcseg.errors import InputError, reason_of
from kcseg.files import is_file, read_bytes, read_json, sha256, write, write_json
from kcseg.network.unet import build_unet
from kcseg.serving.graph import Trained
from kcseg.serving.manifest import members_facts
from kcseg.training.checkpoint import arrays_in, refuse_too_small, weights_by_path

FORMAT = "kcseg weights 1"
PRECISIONS = ("float16", "float32")
CARD, CONFIG = "card.json", "config.json"


@dataclass(frozen=True)
class Bundle:
    """A folder of packed weights. Nothing in it is run: our code builds the networks and checks the arrays."""

    folder: Path
    config: Config
    card: dict[str, Any]  # what card.json says

    def load_network(self, number: int, into: keras.Model | None = None) -> keras.Model:
        """Build a member's network, or take that of another one, and give it its weights.

        Raises:
            InputError: the weights are missing, damaged, or of another network.
        """
        path = self.folder / _file_name(number)
        content = _checked(path, self.card)
        refuse_too_small(path, len(content), self.config.network)
        network = into or build_unet(self.config.network, seed=0)
        try:
            _fill(network, arrays_in(content))
        except ValueError as error:
            raise InputError(
                f"{path} holds no weights of this network ({reason_of(error)}); install them anew"
            ) from error
        return network

    def member_facts(self, number: int) -> dict[str, Any]:
        """What training said of a member: `validation_dice`, and `sha256` of the weights it wrote."""
        return self.card["members"][f"member-{number}"]

    def training_data(self) -> dict[str, Any]:
        """What the members were trained on: at least the number of `images` and their fingerprint `sha256`."""
        return self.card["training_data"]


def write_weights(folder: Path, trained: Trained, precision: str) -> dict[str, Any]:
    """Write `config.json` and `member-<k>.npz`, and return what `card.json` has to say of them.

    Args:
        folder: a folder of its own.
        trained: the members.
        precision: "float16" or "float32", of the convolutions' kernels. Biases and the statistics of the batch
            normalisations, a hundredth of the numbers, stay float32: a variance may be too large for float16.

    Raises:
        InputError: a weight is too large for the precision.
    """
    write_json(folder / CONFIG, to_json(trained.config))
    for number in trained.config.member_numbers:
        arrays = weights_by_path(trained.load_network(number))
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
            rounded = {
                path: array.astype(precision if array.ndim > 1 else np.float32)
                for path, array in arrays.items()
            }
        if not all(np.isfinite(array).all() for array in rounded.values()):
            raise InputError(
                f"weights of member {number} cannot be written as {precision}; pack them as float32"
            )
        write(folder / _file_name(number), partial(np.savez, **rounded))  # type: ignore[arg-type]
    hashes = {path.name: sha256(path) for path in sorted(folder.iterdir())}
    return {"format": FORMAT, "precision": precision, "files": hashes}


def is_bundle(folder: Path) -> bool:
    """Whether a folder holds packed weights, whole or damaged."""
    return any(is_file(folder / name) for name in (CARD, _file_name(1)))


def load_bundle(folder: Path | str) -> Bundle:
    """Open packed weights; the hash of each file is checked when it is read.

    Raises:
        InputError: `card.json` or `config.json` is missing, damaged, or of another kind.
    """
    folder = Path(folder)
    card = read_json(folder / CARD)
    if not isinstance(card, dict) or card.get("format") != FORMAT or not isinstance(card.get("files"), dict):
        raise InputError(
            f"{folder / CARD} does not describe {FORMAT!r}; name a folder that 'kcseg pack' wrote, or update kcseg"
        )
    _checked(folder / CONFIG, card)
    config = from_json(read_json(folder / CONFIG), str(folder / CONFIG))
    bundle = Bundle(folder, config, card)
    try:  # what an export will state
        members_facts(bundle)
        bundle.training_data()["sha256"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder / CARD} lacks {error}; install the weights anew") from error
    return bundle


def shipped_weights() -> Path:
    """Return the folder of the weights that come with kcseg.

    Raises:
        InputError: this installation holds none.
    """
    package = Path(kcseg.__file__).parent
    # an installation carries them inside the package, a clone beside it
    for folder in (package / "checkpoints", package.parent / "checkpoints"):
        if is_bundle(folder):
            return folder
    raise InputError(
        "no weights came with this kcseg; train a run with 'kcseg train' and name it as the model"
    )


def _file_name(number: int) -> str:
    return f"member-{number}.npz"


def _checked(path: Path, card: dict[str, Any]) -> bytes:
    """Read a file whose hash is as the card states."""
    content = read_bytes(path) if is_file(path) else b""
    if sha256(content) != card["files"].get(path.name):
        raise InputError(f"{path} is missing or not what {CARD} states; install the weights anew")
    return content


def _fill(network: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Give a network its weights; a ValueError names what is missing, foreign, or not as the network needs it."""
    variables = {variable.path: variable for variable in network.weights}
    for path in sorted(variables.keys() ^ arrays.keys()):
        raise ValueError(f"{path} is {'missing' if path in variables else 'not of it'}")
    for path, variable in variables.items():
        array, shape = arrays[path], tuple(variable.shape)
        if array.shape != shape or array.dtype.name not in PRECISIONS or not np.isfinite(array).all():
            raise ValueError(
                f"{path} should be finite numbers of shape {shape}, is {array.dtype} {array.shape}"
            )
        variable.assign(array.astype(np.float32))
