"""Training the members of a run, each on its own: five on folds, two on all images."""

from collections.abc import Sequence

import keras

from kcseg.dataset.batch import Batch
from kcseg.dataset.pipeline import TrainingSteps, validation_dataset
from kcseg.errors import InputError
from kcseg.files import atomic_path, locked, remove_leftovers, sha256, write_json
from kcseg.progress import Tell, silent
from kcseg.training.fit import best_so_far, fit_network
from kcseg.training.run import Member, Run, plan_members


def train_members(
    run: Run,
    batch: Batch,
    numbers: Sequence[int],
    tell: Tell = silent,
    *,
    wait: bool = False,
) -> None:
    """Train the named members one after the other; finished ones are passed over, interrupted ones go on.

    Raises:
        InputError: a number without a member, or, unless we `wait` for it, one that another process is training.
    """
    refuse_unknown(run, numbers)
    plan = {member.number: member for member in plan_members(batch.ids, run.config)}
    for done, number in enumerate(numbers):
        tell("members", done, len(numbers))
        with locked(run.member_folder(number), wait=wait):
            if not run.is_trained(number):
                remove_leftovers(run.member_folder(number))
                _train_member(run, plan[number], batch, tell)
            (run.member_folder(number) / "state.npz").unlink(missing_ok=True)
            tell_trained(run, number, tell)
    tell("members", len(numbers), len(numbers))


def tell_trained(run: Run, number: int, tell: Tell) -> None:
    """Tell of a finished member that all its steps are done."""
    facts = run.member_facts(number)
    steps = facts["steps"]
    tell(member_stage(number), steps, steps, best_so_far(facts["validation_dice"] or 0.0))


def member_stage(number: int) -> str:
    """Return the stage that a member's training is told as."""
    return f"member {number}"


def refuse_unknown(run: Run, numbers: Sequence[int]) -> None:
    """Refuse numbers that no member of the run has.

    Raises:
        InputError: there is one.
    """
    known = run.config.member_numbers
    for number in numbers:
        if number not in known:
            raise InputError(f"there is no member {number}; this run has members 1 to {len(known)}")


def _train_member(run: Run, member: Member, batch: Batch, tell: Tell) -> None:
    folder = run.member_folder(member.number)
    held_out = frozenset(member.held_out)
    network, state = fit_network(
        folder,
        TrainingSteps(batch.select(frozenset(batch.ids) - held_out), run.config, seed=member.seed),
        validation_dataset(batch.select(held_out), run.config) if held_out else None,
        run.config,
        seed=member.seed,
        start=run.pretrained(),
        tell=tell,
        stage=member_stage(member.number),
    )
    with atomic_path(run.weights_path(member.number)) as path:
        network.save_weights(path)
    facts = {
        "validation_dice": state.best_score if held_out else None,
        "best_epoch": state.best_epoch + 1,
        "epochs": state.epoch,
        "steps": int(state.history[-1]["step"]),
        "sha256": sha256(run.weights_path(member.number)),
    }
    write_json(folder / "member.json", facts)
    keras.backend.clear_session(free_memory=True)
