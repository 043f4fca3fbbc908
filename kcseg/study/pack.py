"""A finished run as weights to pass on, with the model card that describes them."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

import kcseg
from kcseg.config import EXPORT, PRESETS
from kcseg.dataset.batch import find_batches
from kcseg.errors import InputError, reason_of
from kcseg.files import atomic_folder, is_file, is_folder, read_csv, read_facts, write, write_json
from kcseg.image.listing import list_images
from kcseg.page.page import render
from kcseg.phantom.simulate import is_simulated
from kcseg.progress import Tell, silent
from kcseg.results import remove_files
from kcseg.serving.agreement import agreement, sample_images
from kcseg.serving.bundle import CARD, Bundle, load_bundle, write_weights
from kcseg.serving.export import refuse_unfinished
from kcseg.serving.graph import EnsembleGraph
from kcseg.serving.manifest import LICENCE, MODEL, members_facts
from kcseg.serving.runner import Ensemble
from kcseg.study.expectation import fit_expectation
from kcseg.training.run import Run

# Our choice: rounding a weight to eleven bits may move a pixel of the rim here and there, and no more
MINIMUM_AGREEMENT = 0.999
_README = "README.md"


def pack_run(
    run: Run,
    out: Path,
    *,
    precision: str = "float16",
    data: Path | None = None,
    command: str | None = None,
    duration: str | None = None,
    notes: str = "",
    force: bool = False,
    created: date | None = None,
    judged_cases: int = 400,
    tell: Tell = silent,
) -> Bundle:
    """Write the weights of a run to the folder `out`, with `card.json` and the model card `README.md`.

    What was written is read back, and its masks are compared with the run's on training images. To weights that find
    kidneys, the Dice to expect of a mask is fitted, on simulated cases that training did not see.

    Args:
        run: a run whose members are all trained.
        out: the folder, new or empty, or with earlier weights and nothing else.
        precision: "float16" or "float32", of the convolutions' kernels.
        data: the challenge folder the run was trained on; by default the one simulated inside the run.
        command: how it was trained; by default the command that its configuration and data imply.
        duration: how long that took, and where.
        notes: Markdown, what was seen on real images.
        force: replace earlier weights.
        created: the day to state.
        judged_cases: simulated cases for the expected Dice.
        tell: told of each of them.

    Raises:
        InputError: members or training images are missing, `out` holds earlier weights and `force` is not given, or
            other files, or masks agree to a mean Dice below `MINIMUM_AGREEMENT`.
    """
    refuse_unfinished(run)
    earlier = _earlier_weights(out, force)
    challenge = run.challenge(data)
    images = sample_images(challenge, run.training_data()["sha256"], EXPORT.sample_images)
    facts = {
        "model": MODEL,
        "licence": LICENCE,
        "kcseg": kcseg.__version__,
        "created": None if created is None else created.isoformat(),
        "command": command or _command(run, challenge),
        "duration": duration,
        "training_data": {**run.training_data(), "simulated": is_simulated(challenge)},
        "test_images": _test_images(challenge),
        "scores": _scores(run),
        "members": members_facts(run),
        "notes": notes.strip(),
        "expected_dice": None,
    }
    with atomic_folder(out) as temporary:
        packed = Bundle(temporary, run.config, {**facts, **write_weights(temporary, run, precision)})
        packed.card["agreement_with_run"] = _agreement(run, packed, images)
        if "kidney" in run.config.network.structures:
            write_json(temporary / CARD, packed.card)
            ensemble = Ensemble.load(temporary)
            expectation = fit_expectation(
                ensemble, cases=judged_cases, seed=run.config.simulation.seed, tell=tell
            )
            packed.card["expected_dice"] = expectation and expectation.facts()
        write_json(temporary / CARD, packed.card)
        sizes = {name: (temporary / name).stat().st_size for name in packed.card["files"]}
        card = render("card.md", **packed.card, config=run.config, sample=EXPORT.sample_images, sizes=sizes)
        write(temporary / _README, card)
        remove_files(out, earlier)
    return load_bundle(out)


def _agreement(run: Run, packed: Bundle, images: list[np.ndarray]) -> float:
    """Return the mean Dice between the masks of a run and of its weights.

    Raises:
        InputError: it is below `MINIMUM_AGREEMENT`.
    """
    agrees = agreement(EnsembleGraph.of(run, EXPORT), EnsembleGraph.of(packed, EXPORT), images)
    if agrees < MINIMUM_AGREEMENT:
        raise InputError(
            f"masks of the weights in {packed.card['precision']} agree with those of the run to a Dice of "
            f"{agrees:.4f}, less than {MINIMUM_AGREEMENT}; pack them as float32"
        )
    return agrees


def _earlier_weights(out: Path, force: bool) -> list[str]:
    """Return the files of earlier weights in a folder, by name: the card, those that it lists, and the model card.

    Raises:
        InputError: there are any and `force` is not given, or something else is in the folder.
    """
    held = list(out.iterdir()) if is_folder(out) else []
    ours: set[str] = set()
    if is_file(out / CARD):
        ours = {CARD, _README, *read_facts(out / CARD, format=str, files=dict)["files"]}
    for path in held:
        if path.name not in ours or is_folder(path):
            raise InputError(f"{path} is no file of weights that kcseg wrote; choose a new or empty folder")
    if held and not force:
        raise InputError(f"{out} holds weights; choose another folder, or replace them with 'force'")
    return [path.name for path in held]


def _command(run: Run, challenge: Path) -> str:
    presets = [name for name, config in PRESETS.items() if config == run.config]
    options = f" --preset {presets[0]}" if presets else " --config config.json"
    if "pretrained_sha256" in run.training_data():
        options += " --pretrained pretrained.npz"
    return f"kcseg train{options}" + ("" if challenge == run.challenge() else " --data DIR")


def _test_images(challenge: Path) -> int:
    """Return the number of images of the test batch that a run is scored on; 0 where there is none."""
    scored = [folder for folder in find_batches(challenge, "test").values() if is_folder(folder / "masks")]
    return len(list_images(scored[0])) if scored else 0


def _scores(run: Run) -> list[dict[str, Any]]:
    """Return the rows of scores.csv, mean Dice as numbers; none where the run was not scored.

    Raises:
        InputError: they are no numbers.
    """
    path = run.folder / "scores.csv"
    rows = read_csv(path) if path.exists() else []
    try:
        return [
            {key: value if key == "name" else float(value) if value else None for key, value in row.items()}
            for row in rows
        ]
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path} is no table of scores ({reason_of(error)}); delete it, or restore it"
        ) from error
