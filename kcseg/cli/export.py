"""kcseg export: a run's members as one SavedModel."""

from pathlib import Path

import click
from rich.markup import escape

from kcseg.cli.console import console, quiet_import


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def export(run: Path) -> None:
    """Write the trained members of RUN as one SavedModel, HU in, cortex out, under the next version."""
    with quiet_import():
        from kcseg.serving.export import export_run
        from kcseg.training.run import load_run

    console.print(f"Exported {escape(str(export_run(load_run(run))))}", soft_wrap=True)
