"""kcseg train: the whole challenge in one command."""

from contextlib import nullcontext
from datetime import date
from pathlib import Path

import click

from kcseg.cli.console import device_option, main, print_line, print_table, progress_bars, quiet_import
from kcseg.cli.settings import PATH, config_options, data_option
from kcseg.config import Config
from kcseg.ray import joined


@main.command()
@data_option
@config_options
@click.option("--run", "folder", type=PATH, help="Run folder.  [default: runs/PRESET]")
@click.option("--pretrained", type=PATH, help="Weights to start from, of kcseg pretrain.")
@click.option("--member", "members", type=int, multiple=True, help="Train only this member; may be repeated.")
@click.option("--force", is_flag=True, help="Replace the run in the folder.")
@click.option(
    "--ray",
    "cluster",
    metavar="ADDRESS|auto",
    help="Train the members side by side on this Ray cluster; the run folder must be on a disk all nodes share.",
)
@device_option
def train(
    data: Path | None,
    config: Config,
    folder: Path | None,
    pretrained: Path | None,
    members: tuple[int, ...],
    force: bool,
    cluster: str | None,
) -> None:
    """Train the seven members, export the ensemble, segment and score the test batch, write the report.

    Interrupted, the same command goes on and ends with the same weights.
    """
    folder = folder or Path("runs") / click.get_current_context().params["preset"]
    with quiet_import():
        from kcseg.page.page import table
        from kcseg.study.challenge import run_challenge
        from kcseg.training.members import train_members
        from kcseg.training.on_ray import train_members_on_ray

    with joined(cluster) if cluster else nullcontext(), progress_bars(folder) as tell:
        scores = run_challenge(
            folder,
            config,
            data=data,
            members=members,
            pretrained=pretrained,
            force=force,
            created=date.today(),
            tell=tell,
            train=train_members_on_ray if cluster else train_members,
        )
    if scores:
        print_table(table(scores), strong="median")
    if not members:
        print_line(f"Look at {folder / 'report.html'}")
