"""kcseg reproduce: the paper's study, and a report that holds its claims against the figures."""

from datetime import date
from pathlib import Path

import click
from rich.markup import escape

from kcseg.cli.console import console, progress_bars, quiet_import
from kcseg.cli.settings import coco_option, config_option, data_option, preset_option, read_settings


@click.command()
@data_option
@coco_option
@click.option("--run", "folder", type=click.Path(path_type=Path), required=True, help="Folder of the study.")
@click.option(
    "--seeds", default=5, show_default=True, help="Trainings from pre-trained and from random weights."
)
@click.option("--steps", default=300, show_default=True, help="Of each of these.")
@preset_option
@config_option
def reproduce(
    data: Path | None,
    coco: Path | None,
    folder: Path,
    seeds: int,
    steps: int,
    preset: str,
    config_path: Path | None,
) -> None:
    """Run the paper's study: pre-train, train the ensemble and what it is compared with, score, draw, report.

    Without --coco, simulated persons stand in for COCO. Interrupted, the same command goes on.
    """
    config = read_settings(preset, config_path)
    with quiet_import():
        from kcseg.study.reproduce import Study
        from kcseg.study.reproduce import reproduce as run_study

    study = Study(config, data=data, coco=coco, seeds=seeds, steps=steps, created=date.today())
    with progress_bars() as tell:
        page = run_study(folder, study, tell)
    console.print(f"Look at {escape(str(page))}", soft_wrap=True)
    console.print(f"The same as Markdown: {escape(str(folder / 'reproduction.md'))}", soft_wrap=True)
