"""Training the members of a run side by side, each as a task on a Ray cluster."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kcseg.dataset.batch import Batch
from kcseg.errors import InputError
from kcseg.files import is_file, locked
from kcseg.progress import Tell, silent
from kcseg.ray import worker_share
from kcseg.training.fit import best_so_far, read_history
from kcseg.training.members import member_stage, refuse_unknown, tell_trained, train_members
from kcseg.training.run import Run, load_run

_LOSSES = 10  # nodes a member may lose; each time it goes on from the last epoch kept (our choice)
_LOOK_EVERY_S = 1.0


def train_members_on_ray(run: Run, batch: Batch, numbers: Sequence[int], tell: Tell = silent) -> None:
    """Train the named members as `train_members` does, but each as a task on the cluster that was `joined`.

    As many members train at a time as `worker_share` finds room for, and one whose node is lost goes on elsewhere.
    The weights have the bytes they get without Ray on the machine that trained them. Progress is told epoch by epoch.

    Raises:
        InputError: a number without a member, one that another process is training, a run folder that not all nodes
            see, or a member that lost its node too often.
    """
    import ray

    refuse_unknown(run, numbers)
    for number in numbers:
        # asked here once, because a task must wait: its last process on a lost node may not have ended yet
        with locked(run.member_folder(number)):
            pass
    share = worker_share()
    train = ray.remote(
        num_cpus=share.num_cpus,
        num_gpus=share.num_gpus,
        max_retries=_LOSSES,
        scheduling_strategy="SPREAD",  # Ray's default fills one node first
    )(_train_here)
    stored = ray.put(batch)
    tasks = {train.remote(run.folder.resolve(), stored, number): number for number in dict.fromkeys(numbers)}
    running = list(tasks)
    while running:
        done, running = ray.wait(running, timeout=_LOOK_EVERY_S)
        for task in running:
            _tell_progress(run, tasks[task], tell)
        for task in done:
            _finish(task, tasks[task])
            tell_trained(run, tasks[task], tell)
        tell("members", len(tasks) - len(running), len(tasks))


def _train_here(folder: Path, batch: Batch, number: int) -> None:
    """Train one member on the node that Ray chose."""
    if not is_file(folder / "config.json"):
        raise InputError(
            f"{folder} is not seen on every node; choose a run folder on a disk that all nodes share"
        )
    train_members(load_run(folder), batch, [number], wait=True)


def _finish(task: Any, number: int) -> None:
    """Raise what ended a task early, if anything did."""
    import ray

    try:
        ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from error
        raise
    except ray.exceptions.RayError as error:
        raise InputError(
            f"member {number} lost its process {_LOSSES + 1} times ({type(error).__name__}); check the memory of the "
            "nodes, and run the same command again: it goes on from the last epoch kept"
        ) from error


def _tell_progress(run: Run, number: int, tell: Tell) -> None:
    folder = run.member_folder(number)
    if (folder / "history.csv").exists():
        rows = read_history(folder)
        epochs, steps = int(rows[-1]["epoch"]), int(rows[-1]["step"])
        watched = "val_dice" if "val_dice" in rows[-1] else "dice"
        most = steps // epochs * run.config.training.maximum_epochs
        tell(member_stage(number), steps, most, best_so_far(max(row[watched] for row in rows)))
