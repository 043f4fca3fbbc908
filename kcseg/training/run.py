"""A run folder: what was asked for, who its members are, and how far it has come."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kcseg.config import Config
from kcseg.config_json import from_json, to_json
from kcseg.dataset.batch import Batch
from kcseg.dataset.pipeline import outlines
from kcseg.errors import InputError
from kcseg.files import holds_others, is_file, read_bytes, read_facts, read_json, sha256, write, write_json
from kcseg.network.unet import build_unet
from kcseg.training.checkpoint import load_pretrained, load_weights, refuse_too_small

MODEL_NAME = "kcseg"
PRETRAINED_NAME = "pretrained.npz"
SHARED_NAME = "shared"
# what training writes for its members, and for the network they all start from
_LOGS = ("history.csv", "state.npz", "tensorboard/*/events.out.tfevents.*", ".lock")
MEMBER_FILES = (
    *(f"member-*/{name}" for name in ("member.weights.h5", "member.json", *_LOGS)),
    *(f"{SHARED_NAME}/{name}" for name in (PRETRAINED_NAME, *_LOGS)),
)


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

    def challenge(self, data: Path | None = None) -> Path:
        """Challenge folder of the run: `data`, or the one simulated inside the run folder where none is given."""
        return data or self.folder / "challenge"

    def member_folder(self, number: int) -> Path:
        """Folder of the member with this number, from 1."""
        return self.folder / f"member-{number}"

    @property
    def shared_folder(self) -> Path:
        """Folder of the network that all members start from, where the settings ask for one."""
        return self.folder / SHARED_NAME

    def weights_path(self, number: int) -> Path:
        """Weights of a finished member; the file appears when the member is finished."""
        return self.member_folder(number) / "member.weights.h5"

    def is_trained(self, number: int) -> bool:
        """Whether the member is finished."""
        return (self.member_folder(number) / "member.json").exists()

    def member_facts(self, number: int) -> dict[str, Any]:
        """What training says of a finished member: `validation_dice`, `sha256` of its weights, and how far it went."""
        path = self.member_folder(number) / "member.json"
        return read_facts(path, validation_dice=float | None, steps=int, sha256=str)

    def training_data(self) -> dict[str, Any]:
        """What the run was trained on: the number of `images`, and their fingerprint `sha256`."""
        return read_facts(self.folder / "data.json", images=int, sha256=str)

    def held_out(self) -> dict[int, list[str]]:
        """Ids each member held out, by its number; none for a full member."""
        names = {number: self.member_folder(number).name for number in self.config.member_numbers}
        folds = read_facts(self.folder / "folds.json", **dict.fromkeys(names.values(), list))
        return {number: folds[name] for number, name in names.items()}

    def missing_members(self) -> list[int]:
        """Numbers of the members that are not finished."""
        return [number for number in self.config.member_numbers if not self.is_trained(number)]

    @property
    def export_folder(self) -> Path:
        """Where the versions of the exported ensemble lie."""
        return self.folder / "export" / MODEL_NAME

    @property
    def report_path(self) -> Path:
        """The report, which is written last."""
        return self.folder / "report.html"

    def pretrained(self) -> dict[str, np.ndarray] | None:
        """Return the weights every member starts from; None where they start at random.

        Raises:
            InputError: they do not fit the network, or are not those the run was started with.
        """
        if not (stated := self.training_data().get("pretrained_sha256")):
            return None
        path = self.folder / PRETRAINED_NAME
        if not path.exists() or sha256(path) != stated:
            raise InputError(f"{path} is missing, or not what the run was started with; start the run anew")
        return load_pretrained(path, self.config.network)

    def load_network(self, number: int, into: keras.Model | None = None) -> keras.Model:
        """Build a member's network, or take that of another one, and give it its weights.

        Raises:
            InputError: the weights are missing, not those that training wrote, or of another network.
        """
        path = self.weights_path(number)
        if not path.exists() or sha256(path) != self.member_facts(number)["sha256"]:
            raise InputError(
                f"{path} is missing, or not what training wrote; delete its folder, and train the member anew"
            )
        refuse_too_small(path, path.stat().st_size, self.config.network)
        network = into or build_unet(self.config.network, seed=0)
        load_weights(path, network)
        return network


def random_folds(ids: tuple[str, ...], folds: int, *, seed: int) -> tuple[tuple[str, ...], ...]:
    """Deal the ids into `folds` random groups whose sizes differ by one at most; every id is in exactly one.

    Not stratified (our choice; the paper says random).

    Raises:
        InputError: fewer ids than folds.
    """
    if not folds:
        return ()
    if len(ids) < folds:
        raise InputError(
            f"{len(ids)} training images cannot be dealt into {folds} folds; add images or lower 'ensemble.folds'"
        )
    shuffled = np.random.default_rng(seed).permutation(np.asarray(ids, dtype=object))
    return tuple(tuple(sorted(group)) for group in np.array_split(shuffled, folds))


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


def open_run(folder: Path | str, batch: Batch, config: Config, pretrained: Path | None = None) -> Run:
    """Start a run folder, or open the one that an interrupted training left.

    Writes `config.json`, `folds.json` and `data.json` to a new one, and a copy of the pre-trained weights.

    Raises:
        InputError: the folder holds a finished run, one with other settings or data, or something else; the
            pre-trained weights do not fit the network; the batch has no masks of a structure to be found.
    """
    plan = plan_members(batch.ids, config)
    outlines(batch, config)  # refuses a batch that lacks some
    facts = {
        "config.json": to_json(config),
        "folds.json": {f"member-{member.number}": list(member.held_out) for member in plan},
        "data.json": {"images": len(batch), "sha256": batch.fingerprint()},
    }
    if pretrained is not None:
        load_pretrained(pretrained, config.network)
        facts["data.json"] |= {"pretrained_sha256": sha256(pretrained)}
    folder = Path(folder)
    run = Run(folder, config)
    if (folder / "config.json").exists():
        _refuse_other_run(run, facts)
        return run
    if holds_others(folder, "challenge", PRETRAINED_NAME, *facts):
        raise InputError(f"{folder} holds files that are not a kcseg run; choose a new or empty folder")
    if pretrained is not None:
        write(folder / PRETRAINED_NAME, read_bytes(pretrained))
    # config.json last: where it is, the others are complete
    for name in reversed(facts):
        write_json(folder / name, facts[name])
    return run


def load_run(folder: Path | str) -> Run:
    """Open the run folder of an earlier training.

    Raises:
        InputError: there is no run there.
    """
    folder = Path(folder)
    if not is_file(folder / "config.json"):
        raise InputError(
            f"{folder} is no run folder: it has no config.json; choose a folder that kcseg train wrote"
        )
    return Run(folder, from_json(read_json(folder / "config.json"), str(folder / "config.json")))


def _refuse_other_run(run: Run, facts: Mapping[str, object]) -> None:
    other = [name for name, expected in facts.items() if read_json(run.folder / name) != expected]
    if run.report_path.exists() and not run.missing_members():
        found = "a finished run"
    elif other:
        found = f"a run that was started with other settings or data ({other[0]})"
    else:
        return
    raise InputError(f"{run.folder} holds {found}; choose another folder, or replace it with 'force'")
