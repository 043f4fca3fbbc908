"""Pre-training on COCO persons (paper): the same U-Net first learns to segment people."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import keras

from kcseg.config import Config, to_json
from kcseg.dataset.coco import CocoPersons
from kcseg.dataset.pipeline import PersonSteps, person_validation
from kcseg.errors import InputError
from kcseg.files import locked, remove_leftovers, require_own, sha256, write_json
from kcseg.phantom.persons import simulate_persons
from kcseg.training.checkpoint import TrainingState, save_pretrained
from kcseg.training.fit import OnStep, fit_network
from kcseg.training.run import PRETRAINED_NAME

_SETTINGS, _RESULT = "pretraining.json", "result.json"
_PERSONS = {"train": 1500, "val": 150}  # images of the stand-in for COCO

OnStage = Callable[[str, int, int], None]  # which stage, how much of it is done, of how much


def pretrain(
    folder: Path,
    coco: Path,
    config: Config,
    *,
    on_step: OnStep = lambda done, total, best: None,
) -> tuple[CocoPersons, CocoPersons]:
    """Train one network on COCO persons, or go on where an earlier call was cut off.

    Writes `pretrained.npz`, the weights by variable path, which `kcseg-train --pretrained` takes, besides
    `history.csv`, a TensorBoard log, `pretraining.json` (what was asked for) and `result.json`.

    Args:
        folder: the run folder.
        coco: a folder in COCO's layout with its 2017 training and validation splits.
        config: network, training, augmentation and `pretraining`.
        on_step: told of every step.

    Returns:
        The training and the validation split, with the counts of what was passed over.

    Raises:
        InputError: unusable data, or the folder holds something else, a finished or another pre-training.
    """
    train, validation = CocoPersons(coco, "train"), CocoPersons(coco, "val")
    facts = {
        "config": to_json(config),
        "annotations_sha256": [
            sha256(coco / "annotations" / f"instances_{split}2017.json") for split in ("train", "val")
        ],
    }
    if (folder / _RESULT).exists():
        raise InputError(f"{folder} holds a finished pre-training; choose another folder with --run")
    require_own(folder / _SETTINGS, facts, "pre-training")
    with locked(folder):
        remove_leftovers(folder)
        write_json(folder / _SETTINGS, facts)
        pretraining = replace(
            config.training,
            maximum_epochs=config.pretraining.maximum_epochs,
            patience_epochs=config.pretraining.maximum_epochs,
        )
        settings = replace(config, training=pretraining)
        network, state = fit_network(
            folder,
            PersonSteps(train, settings, seed=config.seed),
            person_validation(validation, settings),
            settings,
            seed=config.seed,
            on_step=on_step,
        )
        save_pretrained(folder / PRETRAINED_NAME, network)
        write_json(folder / _RESULT, _result(folder, state, train, validation))
        (folder / "state.npz").unlink(missing_ok=True)
    keras.backend.clear_session(free_memory=True)
    return train, validation


def pretrained_weights(folder: Path, coco: Path | None, config: Config, on_step: OnStage) -> Path:
    """Pre-train in `pretraining/` inside a folder, unless an earlier call did, and return the weights.

    Args:
        folder: of what the weights are for.
        coco: a folder in COCO's layout; None simulates persons in `persons/` inside the folder.
        config: as of `pretrain`.
        on_step: told of the stage, how much of it is done, and of how much.

    Raises:
        InputError: as `pretrain` and `simulate_persons`.
    """
    place = folder / "pretraining"
    if not (place / _RESULT).exists():
        if coco is None:
            coco, done = folder / "persons", count(1)
            simulate_persons(
                coco,
                **_PERSONS,
                seed=config.seed,
                progress=lambda: on_step("simulating persons", next(done), sum(_PERSONS.values())),
            )
        pretrain(place, coco, config, on_step=lambda done, total, best: on_step("pre-training", done, total))
    return place / PRETRAINED_NAME


def _result(
    folder: Path, state: TrainingState, train: CocoPersons, validation: CocoPersons
) -> dict[str, object]:
    return {
        "validation_dice": state.best_score,
        "best_epoch": state.best_epoch + 1,
        "epochs": state.epoch,
        "sha256": sha256(folder / PRETRAINED_NAME),
        "images": {"train": len(train), "val": len(validation)},
        "skipped": {"train": dict(train.skipped), "val": dict(validation.skipped)},
    }
