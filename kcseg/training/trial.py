"""One trial of a search: the same settings trained on a few folds, or the reason why not."""

import statistics
import time
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
from kcseg.dataset.pipeline import TrainingSteps, validation_dataset
from kcseg.errors import InputError, reason_of
from kcseg.files import locked, read_facts, read_json, remove, remove_leftovers, write_json
from kcseg.network.unet import build_unet
from kcseg.progress import Tell, share, silent
from kcseg.training.apart import KilledError, call_apart
from kcseg.training.fit import fit_network
from kcseg.training.run import Member

FINISHED, BEYOND_BUDGET, FAILED = "finished", "beyond budget", "failed"
_TIMED_CALLS = 11
# keras-tuner writes trial.json, which nobody reads
_NOT_OURS = (".lock", "trial.json")


@dataclass(frozen=True)
class Budget:
    """What a network may cost: weights, and milliseconds to segment one image on this machine; None is no limit."""

    parameters: int | None = None
    ms_per_image: float | None = None


@dataclass(frozen=True)
class TrialResult:
    """What became of a trial; `dice` is the mean of the best validation Dice of its folds."""

    trial: str
    status: str  # FINISHED, BEYOND_BUDGET or FAILED
    values: Mapping[str, Any]  # by the names of the search space
    dice: float | None = None
    fold_dice: Sequence[float] = ()
    parameters: int | None = None
    ms_per_image: float | None = None  # measured where there is a budget for it
    reason: str = ""


def run_trial(
    folder: Path,
    values: Mapping[str, Any],
    batch: Batch,
    members: Sequence[Member],
    config: Config,
    budget: Budget,
    tell: Tell = silent,
) -> TrialResult:
    """Train a trial's settings on the folds of `members`, or go on where an earlier call was cut off.

    Writes `config.json`, a folder per fold and, when all is done, `result.json`. What is wrong with the settings (the
    loss stops being a number, memory runs out, the network costs more than the budget) becomes part of the result.

    Args:
        folder: of the trial; its name ends with the trial's number.
        values: by the names of the search space, to be kept with the result.
        batch: the training images.
        members: fold members, each of which holds some images out.
        config: what `values` came to.
        budget: what a network may cost.
        tell: told of every step, over all folds.

    Raises:
        InputError: the folder cannot be written.
    """
    with locked(folder, wait=True):  # who was given up for lost may still be at it
        facts = to_json(config)
        if (folder / "config.json").exists() and read_json(folder / "config.json") != facts:
            _clear(folder)
        if not (folder / "result.json").exists():
            remove_leftovers(folder)
            write_json(folder / "config.json", facts)
            _write_result(folder, _attempt(folder, values, batch, members, config, budget, tell))
        return _ended(folder)


def run_trial_apart(
    folder: Path,
    values: Mapping[str, Any],
    batch: Batch,
    members: Sequence[Member],
    config: Config,
    budget: Budget,
    tell: Tell = silent,
) -> TrialResult:
    """Do what `run_trial` does in a process of its own: TensorFlow keeps some memory of every network it trained.

    A process that is killed, as the kernel does where memory runs out, is a failed trial; repeating it would end alike.
    """
    try:
        return call_apart(run_trial, folder, values, batch, members, config, budget, tell=tell)
    except KilledError as error:
        with locked(folder, wait=True):
            if not (folder / "result.json").exists():
                _write_result(folder, TrialResult(_number(folder), FAILED, dict(values), reason=str(error)))
            return _ended(folder)


def read_result(folder: Path) -> TrialResult:
    """Read what a finished trial left.

    Raises:
        InputError: there is no result, or a damaged one.
    """
    path = folder / "result.json"
    stated = read_facts(path, trial=str, status=str, values=dict, dice=float | None)
    try:
        result = TrialResult(**stated)
        int(result.trial)  # trials are put in order by it
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path} is no result of a trial ({reason_of(error)}); delete it to repeat the trial"
        ) from error
    return result


def milliseconds_per_image(network: keras.Model, size: tuple[int, int]) -> float:
    """Return the median time to segment one image (height, width) on this machine, in ms."""
    infer = tf.function(lambda image: network(image, training=False))
    image = tf.zeros((1, *size, 1))
    infer(image)
    times = []
    for _ in range(_TIMED_CALLS):
        start = time.perf_counter()
        infer(image).numpy()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def _write_result(folder: Path, result: TrialResult) -> None:
    write_json(folder / "result.json", asdict(result))


def _ended(folder: Path) -> TrialResult:
    """Return the result, and remove what only a half trial needs; a kill may have left it beside the result."""
    for state in folder.glob("fold-*/state.npz"):
        state.unlink()
    return read_result(folder)


def _number(folder: Path) -> str:
    return folder.name.rpartition("_")[2]


def _attempt(
    folder: Path,
    values: Mapping[str, Any],
    batch: Batch,
    members: Sequence[Member],
    config: Config,
    budget: Budget,
    tell: Tell,
) -> TrialResult:
    known: dict[str, Any] = {"trial": _number(folder), "values": dict(values)}
    try:
        known |= _cost(config, batch, budget)
        if reason := _beyond(budget, known["parameters"], known["ms_per_image"]):
            return TrialResult(status=BEYOND_BUDGET, reason=reason, **known)
        scores = [
            _fit_fold(folder, batch, member, config, share(tell, place, len(members)))
            for place, member in enumerate(members)
        ]
    except (InputError, tf.errors.OpError, MemoryError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        return TrialResult(status=FAILED, reason=reason, **known)
    return TrialResult(status=FINISHED, dice=float(np.mean(scores)), fold_dice=scores, **known)


def _cost(config: Config, batch: Batch, budget: Budget) -> dict[str, float | int | None]:
    network = build_unet(config.network, seed=config.seed)
    parameters = network.count_params()
    measured = None
    # not measured where it is too large anyway, which may be more than fits into memory
    if budget.ms_per_image is not None and not _beyond(budget, parameters, None):
        height, width = (max(image.shape[axis] for image in batch.images) for axis in (0, 1))
        measured = round(milliseconds_per_image(network, (height, width)), 3)
    return {"parameters": parameters, "ms_per_image": measured}


def _beyond(budget: Budget, parameters: int, ms_per_image: float | None) -> str:
    if budget.parameters is not None and parameters > budget.parameters:
        return f"{parameters} parameters, {budget.parameters} allowed"
    if budget.ms_per_image is not None and ms_per_image is not None and ms_per_image > budget.ms_per_image:
        return f"{ms_per_image:.1f} ms per image, {budget.ms_per_image:g} allowed"
    return ""


def _fit_fold(folder: Path, batch: Batch, member: Member, config: Config, tell: Tell) -> float:
    held_out = frozenset(member.held_out)
    place = folder / f"fold-{member.number}"
    remove_leftovers(place)
    _, state = fit_network(
        place,
        TrainingSteps(batch.select(frozenset(batch.ids) - held_out), config, seed=member.seed),
        validation_dataset(batch.select(held_out), config),
        config,
        seed=member.seed,
        tell=tell,
        stage=f"trial {_number(folder)}",
    )
    keras.backend.clear_session(free_memory=True)
    return state.best_score


def _clear(folder: Path) -> None:
    """Remove what belongs to other settings."""
    for path in folder.iterdir():
        if path.name not in _NOT_OURS:
            remove(path)
