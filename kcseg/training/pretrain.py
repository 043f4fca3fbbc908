"""Pre-training on COCO persons (paper): the same U-Net first learns to segment people."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras

from kcseg.config import Config
from kcseg.config_json import to_json
from kcseg.dataset.coco import CocoPersons
from kcseg.dataset.pipeline import PersonSteps, person_validation
from kcseg.errors import InputError
from kcseg.files import locked, remove_leftovers, require_own, sha256, write_json
from kcseg.progress import Tell, silent
from kcseg.training.checkpoint import TrainingState, save_pretrained
from kcseg.training.fit import fit_network
from kcseg.training.run import PRETRAINED_NAME

_SETTINGS, RESULT = "pretraining.json", "result.json"


def pretrain(
    folder: Path,
    coco: Path,
    config: Config,
    *,
    tell: Tell = silent,
    on_read: Callable[[CocoPersons], None] = lambda split: None,
) -> tuple[CocoPersons, CocoPersons]:
    """Train one network on COCO persons, or go on where an earlier call was cut off.

    Writes `pretrained.npz`, the weights by variable path, `history.csv`, a TensorBoard log, `pretraining.json` (what
    was asked for) and `result.json`.

    `coco` is a folder in COCO's layout. Both of its 2017 splits, training and validation, are given to `on_read` before
    the training begins, to show what is passed over, and returned after it.

    Raises:
        InputError: unusable data, or the folder holds something else, a finished or another pre-training.
    """
    train, validation = CocoPersons(coco, "train"), CocoPersons(coco, "val")
    facts = {
        "config": to_json(config),
        "annotations_sha256": [sha256(split.annotations) for split in (train, validation)],
    }
    if (folder / RESULT).exists():
        raise InputError(f"{folder} holds a finished pre-training; choose another folder")
    require_own(folder / _SETTINGS, facts, "pre-training")
    for split in (train, validation):
        on_read(split)
    with locked(folder):
        remove_leftovers(folder)
        write_json(folder / _SETTINGS, facts)
        epochs = config.pretraining.maximum_epochs
        training = replace(config.training, maximum_epochs=epochs, patience_epochs=epochs)
        # a person is one structure; the head that finds it is not handed over
        settings = replace(config, training=training, network=replace(config.network, structures=("cortex",)))
        network, state = fit_network(
            folder,
            PersonSteps(train, settings, seed=config.seed),
            person_validation(validation, settings),
            settings,
            seed=config.seed,
            tell=tell,
            stage="pre-training",
        )
        save_pretrained(folder / PRETRAINED_NAME, network)
        write_json(folder / RESULT, _result(folder, state, train, validation))
        (folder / "state.npz").unlink(missing_ok=True)
    keras.backend.clear_session(free_memory=True)
    return train, validation


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
