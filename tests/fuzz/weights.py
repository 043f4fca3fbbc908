"""Feeds the readers of weights: pre-trained, of a member, and packed with their card."""

import json
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from kcseg.config import QUICK, EnsembleConfig, NetworkConfig
from kcseg.files import sha256
from kcseg.network.unet import build_unet
from kcseg.serving.bundle import CARD, load_bundle, write_weights
from kcseg.serving.manifest import members_facts
from kcseg.training.checkpoint import load_pretrained, load_weights, save_pretrained
from tests.fuzz.mutate import broken, broken_json, broken_zip
from tests.fuzz.reader import Reader, saved

TINY = NetworkConfig(levels=1, filters=2, skip_convolutions=0)


NETWORK = build_unet(TINY, seed=0)  # one for all files; building it anew each time would take all the time


def _packed() -> dict[str, bytes]:
    """Return the files of packed weights of two members, by name."""
    stated = {"validation_dice": 0.9, "sha256": "0" * 64}
    config = replace(QUICK, network=TINY, ensemble=EnsembleConfig(folds=2, full_members=0))
    trained = SimpleNamespace(config=config, load_network=lambda _: NETWORK)
    with tempfile.TemporaryDirectory() as folder:
        card = write_weights(Path(folder), trained, "float16")
        card["members"] = {f"member-{number}": stated for number in config.member_numbers}
        card["training_data"] = {"images": 2, "sha256": "0" * 64}
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    return files | {CARD: json.dumps(card).encode()}


PACKED = _packed()
MEMBER = "member-1.npz"


def read_pretrained(path: Path) -> None:
    assert all(array.dtype.kind == "f" for array in load_pretrained(path, TINY).values())


def read_weights(path: Path) -> None:
    load_weights(path, NETWORK)


def read_packed(path: Path) -> None:
    """Read weights whose hash the card states, so that what lies behind the hash is reached."""
    card = json.loads(PACKED[CARD])
    card["files"][path.name] = sha256(path)
    _load_packed(path, PACKED | {CARD: json.dumps(card).encode()})


def read_card(path: Path) -> None:
    _load_packed(path, PACKED)


def _load_packed(path: Path, files: dict[str, bytes]) -> None:
    """Read a file beside the others of packed weights."""
    for name in files.keys() - {path.name}:
        (path.parent / name).write_bytes(files[name])
    bundle = load_bundle(path.parent)
    assert all(np.isfinite(array).all() for array in bundle.load_network(1).get_weights())
    members_facts(bundle)


READERS = {
    "pre-trained weights": Reader(
        "a.npz", [saved(partial(save_pretrained, network=NETWORK), "a.npz")], broken_zip, read_pretrained
    ),
    "member's weights": Reader(
        "a.weights.h5", [saved(NETWORK.save_weights, "a.weights.h5")], broken, read_weights
    ),
    # these two build a network for each file: 5000 take half an hour
    "packed weights": Reader(MEMBER, [PACKED[MEMBER]], broken_zip, read_packed),
    "packed card": Reader(CARD, [PACKED[CARD]], broken_json, read_card),
}
