"""kcseg pretrain: weights to start from, learned on COCO persons."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from kcseg.cli.console import console, progress_bars, quiet_import
from kcseg.cli.settings import config_option, preset_option, read_settings

if TYPE_CHECKING:
    from kcseg.dataset.coco import CocoPersons


@click.command()
@click.option("--coco", type=click.Path(path_type=Path), required=True, help="Folder in COCO's 2017 layout.")
@preset_option
@config_option
@click.option(
    "--run", "folder", type=click.Path(path_type=Path), required=True, help="Folder for the weights."
)
def pretrain(coco: Path, preset: str, config_path: Path | None, folder: Path) -> None:
    """Train the network on COCO persons, for kcseg train --pretrained.

    Preset and configuration have to be those of the training that starts from the weights. Interrupted, the same
    command goes on and ends with the same weights.
    """
    config = read_settings(preset, config_path)
    with quiet_import():
        from kcseg.study.pretraining import report_pretraining
        from kcseg.training import pretrain as training

    with progress_bars() as tell:
        train, _ = training.pretrain(folder, coco, config, tell=tell, on_read=_show_skipped)
    page = report_pretraining(folder, config, train)
    console.print(f"Weights in {escape(str(folder / 'pretrained.npz'))}", soft_wrap=True)
    console.print(f"Look at {escape(str(page))}", soft_wrap=True)


def _show_skipped(split: "CocoPersons") -> None:
    for reason, count in split.skipped.items():
        if count:
            console.print(f"Passed over in {escape(str(split.pictures[0].path.parent))}: {count} {reason}")
