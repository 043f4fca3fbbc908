"""Feeds the readers of small JSON and CSV files, which say what was done and how."""

import json
from collections.abc import Callable
from pathlib import Path

from kcseg.config import QUICK
from kcseg.config_json import from_json, to_json
from kcseg.files import read_json
from kcseg.image.png import stated_hu_offset
from kcseg.phantom.simulate import planted_faults
from kcseg.training.fit import read_history
from tests.fuzz.mutate import broken, broken_json
from tests.fuzz.reader import Reader

CASES = {"train-1/0001": {"faults": ["shifted"]}, "train-1/0002": {"faults": []}}
HISTORY = b"epoch,step,loss,val_dice\n1,10,0.5,0.25\n2,20,0.25,0.5\n"


def read_config(path: Path) -> None:
    config = from_json(read_json(path), str(path))
    assert from_json(to_json(config), "again") == config


def read_batch(path: Path) -> None:
    assert abs(stated_hu_offset(path.parent) or 0) <= 65536


def read_simulation(path: Path) -> None:
    faults = planted_faults(path.parent, list(CASES))
    assert faults is not None and len(faults) == 2


def read_rows(path: Path) -> None:
    assert all(isinstance(value, float) for row in read_history(path.parent) for value in row.values())


def reader(name: str, sound: object, read: Callable[[Path], None]) -> Reader:
    return Reader(name, [json.dumps(sound).encode()], broken_json, read)


READERS = {
    "configuration": reader("config.json", to_json(QUICK), read_config),
    "batch.json": reader("batch.json", {"hu_offset": -1024}, read_batch),
    "simulation.json": reader("simulation.json", {"cases": CASES}, read_simulation),
    "history": Reader("history.csv", [HISTORY], broken, read_rows),
}
