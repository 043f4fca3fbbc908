"""One trial of a search: the same settings trained on a few folds, or the reason why not."""

import statistics
import timeit
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kcseg.config import Config
from kcseg.config_json import to_json
from kcseg.dataset.batch import Batch
from kcseg.errors import InputError, reason_of
from kcseg.files import locked, read_json, remove, remove_leftovers, write_json
from kcseg.network.unet import build_unet, count_parameters
from kcseg.progress import Tell, share, silent
from kcseg.training.apart import KilledError, call_apart
from kcseg.training.members import fit_member
from kcseg.training.run import Member, plan_members
from kcseg.training.search import Search

FINISHED, BEYOND_BUDGET, FAILED = "finished", "beyond budget", "failed"
_TIMED_CALLS = 11


@dataclass(frozen=True)
class Trial:
    """What is tried, and on what."""

    folder: Path
    number: int  # from 0
    values: Mapping[str, Any]  # by the names of the search space
    search: Search
    batch: Batch  # the training images

    @property
    def config(self) -> Config:
        """The settings that the values stand for, as they are trained here."""
        return self.search.trial_settings(self.values)


@dataclass(frozen=True)
class TrialResult:
    """What became of a trial; `dice` is the mean of the best validation Dice of its folds."""

    trial: str  # its number
    status: str  # FINISHED, BEYOND_BUDGET or FAILED
    values: Mapping[str, Any]  # by the names of the search space
    dice: float | None = None
    fold_dice: Sequence[float] = ()
    parameters: int | None = None
    ms_per_image: float | None = None  # measured where there is a budget for it
    reason: str = ""


def run_trial(trial: Trial, tell: Tell = silent) -> TrialResult:
    """Train a trial's settings on its folds, or go on where an earlier call was cut off.

    Works in a process of its own, as TensorFlow keeps some memory of every network it trained. Writes `config.json`,
    a folder per fold and, when all is done, `result.json`. What is wrong with the settings becomes part of the
    result: the loss stops being a number, memory runs out, even if the process is killed for it, or an image takes
    too long.

    Raises:
        InputError: the folder cannot be written.
    """
    folder, settings, result = trial.folder, trial.folder / "config.json", trial.folder / "result.json"
    with locked(folder, wait=True):  # a worker that was taken for lost may still train it
        if settings.exists() and read_json(settings) != to_json(trial.config):
            for path in folder.iterdir():
                if path.name != ".lock":
                    remove(path)
        if not result.exists():
            remove_leftovers(folder)
            write_json(settings, to_json(trial.config))
            try:
                ended = call_apart(_attempt, trial, tell=tell)
            except KilledError as error:  # trying again would end in the same way
                ended = TrialResult(status=FAILED, reason=str(error), **_known(trial))
            write_json(result, asdict(ended))
        for state in folder.glob("fold-*/state.npz"):
            state.unlink()
    return read_result(folder)


def read_result(folder: Path) -> TrialResult:
    """Read what a finished trial left."""
    return TrialResult(**read_json(folder / "result.json"))


def read_results(trials: Path) -> list[TrialResult]:
    """Return the results of the trials in a folder that have ended, in the order they were dealt."""
    found = [read_result(path.parent) for path in trials.glob("trial-*/result.json")]
    return sorted(found, key=lambda result: int(result.trial))


def milliseconds_per_image(network: keras.Model, size: tuple[int, int]) -> float:
    """Return the median time to segment one image (height, width) on this machine, in ms."""
    infer = tf.function(lambda image: network(image, training=False))
    image = tf.zeros((1, *size, 1))
    infer(image)
    return 1e3 * statistics.median(timeit.repeat(lambda: infer(image).numpy(), number=1, repeat=_TIMED_CALLS))


def _attempt(trial: Trial, tell: Tell) -> TrialResult:
    known, search = _known(trial), trial.search
    try:
        if (allowed := search.most_ms_per_image) is not None:
            known["ms_per_image"] = taken = _measure(trial)
            if taken > allowed:
                reason = f"{taken:.1f} ms per image, {allowed:g} allowed"
                return TrialResult(status=BEYOND_BUDGET, reason=reason, **known)
        members = plan_members(trial.batch.ids, search.config)[: search.folds]
        scores = [
            _fit_fold(trial, member, share(tell, place, search.folds)) for place, member in enumerate(members)
        ]
    except (InputError, tf.errors.OpError, MemoryError) as error:
        return TrialResult(status=FAILED, reason=reason_of(error), **known)
    return TrialResult(status=FINISHED, dice=float(np.mean(scores)), fold_dice=scores, **known)


def _known(trial: Trial) -> dict[str, Any]:
    """Return what is known of a trial before it is trained."""
    parameters = count_parameters(trial.config.network)
    return {"trial": str(trial.number), "values": dict(trial.values), "parameters": parameters}


def _measure(trial: Trial) -> float:
    height, width = (max(image.shape[axis] for image in trial.batch.images) for axis in (0, 1))
    network = build_unet(trial.config.network, seed=trial.config.seed)
    return round(milliseconds_per_image(network, (height, width)), 3)


def _fit_fold(trial: Trial, member: Member, tell: Tell) -> float:
    folder, stage = trial.folder / f"fold-{member.number}", f"trial {trial.number}"
    _, state = fit_member(folder, member, trial.batch, trial.config, tell=tell, stage=stage)
    keras.backend.clear_session(free_memory=True)
    return state.best_score
