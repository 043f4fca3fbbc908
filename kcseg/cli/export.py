"""kcseg export: a run's members as one SavedModel."""

from datetime import date
from pathlib import Path

import click
from rich.markup import escape

from kcseg.cli.console import console, quiet_import
from kcseg.config import EXPORT, ExportConfig


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default=EXPORT.precision,
    show_default=True,
    help="bfloat16 is refused unless its masks agree with those of float32 on training images.",
)
@click.option(
    "--hu-offset",
    type=int,
    default=EXPORT.hu_offset,
    show_default=True,
    help="What the signature 'png' adds to PNG values to get HU.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Challenge folder RUN was trained on, for --precision bfloat16; by default the one simulated in RUN.",
)
def export(run: Path, precision: str, hu_offset: int, data: Path | None) -> None:
    """Write the trained members of RUN as one SavedModel, HU in, cortex out, under the next version."""
    settings = ExportConfig(precision=precision, hu_offset=hu_offset)
    with quiet_import():
        from kcseg.serving.export import export_run
        from kcseg.training.run import load_run

    written = export_run(load_run(run), settings, data=data, created=date.today())
    console.print(f"Exported {escape(str(written))}", soft_wrap=True)
