"""Weights to pass on: a folder of plain arrays, the settings their networks are built from, and hashes of all."""

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
from kcseg.serving.manifest import Trained, members_facts
from kcseg.training.checkpoint import arrays_in, refuse_too_small, weights_by_path

FORMAT = "kcseg weights 1"
PRECISIONS = ("float16", "float32")
CARD, CONFIG = "card.json", "config.json"


@dataclass(frozen=True)
class Bundle:
    """A folder of weights. Nothing in it is run: networks come from our code, arrays are checked before use."""

    folder: Path
    config: Config
    card: dict[str, Any]  # what card.json says

    def load_network(self, number: int) -> keras.Model:
        """Build a member's network and give it its weights.

        Raises:
            InputError: the weights are missing, damaged, or of another network.
        """
        name = _file_name(number)
        content = _checked(self.folder, name, self.card)
        refuse_too_small(self.folder / name, len(content), self.config.network)
        network = build_unet(self.config.network, seed=0)
        try:
            arrays = arrays_in(content)
            _check_fit(arrays, network)
        except ValueError as error:
            raise InputError(
                f"{self.folder / name} holds no weights of this network ({reason_of(error)}); install them anew"
            ) from error
        for variable in network.weights:
            variable.assign(arrays[variable.path].astype(np.float32))
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
            normalisations, a hundredth of the numbers, stay float32: a variance may lie beyond float16.

    Raises:
        InputError: a weight beyond the precision.
    """
    write_json(folder / CONFIG, to_json(trained.config))
    for number in trained.config.member_numbers:
        arrays = _rounded(trained.load_network(number), precision)
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise InputError(
                f"weights of member {number} cannot be written as {precision}; pack them as float32"
            )
        write(folder / _file_name(number), partial(np.savez, **arrays))  # type: ignore[arg-type]
    hashes = {path.name: sha256(path) for path in sorted(folder.iterdir())}
    return {"format": FORMAT, "precision": precision, "files": hashes}


def is_bundle(folder: Path) -> bool:
    """Whether a folder holds packed weights, whole or damaged."""
    return any(is_file(folder / name) for name in (CARD, _file_name(1)))


def load_bundle(folder: Path) -> Bundle:
    """Open packed weights; each file is checked against its hash when it is read.

    Raises:
        InputError: `card.json` or `config.json` is missing, damaged, or of another kind.
    """
    card = read_json(folder / CARD)
    if not isinstance(card, dict) or card.get("format") != FORMAT or not isinstance(card.get("files"), dict):
        raise InputError(
            f"{folder / CARD} does not describe {FORMAT!r}; name a folder that 'kcseg pack' wrote, or update kcseg"
        )
    _checked(folder, CONFIG, card)
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
    raise InputError("no weights came with this kcseg; train a run with kcseg-train and name it as the model")


def _file_name(number: int) -> str:
    return f"member-{number}.npz"


def _rounded(network: keras.Model, precision: str) -> dict[str, np.ndarray]:
    arrays = weights_by_path(network)
    with np.errstate(
        over="ignore"
    ):  # what is beyond the precision becomes infinite, which the caller refuses
        return {
            path: array.astype(precision if array.ndim > 1 else np.float32) for path, array in arrays.items()
        }


def _checked(folder: Path, name: str, card: dict[str, Any]) -> bytes:
    """Read a file whose hash is as the card states."""
    try:
        content = read_bytes(folder / name)
    except InputError as error:
        raise InputError(f"{error}; install the weights anew") from error
    if sha256(content) != card["files"].get(name):
        raise InputError(f"{folder / name} is not what {CARD} states; install the weights anew")
    return content


def _check_fit(arrays: dict[str, np.ndarray], network: keras.Model) -> None:
    """Raise a ValueError that names the first array that is missing, foreign, or not as the network needs it."""
    wanted = {variable.path: tuple(variable.shape) for variable in network.weights}
    for path in sorted(wanted.keys() ^ arrays.keys()):
        raise ValueError(f"{path} is {'missing' if path in wanted else 'not of it'}")
    for path, shape in wanted.items():
        array = arrays[path]
        if array.shape != shape or str(array.dtype) not in PRECISIONS or not np.isfinite(array).all():
            raise ValueError(
                f"{path} should be finite numbers of shape {shape}, is {array.dtype} {array.shape}"
            )
