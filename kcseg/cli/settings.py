"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path

import click

from kcseg.config import PRESETS, Config
from kcseg.config_json import from_json
from kcseg.files import read_json

PATH = click.Path(path_type=Path)
preset_option = click.option("--preset", type=click.Choice(list(PRESETS)), default="quick", show_default=True)
data_option = click.option("--data", type=PATH, help="Challenge folder; without it one is simulated.")
trained_on_option = click.option(
    "--data", type=PATH, help="Challenge folder RUN was trained on; by default the one simulated in RUN."
)
coco_option = click.option("--coco", type=PATH, help="Folder in COCO's 2017 layout to pre-train on.")
config_option = click.option("--config", "config_path", type=PATH, help="JSON that changes the preset.")


def study_options(command: Callable) -> Callable:
    """Give a command the options of a study that compares pre-trained with random weights."""
    options = (
        data_option,
        coco_option,
        click.option("--run", "folder", type=PATH, required=True, help="Folder to write to."),
        click.option("--seeds", default=5, show_default=True, help="Trainings from each kind of weights."),
        click.option("--steps", default=300, show_default=True, help="Of each of these trainings."),
        preset_option,
        config_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_settings(preset: str, config_path: Path | None) -> Config:
    """Return a preset, changed by a JSON file.

    Raises:
        InputError: the file cannot be read, or holds settings that cannot be.
    """
    config = PRESETS[preset]
    return from_json(read_json(config_path), str(config_path), base=config) if config_path else config
