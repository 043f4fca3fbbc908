"""kcseg reproduce: the paper's study, and a report that holds its claims against the figures."""

from datetime import date
from pathlib import Path

import click

from kcseg.cli.console import print_path, progress_bars, quiet_import
from kcseg.cli.settings import read_settings, study_options


@click.command()
@study_options
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
    print_path("Look at", page)
    print_path("The same as Markdown:", folder / "reproduction.md")
