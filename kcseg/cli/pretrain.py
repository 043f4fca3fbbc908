"""kcseg pretrain: weights to start from, learned on COCO persons."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kcseg.cli.console import device_option, main, print_line, progress_bars, quiet_import
from kcseg.cli.settings import PATH, config_options
from kcseg.config import Config

if TYPE_CHECKING:
    from kcseg.dataset.coco import CocoPersons


@main.command()
@click.option("--coco", type=PATH, required=True, help="Folder in COCO's 2017 layout.")
@config_options
@click.option("--run", "folder", type=PATH, required=True, help="Folder for the weights.")
@device_option
def pretrain(coco: Path, config: Config, folder: Path) -> None:
    """Train the network on COCO persons, for kcseg train --pretrained.

    Preset and configuration have to be those of the training that starts from the weights. Interrupted, the same
    command goes on and ends with the same weights.
    """
    with quiet_import():
        from kcseg.study.pretraining import report_pretraining
        from kcseg.training import pretrain as training

    with progress_bars(folder) as tell:
        train, _ = training.pretrain(folder, coco, config, tell=tell, on_read=_show_skipped)
    page = report_pretraining(folder, config, train)
    print_line(f"Weights in {folder / 'pretrained.npz'}")
    print_line(f"Look at {page}")


def _show_skipped(split: "CocoPersons") -> None:
    for reason, count in split.skipped.items():
        if count:
            print_line(f"Passed over in {split.pictures[0].path.parent}: {count} {reason}")
