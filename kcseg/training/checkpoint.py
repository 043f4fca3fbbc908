"""The state of a half-finished training in one file, replaced as a whole after every epoch."""

import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from kcseg.errors import InputError
from kcseg.files import write


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


def load_state(path: Path) -> TrainingState:
    """Read a state back; no pickle is ever opened.

    Raises:
        InputError: the file is damaged.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            state = TrainingState(**json.loads(str(arrays["facts"])))
            for name in ("variables", "best_weights"):
                count = sum(key.startswith(f"{name}-") for key in arrays.files)
                setattr(state, name, [arrays[f"{name}-{index}"] for index in range(count)])
        return state
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"the resume state {path} is damaged ({error}); delete it to start this member anew"
        ) from error
