"""Training the members of a run, each on its own: five on folds, two on all images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from kcseg.config import Config
from kcseg.dataset.batch import Batch
from kcseg.dataset.pipeline import training_steps, validation_dataset
from kcseg.errors import InputError
from kcseg.files import atomic_path, locked, remove_leftovers, sha256, write_json
from kcseg.progress import Tell, silent
from kcseg.training.checkpoint import TrainingState, load_pretrained, save_pretrained
from kcseg.training.fit import best_so_far, fit_network
from kcseg.training.run import PRETRAINED_NAME, Member, Run, plan_members


def train_members(
    run: Run, batch: Batch, numbers: Sequence[int], tell: Tell = silent, *, wait: bool = False
) -> None:
    """Train the named members one after the other; finished ones are passed over, interrupted ones go on.

    Raises:
        InputError: a number without a member, or, unless we `wait` for it, one that another process is training.
    """
    refuse_unknown(run, numbers)
    plan = {member.number: member for member in plan_members(batch.ids, run.config)}
    start = None if all(map(run.is_trained, numbers)) else _start(run, batch, tell)
    for done, number in enumerate(numbers):
        tell("members", done, len(numbers))
        folder = run.member_folder(number)
        with locked(folder, wait=wait):
            if not run.is_trained(number):
                _train_member(run, plan[number], batch, start, tell)
            (folder / "state.npz").unlink(missing_ok=True)
            tell_trained(run, number, tell)
    tell("members", len(numbers), len(numbers))


def fit_member(
    folder: Path,
    member: Member,
    batch: Batch,
    config: Config,
    *,
    start: Mapping[str, np.ndarray] | None = None,
    tell: Tell,
    stage: str,
) -> tuple[keras.Model, TrainingState]:
    """Call `fit_network` on the images a member learns from, and on those it holds out, if any."""
    held_out = frozenset(member.held_out)
    remove_leftovers(folder)
    return fit_network(
        folder,
        training_steps(batch.select(frozenset(batch.ids) - held_out), config, seed=member.seed),
        validation_dataset(batch.select(held_out), config) if held_out else None,
        config,
        seed=member.seed,
        start=start,
        tell=tell,
        stage=stage,
    )


def tell_trained(run: Run, number: int, tell: Tell) -> None:
    """Tell of a finished member that all its steps are done."""
    facts = run.member_facts(number)
    steps = facts["steps"]
    tell(member_stage(number), steps, steps, best_so_far(facts["validation_dice"] or 0.0))


def member_stage(number: int) -> str:
    """Return the name under which a member's training is told."""
    return f"member {number}"


def refuse_unknown(run: Run, numbers: Sequence[int]) -> None:
    """Raise an `InputError` for a number that no member of the run has."""
    known = run.config.member_numbers
    for number in numbers:
        if number not in known:
            raise InputError(f"there is no member {number}; this run has members 1 to {len(known)}")


def _start(run: Run, batch: Batch, tell: Tell) -> Mapping[str, np.ndarray] | None:
    """Return the weights that all members start from, None where they start at random.

    Those of the shared network are trained on all images, by who comes first.
    """
    start, epochs = run.pretrained(), run.config.training.shared_epochs
    if not epochs:
        return start
    folder, weights = run.shared_folder, run.shared_folder / PRETRAINED_NAME
    with locked(folder, wait=True):
        if not weights.exists():
            training = replace(run.config.training, maximum_epochs=epochs, patience_epochs=epochs)
            config = replace(run.config, training=training)
            everything = Member(0, run.config.seed, held_out=())
            network, _ = fit_member(
                folder, everything, batch, config, start=start, tell=tell, stage="shared start"
            )
            save_pretrained(weights, network)
            keras.backend.clear_session(free_memory=True)
        (folder / "state.npz").unlink(missing_ok=True)
    return load_pretrained(weights, run.config.network, head=True)


def _train_member(
    run: Run, member: Member, batch: Batch, start: Mapping[str, np.ndarray] | None, tell: Tell
) -> None:
    folder, weights = run.member_folder(member.number), run.weights_path(member.number)
    stage = member_stage(member.number)
    network, state = fit_member(folder, member, batch, run.config, start=start, tell=tell, stage=stage)
    with atomic_path(weights) as path:
        network.save_weights(path)
    facts = {
        "validation_dice": state.best_score if member.held_out else None,
        "best_epoch": state.best_epoch + 1,
        "epochs": state.epoch,
        "steps": int(state.history[-1]["step"]),
        "sha256": sha256(weights),
    }
    write_json(folder / "member.json", facts)
    keras.backend.clear_session(free_memory=True)
