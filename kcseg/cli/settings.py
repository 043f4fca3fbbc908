"""Options that several commands share."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from kcseg.config import PRESETS
from kcseg.config_json import from_json
from kcseg.files import read_json

PATH = click.Path(path_type=Path)
data_option = click.option("--data", type=PATH, help="Challenge folder; without it one is simulated.")
trained_on_option = click.option(
    "--data", type=PATH, help="Challenge folder RUN was trained on; by default the one simulated in RUN."
)


def config_options(command: Callable) -> Callable:
    """Give a command --preset and --config, and call it with the `config` they name.

    An InputError says that the file of --config cannot be read, or holds settings that cannot be.
    """

    @click.option("--preset", type=click.Choice(list(PRESETS)), default="quick")
    @click.option("--config", "config_path", type=PATH, help="JSON that changes the preset.")
    @wraps(command)
    def with_config(preset: str, config_path: Path | None, **others: Any) -> Any:
        config = PRESETS[preset]
        if config_path:
            config = from_json(read_json(config_path), str(config_path), base=config)
        return command(config=config, **others)

    return with_config


def study_options(command: Callable) -> Callable:
    """Give a command the options of a study that compares pre-trained with random weights."""
    options = (
        data_option,
        click.option("--coco", type=PATH, help="Folder in COCO's 2017 layout to pre-train on."),
        click.option("--run", "folder", type=PATH, required=True, help="Folder to write to."),
        click.option("--seeds", default=5, help="Trainings from each kind of weights."),
        click.option("--steps", default=300, help="Of each of these trainings."),
        config_options,
    )
    for option in reversed(options):
        command = option(command)
    return command
