"""Feeds the reader of a search's state."""

import contextlib
import io
from pathlib import Path

import keras_tuner

from kcseg.training.oracle import build_oracle
from kcseg.training.space import SPACE, hyperparameters
from tests.fuzz.mutate import broken_json
from tests.fuzz.reader import Reader, saved


def search_samples() -> list[bytes]:
    return [saved(_search, "state.json")]


def _search(path: Path) -> None:
    """Save a search with one trial ended and one dealt."""
    oracle = _oracle(path)
    with _quiet():
        _end(oracle, oracle.create_trial("tuner0"))
        oracle.create_trial("tuner0")
        oracle.save()


def read_search(path: Path) -> None:
    """Read a state, and deal the next trial."""
    oracle = _oracle(path)
    with _quiet():
        oracle.restore(workers=False)
        trial = oracle.create_trial("tuner0")
        if trial.status == "RUNNING":
            _end(oracle, trial)


def _oracle(path: Path):
    oracle = build_oracle(hyperparameters(SPACE), trials=4, seed=1, random=True)
    oracle.keep_in(path, timeout_s=60)
    # a tuner tells it its folder
    keras_tuner.Tuner(oracle, lambda _: None, directory=str(path.parent), project_name="trials")
    oracle.verbose = 0  # as in a search of ours; else it keeps the time
    return oracle


def _end(oracle, trial) -> None:
    oracle.update_trial(trial.trial_id, {"dice": 0.5})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)


def _quiet() -> contextlib.AbstractContextManager:
    return contextlib.redirect_stdout(io.StringIO())


READERS = {"search state": Reader("state.json", search_samples, broken_json, read_search)}
