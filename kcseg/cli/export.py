"""kcseg export: trained members as one SavedModel."""

from datetime import date
from pathlib import Path

import click

from kcseg.cli.console import main, print_line, quiet_import
from kcseg.cli.settings import PATH
from kcseg.config import EXPORT, ExportConfig


@main.command()
@click.argument("model", type=PATH)
@click.option(
    "-o", "--out", type=PATH, help="Folder of the versions; of a run, by default export/kcseg inside it."
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default=EXPORT.precision,
    help="bfloat16 is refused unless its masks agree with those of float32 on training images.",
)
@click.option(
    "--hu-offset",
    type=int,
    default=EXPORT.hu_offset,
    help="What the signature 'png' adds to PNG values to get HU.",
)
@click.option(
    "--data",
    type=PATH,
    help="Challenge folder of the training, for --precision bfloat16; by default the one simulated in a run.",
)
def export(model: Path, out: Path | None, precision: str, hu_offset: int, data: Path | None) -> None:
    """Write MODEL, a run folder or packed weights, as one SavedModel under the next version: HU in, cortex out."""
    settings = ExportConfig(precision=precision, hu_offset=hu_offset)
    with quiet_import():
        from kcseg.serving.export import export_model

    print_line(f"Exported {export_model(model, out, settings, data=data, created=date.today())}")
