"""Pre-training for other work, on simulated persons where COCO is not given, and the page of a pre-training."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from kcseg.config import Config
from kcseg.dataset.coco import PERSON, UNKNOWN, CocoPersons
from kcseg.files import read_facts
from kcseg.page.figures import PREDICTION, REFERENCE, gallery_figure, save_figures, tint, training_figure
from kcseg.page.page import Section, settings_section, write_sections
from kcseg.phantom.persons import simulate_persons
from kcseg.progress import Tell, silent
from kcseg.training.fit import read_history
from kcseg.training.pretrain import RESULT, pretrain
from kcseg.training.run import PRETRAINED_NAME

_SHOWN = 12
_PERSONS = {"train": 1500, "val": 150}  # images, where COCO is not given


def pretrained_weights(folder: Path, coco: Path | None, config: Config, tell: Tell = silent) -> Path:
    """Pre-train in `pretraining/` inside a folder, unless an earlier call did, and return the weights.

    `coco` is a folder in COCO's layout; None simulates persons in `persons/` inside `folder`.

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
    curves = training_figure({"COCO persons": read_history(folder)})
    shown = "Crops as the network sees them; persons in blue; crowds, which are left out, in red."
    drawn = {
        "crops": (crops_figure(crops), shown),
        "training": (curves, "Dice on held-out crops and training loss."),
    }
    figures = save_figures(folder / "figures", drawn)
    sections = [Section("Figures", figures=figures), settings_section(config)]
    return write_sections(folder / "report.html", "Pre-training on COCO persons", sections, _facts(folder))


def crops_figure(crops: Sequence[tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw grey crops, float32 (size, size) in [0, 1], with their labels, uint8: persons blue, unknown red."""
    pictures = []
    for crop, labels in crops:
        picture = tint(np.stack([crop] * 3, axis=-1), labels == PERSON, PREDICTION)
        pictures.append(tint(picture, labels == UNKNOWN, REFERENCE))
    return gallery_figure(pictures, [""] * len(pictures))


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
