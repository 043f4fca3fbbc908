"""The main job: train the members, export the ensemble, segment the test batch, score it and show it."""

from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Protocol

from kcseg.config import Config, SimulationConfig
from kcseg.dataset.batch import Batch, read_batch, test_batches, training_batch
from kcseg.errors import InputError
from kcseg.files import locked, remove_leftovers
from kcseg.phantom.simulate import simulate_challenge
from kcseg.serving.export import export_run
from kcseg.serving.runner import Ensemble
from kcseg.study.evaluation import Evaluation
from kcseg.study.report import counter, report_run, segment_test_batches
from kcseg.training.members import OnMemberStep, train_members
from kcseg.training.run import Run, open_run, plan_members, remove_run

Trainer = Callable[[Run, Batch, Sequence[int], OnMemberStep], None]


class Watcher(Protocol):
    """Whoever wants to see how far the job is."""

    def simulated(self, done: int, total: int) -> None:
        """A simulated case was written."""

    def trained(self, member: int, done: int, total: int, best_dice: float) -> None:
        """A member took a training step; `total` is what it takes at most."""

    def segmented(self, done: int, total: int) -> None:
        """A test image was segmented."""

    def scored(self, done: int, total: int) -> None:
        """A test image was scored, each member by itself."""


class _Unwatched:
    def simulated(self, done: int, total: int) -> None: ...
    def trained(self, member: int, done: int, total: int, best_dice: float) -> None: ...
    def segmented(self, done: int, total: int) -> None: ...
    def scored(self, done: int, total: int) -> None: ...


def run_challenge(
    folder: Path,
    config: Config,
    *,
    data: Path | None = None,
    members: Collection[int] = (),
    pretrained: Path | None = None,
    force: bool = False,
    created: date | None = None,
    watcher: Watcher | None = None,
    train: Trainer = train_members,
) -> Evaluation | None:
    """Do the whole challenge in a run folder, or go on where an earlier call was cut off.

    Args:
        folder: the run folder.
        config: the method; `config.simulation` matters only without `data`.
        data: a challenge folder; None simulates one in `challenge/` inside the run folder.
        pretrained: weights that every member starts from, as `kcseg pretrain` writes them.
        members: train these alone and stop there, so that several machines can share a run.
        force: replace an earlier run.
        created: the day to state in the export's manifest.
        watcher: is told of the progress.
        train: trains the members: here one after the other, or `train_members_on_ray`.

    Returns:
        The evaluation on the test batch; None where members are still missing or there is no test batch with masks.

    Raises:
        InputError: unusable data, a run that is finished or was started otherwise.
    """
    watcher = watcher or _Unwatched()
    if force and members:
        raise InputError(
            "--force replaces the whole run; leave out --member, or choose another folder with --run"
        )
    # unusable data are refused before anything is written
    batch = _read_challenge(data, config) if data else None
    with locked(folder) if not members else nullcontext():
        if force:
            remove_run(folder, keep_challenge=data is not None)
        challenge = data or _simulate(folder / "challenge", config.simulation, watcher)
        batch = batch or training_batch(challenge)
        run = open_run(folder, batch, config, pretrained)
        train(run, batch, sorted(members) or config.member_numbers, watcher.trained)
        if members:
            return None
        for place in (folder, folder / "figures", run.export_folder):
            remove_leftovers(place)
        export_run(run, created=created)
        ensemble = Ensemble.load(run.folder)
        segment_test_batches(run, ensemble, challenge, watcher.segmented)
        return report_run(run, ensemble, challenge, watcher.scored)


def _read_challenge(data: Path, config: Config) -> Batch:
    """Read the training batches, and the test batches once, so that a bad file shows before hours of training."""
    for folder in test_batches(data).values():
        read_batch(folder)
    batch = training_batch(data)
    plan_members(batch.ids, config)
    return batch


def _simulate(folder: Path, sizes: SimulationConfig, watcher: Watcher) -> Path:
    """Simulate a challenge into `folder`, where that has not been done, and return it."""
    progress = counter(sum(sizes.train) + sizes.test, watcher.simulated)
    simulate_challenge(folder, sizes, progress=progress, workers=2)
    return folder
