"""The seven members of a run: five on folds, two on all images, each trained on its own."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras

from kcseg.config import Config, from_json, to_json
from kcseg.data.batch import Batch
from kcseg.data.folds import random_folds
from kcseg.errors import InputError
from kcseg.files import atomic_path, locked, read_json, remove_leftovers, sha256, write_json
from kcseg.network.unet import build_unet
from kcseg.training.fit import fit_network

OnMemberStep = Callable[[int, int, int, float], None]  # member, steps done, steps at most, best Dice so far


@dataclass(frozen=True)
class Member:
    """One of the networks: a fold member holds out the images of its fold, a full member none."""

    number: int  # from 1
    seed: int
    held_out: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """A run folder: what was asked for, and how far it has come."""

    folder: Path
    config: Config

    def member_folder(self, number: int) -> Path:
        """Folder of the member with this number, from 1."""
        return self.folder / f"member-{number}"

    def weights_path(self, number: int) -> Path:
        """Weights of a finished member; the file appears when the member is finished."""
        return self.member_folder(number) / "member.weights.h5"

    def is_trained(self, number: int) -> bool:
        """Whether the member is finished."""
        return (self.member_folder(number) / "member.json").exists()

    def missing_members(self) -> list[int]:
        """Numbers of the members that are not finished."""
        return [number for number in range(1, self.config.members + 1) if not self.is_trained(number)]

    @property
    def report_path(self) -> Path:
        """The report, written last: a run that has one is finished."""
        return self.folder / "report.html"

    def load_network(self, number: int) -> keras.Model:
        """Build a member's network and give it its weights.

        Raises:
            InputError: the weights are missing, not those that training wrote, or of another network.
        """
        path = self.weights_path(number)
        stated = read_json(self.member_folder(number) / "member.json")["sha256"]
        if not path.exists() or sha256(path) != stated:
            raise InputError(
                f"{path} is missing or not what training wrote; delete its folder and train it anew"
            )
        network = build_unet(self.config.network, seed=0)
        network.load_weights(path)
        return network


def plan_members(ids: tuple[str, ...], config: Config) -> tuple[Member, ...]:
    """Return the members for these training images: fold members first (paper: five), then full ones (two).

    Raises:
        InputError: fewer images than folds.
    """
    held_out = random_folds(ids, config.ensemble.folds, seed=config.seed)
    held_out += ((),) * config.ensemble.full_members
    return tuple(
        Member(number, seed=config.seed + number, held_out=fold)
        for number, fold in enumerate(held_out, start=1)
    )


def open_run(folder: Path, batch: Batch, config: Config) -> Run:
    """Start a run folder, or open the one an interrupted training left.

    Writes `config.json`, `folds.json` and `data.json` to a new one.

    Raises:
        InputError: the folder holds a finished run, one with other settings or data, or something else.
    """
    plan = plan_members(batch.ids, config)
    facts = {
        "config.json": to_json(config),
        "folds.json": {f"member-{member.number}": list(member.held_out) for member in plan},
        "data.json": {"images": len(batch), "sha256": batch.fingerprint()},
    }
    run = Run(folder, config)
    if (folder / "config.json").exists():
        _refuse_other_run(run, facts)
    elif folder.exists() and any(
        path.name not in ("challenge", *facts) and not path.name.startswith(".") for path in folder.iterdir()
    ):
        raise InputError(
            f"{folder} holds files that are not a kcseg run; choose a new or empty folder with --run"
        )
    # config.json last: its presence says that the other two are complete
    for name in reversed(facts):
        if not (folder / name).exists():
            write_json(folder / name, facts[name])
    return run


def remove_run(folder: Path) -> None:
    """Remove the run in a folder with all that kcseg wrote for it, and nothing else."""
    if not (folder / "config.json").exists():
        return
    for pattern in ("member-*", "figures", "export", "challenge"):
        for path in folder.glob(pattern):
            shutil.rmtree(path)
    for name in ("report.html", "scores.csv", "folds.json", "data.json", "config.json"):
        (folder / name).unlink(missing_ok=True)


def load_run(folder: Path) -> Run:
    """Open the run folder of an earlier training.

    Raises:
        InputError: there is no run there.
    """
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{folder} is no run folder: it has no config.json; name the folder kcseg-train wrote"
        )
    return Run(folder, from_json(read_json(folder / "config.json"), str(folder / "config.json")))


def train_members(
    run: Run,
    batch: Batch,
    numbers: Iterable[int],
    on_step: OnMemberStep = lambda member, done, total, best: None,
) -> None:
    """Train the named members one after the other; finished ones are passed over, interrupted ones go on.

    Raises:
        InputError: a number without a member, or a member that another process is training.
    """
    plan = {member.number: member for member in plan_members(batch.ids, run.config)}
    for number in numbers:
        if number not in plan:
            raise InputError(f"there is no member {number}; this run has members 1 to {len(plan)}")
        if not run.is_trained(number):
            with locked(run.member_folder(number)):
                remove_leftovers(run.member_folder(number))
                _train_member(run, plan[number], batch, on_step)
        (run.member_folder(number) / "state.npz").unlink(missing_ok=True)


def _train_member(run: Run, member: Member, batch: Batch, on_step: OnMemberStep) -> None:
    folder = run.member_folder(member.number)
    held_out = frozenset(member.held_out)
    network, state = fit_network(
        folder,
        batch.select(frozenset(batch.ids) - held_out),
        batch.select(held_out) if held_out else None,
        run.config,
        seed=member.seed,
        on_step=lambda done, total, best: on_step(member.number, done, total, best),
    )
    with atomic_path(run.weights_path(member.number)) as path:
        network.save_weights(path)
    facts = {
        "validation_dice": state.best_score if held_out else None,
        "best_epoch": state.best_epoch + 1,
        "epochs": state.epoch,
        "sha256": sha256(run.weights_path(member.number)),
    }
    write_json(folder / "member.json", facts)
    keras.backend.clear_session(free_memory=True)


def _refuse_other_run(run: Run, facts: Mapping[str, object]) -> None:
    if run.report_path.exists():
        raise InputError(
            f"{run.folder} holds a finished run; choose another folder, or --force to replace it"
        )
    for name, expected in facts.items():
        if (run.folder / name).exists() and read_json(run.folder / name) != expected:
            raise InputError(
                f"{run.folder / name} says that the run there was started with other settings or data; "
                "choose another folder with --run, or --force to replace it"
            )
