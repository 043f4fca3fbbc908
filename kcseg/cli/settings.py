"""The options by which commands are told their settings."""

from pathlib import Path

import click

from kcseg.config import PRESETS, Config
from kcseg.config_json import from_json
from kcseg.files import read_json

preset_option = click.option("--preset", type=click.Choice(list(PRESETS)), default="quick", show_default=True)
data_option = click.option(
    "--data", type=click.Path(path_type=Path), help="Challenge folder; without it one is simulated."
)
trained_on_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Challenge folder RUN was trained on; by default the one simulated in RUN.",
)
coco_option = click.option(
    "--coco", type=click.Path(path_type=Path), help="Folder in COCO's 2017 layout to pre-train on."
)
config_option = click.option(
    "--config", "config_path", type=click.Path(path_type=Path), help="JSON that changes the preset."
)


def read_settings(preset: str, config_path: Path | None) -> Config:
    """Return a preset, changed by what a JSON file says.

    Raises:
        InputError: the file cannot be read, or says what cannot be.
    """
    config = PRESETS[preset]
    return from_json(read_json(config_path), str(config_path), base=config) if config_path else config
