"""Pre-trained against random weights to start from (the paper's figure 3), over several seeds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import keras
import numpy as np

from kcseg.config import Config
from kcseg.config_json import to_json
from kcseg.dataset.batch import Batch
from kcseg.dataset.pipeline import TrainingSteps, validation_dataset
from kcseg.errors import InputError
from kcseg.files import locked, remove_leftovers, require_own, sha256, write_json
from kcseg.progress import Tell, share, silent
from kcseg.training.checkpoint import load_pretrained
from kcseg.training.fit import fit_network, read_history
from kcseg.training.run import plan_members

PRETRAINED, RANDOM = "pre-trained", "random"
_SETTINGS = "comparison.json"

History = list[dict[str, float]]


@dataclass(frozen=True)
class Comparison:
    """How the two starts are compared (our choice; the paper shows one training of each).

    A seed draws the fold, the order of the images and the random weights; the two trainings of a seed differ in nothing
    but the weights they start from.
    """

    config: Config
    seeds: int = 5  # trainings of each start
    steps: int = 300  # of each training
    every: int = 20  # steps from one look at the held-out images to the next

    def __post_init__(self) -> None:
        """Refuse what cannot be compared."""
        if min(self.seeds, self.every) < 1 or self.steps < self.every:
            raise InputError(
                f"expected at least one seed and as many steps as between two looks, got {self.seeds} seeds, "
                f"{self.steps} steps, a look every {self.every}"
            )
        if self.config.ensemble.folds < 2:
            raise InputError("held-out images are needed: 'ensemble.folds' must be at least 2")

    def settings(self, seed: int) -> Config:
        """Return the configuration of a seed's trainings; an epoch is the stretch between two looks."""
        looks = self.steps // self.every
        training = replace(self.config.training, maximum_epochs=looks, patience_epochs=looks)
        return replace(self.config, training=training, seed=self.config.seed + seed)


def compare(
    folder: Path, batch: Batch, pretrained: Path, comparison: Comparison, tell: Tell = silent
) -> dict[str, list[History]]:
    """Train from pre-trained and from random weights on the first fold of each seed, or go on where it was cut off.

    Writes `<start>-<seed>/history.csv` to the folder.

    Args:
        batch: images and references to train on.
        pretrained: weights that `kcseg pretrain` wrote.
        tell: told of every step, over all trainings.

    Returns:
        The histories of the trainings by start, in the order of the seeds; a row per look holds `step`, `val_dice`
        and `binary_crossentropy`, the mean over the training batches since the look before.

    Raises:
        InputError: the weights do not fit, or the folder holds something else.
    """
    starts = {PRETRAINED: load_pretrained(pretrained, comparison.config.network), RANDOM: None}
    facts = {
        "config": to_json(comparison.config),
        "steps": comparison.steps,
        "every": comparison.every,
        "pretrained_sha256": sha256(pretrained),
        "data": {"images": len(batch), "sha256": batch.fingerprint()},
    }
    require_own(folder / _SETTINGS, facts, "comparison", "challenge", "persons", "pretraining")
    histories: dict[str, list[History]] = {name: [] for name in starts}
    with locked(folder):
        remove_leftovers(folder)
        write_json(folder / _SETTINGS, facts)
        trainings = list(product(range(1, comparison.seeds + 1), starts))
        for place, (seed, name) in enumerate(trainings):
            one, part = folder / f"{name}-{seed}", share(tell, place, len(trainings))
            _train(one, batch, starts[name], comparison, seed, part)
            histories[name].append(read_history(one))
            steps = int(histories[name][-1][-1]["step"])
            part("comparison", steps, steps, one.name)
    return histories


def _train(
    folder: Path,
    batch: Batch,
    start: Mapping[str, np.ndarray] | None,
    comparison: Comparison,
    seed: int,
    tell: Tell,
) -> None:
    """Train one network; a finished one has a history and no state left to go on from."""
    if (folder / "history.csv").exists() and not (folder / "state.npz").exists():
        return
    remove_leftovers(folder)
    config = comparison.settings(seed)
    held_out = frozenset(plan_members(batch.ids, config)[0].held_out)
    trained_on = batch.select(frozenset(batch.ids) - held_out)
    fit_network(
        folder,
        TrainingSteps(trained_on, config, seed=config.seed, per_epoch=comparison.every),
        validation_dataset(batch.select(held_out), config),
        config,
        seed=config.seed,
        start=start,
        tell=lambda stage, done, total, note="": tell(stage, done, total, folder.name),
        stage="comparison",
    )
    (folder / "state.npz").unlink()
    keras.backend.clear_session(free_memory=True)
