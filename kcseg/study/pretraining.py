"""Pre-training for other work, on simulated persons where COCO is not given, and the page of a pre-training."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from kcseg.config import Config
from kcseg.dataset.coco import PERSON, UNKNOWN, CocoPersons
from kcseg.files import read_facts
from kcseg.page.figures import PREDICTION, REFERENCE, save_figure, tint, training_figure
from kcseg.page.page import Section, settings_section, write_sections
from kcseg.phantom.persons import simulate_persons
from kcseg.progress import Tell, silent
from kcseg.training.fit import read_history
from kcseg.training.pretrain import RESULT, pretrain
from kcseg.training.run import PRETRAINED_NAME

_SHOWN = 12
_PERSONS = {"train": 1500, "val": 150}  # images of the stand-in for COCO


def pretrained_weights(folder: Path, coco: Path | None, config: Config, tell: Tell = silent) -> Path:
    """Pre-train in `pretraining/` inside a folder, unless an earlier call did, and return the weights.

    Args:
        folder: of what the weights are for.
        coco: a folder in COCO's layout; None simulates persons in `persons/` inside the folder.
        config: as of `pretrain`.
        tell: told of the persons simulated and of the training's steps.

    Raises:
        InputError: as `pretrain` and `simulate_persons`.
    """
    place = folder / "pretraining"
    if not (place / RESULT).exists():
        if coco is None:
            coco = folder / "persons"
            simulate_persons(coco, **_PERSONS, seed=config.seed, tell=tell)
        pretrain(place, coco, config, tell=tell)
    return place / PRETRAINED_NAME


def report_pretraining(folder: Path, config: Config, persons: CocoPersons) -> Path:
    """Write `figures/crops.png`, `figures/training.png` and `report.html` for a finished pre-training."""
    random = np.random.default_rng(config.seed)
    order = random.permutation(len(persons))
    crops = [
        persons.crop(int(order[number % len(order)]), config.pretraining, random) for number in range(_SHOWN)
    ]
    figures = folder / "figures"
    drawn = save_figure(figures / "crops.png", crops_figure(crops))
    curves = save_figure(figures / "training.png", training_figure({"COCO persons": read_history(folder)}))
    return write_sections(
        folder / "report.html",
        "Pre-training on COCO persons",
        [
            Section(
                "Figures",
                figures=[
                    (
                        drawn,
                        "Crops as the network sees them; persons in blue; crowds, which are left out, in red.",
                    ),
                    (curves, "Dice on held-out crops and training loss."),
                ],
            ),
            settings_section(config),
        ],
        _facts(folder),
    )


def crops_figure(crops: Sequence[tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw grey crops, float32 (size, size) in [0, 1], with their labels, uint8: persons blue, unknown red."""
    columns = 6
    rows = -(-len(crops) // columns)
    figure = Figure(figsize=(2.2 * columns, 2.2 * rows), layout="constrained")
    for place, (grey, labels) in enumerate(crops, start=1):
        picture = np.repeat(grey[..., np.newaxis], 3, axis=-1)
        for value, colour in ((PERSON, PREDICTION), (UNKNOWN, REFERENCE)):
            picture = tint(picture, labels == value, colour)
        axes = figure.add_subplot(rows, columns, place)
        axes.imshow(picture, interpolation="nearest")
        axes.set_axis_off()
    return figure


def _facts(folder: Path) -> dict[str, str]:
    result = read_facts(
        folder / RESULT, skipped=dict, images=dict, validation_dice=float, best_epoch=int, sha256=str
    )
    skipped = Counter(result["skipped"]["train"]) + Counter(result["skipped"]["val"])
    return {
        "images with persons": f"{result['images']['train']} for training, {result['images']['val']} held out",
        "Dice on held-out crops": f"{result['validation_dice']:.3f}, epoch {result['best_epoch']}",
        "passed over": ", ".join(f"{count} {reason}" for reason, count in skipped.items()) or "nothing",
        "weights": f"{PRETRAINED_NAME}, SHA-256 {result['sha256']}",
    }
