"""kcseg reproduce: the paper's study, and a report that holds its claims against the figures."""

from datetime import date
from pathlib import Path

from kcseg.cli.console import device_option, main, print_line, progress_bars, quiet_import
from kcseg.cli.settings import study_options
from kcseg.config import Config


@main.command()
@study_options
@device_option
def reproduce(
    data: Path | None,
    coco: Path | None,
    folder: Path,
    seeds: int,
    steps: int,
    config: Config,
) -> None:
    """Run the paper's study: pre-train, train the ensemble and what it is compared with, score, draw, report.

    Without --coco, simulated persons stand in for COCO. Interrupted, the same command goes on.
    """
    with quiet_import():
        from kcseg.study.reproduce import Study
        from kcseg.study.reproduce import reproduce as run_study

    study = Study(config, data=data, coco=coco, seeds=seeds, steps=steps, created=date.today())
    with progress_bars(folder) as tell:
        page = run_study(folder, study, tell)
    print_line(f"Look at {page}")
    print_line(f"The same as Markdown: {folder / 'reproduction.md'}")
