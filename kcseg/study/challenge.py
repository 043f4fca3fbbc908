"""The main job: train the members, export the ensemble, segment the test batch, score it and show it."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from datetime import date
from pathlib import Path
from typing import Any

from kcseg.config import Config
from kcseg.dataset.batch import Batch, find_batches, read_batch, training_batch
from kcseg.errors import InputError
from kcseg.files import locked, remove_leftovers
from kcseg.phantom.simulate import remove_challenge, simulate_challenge
from kcseg.progress import Tell, silent
from kcseg.results import remove_files, written
from kcseg.serving.export import EXPORTED, export_run
from kcseg.serving.runner import Ensemble
from kcseg.study.report import FIGURES, report_run, segment_test_batches
from kcseg.training.members import train_members
from kcseg.training.run import (
    MEMBER_FILES,
    MODEL_NAME,
    PRETRAINED_NAME,
    Run,
    load_run,
    open_run,
    plan_members,
)


def run_challenge(
    folder: Path | str,
    config: Config,
    *,
    data: Path | None = None,
    members: Collection[int] = (),
    pretrained: Path | None = None,
    force: bool = False,
    created: date | None = None,
    tell: Tell = silent,
    train: Callable[[Run, Batch, Sequence[int], Tell], None] = train_members,
) -> list[dict[str, Any]]:
    """Do the whole challenge in a run folder, or go on where an earlier call was cut off.

    Args:
        folder: the run folder.
        config: the method; `config.simulation` matters only without `data`.
        data: a challenge folder; None simulates one in `challenge/` inside the run folder.
        pretrained: weights that every member starts from, as `kcseg pretrain` writes them.
        members: train these alone and stop there, so that several machines can share a run.
        force: replace an earlier run.
        created: the day to state in the export's manifest.
        tell: told of the images simulated, training steps, and images segmented and scored.
        train: trains the members: here one after the other, or `train_members_on_ray`.

    Returns:
        The rows of `scores.csv`; none where members are still missing or there is no test batch with masks.

    Raises:
        InputError: unusable data, a run that is finished or was started otherwise.
    """
    if force and members:
        raise InputError("only a whole run can be replaced; name no members, or choose another folder")
    folder = Path(folder)
    # unusable data are refused before anything is written
    batch = _read_challenge(data, config) if data else None
    with locked(folder) if not members else nullcontext():
        if force:
            remove_run(folder, keep_challenge=data is not None)
        challenge = data or folder / "challenge"
        if data is None:
            simulate_challenge(challenge, config.simulation, tell=tell, workers=2)
        batch = batch or training_batch(challenge)
        run = open_run(folder, batch, config, pretrained)
        train(run, batch, sorted(members) or config.member_numbers, tell)
        if members:
            return []
        for place in (folder, folder / "figures", run.export_folder):
            remove_leftovers(place)
        export_run(run, created=created)
        ensemble = Ensemble.load(run.folder)
        segment_test_batches(run, ensemble, challenge, tell)
        return report_run(run, ensemble, challenge, tell)


def _read_challenge(data: Path, config: Config) -> Batch:
    """Read the training batches, and the test batches once, so that a bad file shows before hours of training."""
    for folder in find_batches(data, "test").values():
        read_batch(folder)
    batch = training_batch(data)
    plan_members(batch.ids, config)
    return batch


def remove_run(folder: Path, *, keep_challenge: bool) -> None:
    """Remove the run in a folder: the files that kcseg wrote for it, and nothing else.

    The challenge simulated inside the folder goes, too, unless `keep_challenge`.

    Raises:
        InputError: the folder's config.json is not a run's, or another process is training a member.
    """
    if (folder / "config.json").exists():
        run = load_run(folder)
        members = [run.shared_folder, *(run.member_folder(number) for number in run.config.member_numbers)]
        with ExitStack() as held:
            for member in filter(Path.exists, members):
                held.enter_context(locked(member))
            # the report first: without it the run does not count as finished, even if other files are left
            remove_files(folder, ["report.html", "scores.csv"])
            for place in (*folder.glob("predictions/*"), folder / "audit"):
                remove_files(folder, (str((place / name).relative_to(folder)) for name in written(place)))
            remove_files(folder, _files_of(run))
    if not keep_challenge:
        remove_challenge(folder / "challenge")


def _files_of(run: Run) -> Iterator[str]:
    """Yield what kcseg writes into a run folder, config.json last."""
    yield from (f"figures/{name}.png" for name in FIGURES)
    for pattern in (*(f"export/{MODEL_NAME}/*/{name}" for name in EXPORTED), *MEMBER_FILES):
        yield from (str(path.relative_to(run.folder)) for path in run.folder.glob(pattern))
    yield from ("folds.json", "data.json", PRETRAINED_NAME, "config.json")
