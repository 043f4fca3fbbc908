"""kcseg train: the whole challenge in one command."""

from contextlib import nullcontext
from datetime import date
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from kcseg.cli.console import ClearErrorsCommand, console, progress_bars, quiet_import
from kcseg.cli.settings import config_option, data_option, preset_option, read_settings
from kcseg.ray import joined


@click.command(cls=ClearErrorsCommand)
@data_option
@preset_option
@config_option
@click.option("--run", "folder", type=click.Path(path_type=Path), help="Run folder.  [default: runs/PRESET]")
@click.option(
    "--pretrained", type=click.Path(path_type=Path), help="Weights to start from, of kcseg pretrain."
)
@click.option("--member", "members", type=int, multiple=True, help="Train only this member; may be repeated.")
@click.option("--force", is_flag=True, help="Replace the run in the folder.")
@click.option(
    "--ray",
    "cluster",
    metavar="ADDRESS|auto",
    help="Train the members side by side on this Ray cluster; the run folder must be on a disk all nodes share.",
)
def train(
    data: Path | None,
    preset: str,
    config_path: Path | None,
    folder: Path | None,
    pretrained: Path | None,
    members: tuple[int, ...],
    force: bool,
    cluster: str | None,
) -> None:
    """Train the seven members, export the ensemble, segment and score the test batch, write the report.

    Interrupted, the same command goes on and ends with the same weights.
    """
    config = read_settings(preset, config_path)
    folder = folder or Path("runs") / preset
    with quiet_import():
        from kcseg.study.challenge import run_challenge
        from kcseg.training.members import train_members
        from kcseg.training.on_ray import train_members_on_ray

    with joined(cluster) if cluster else nullcontext(), progress_bars() as tell:
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
        table = Table("predictor", "Dice, reference", "Dice, truth")
        for row in scores:
            truth = "–" if row["dice_truth"] is None else f"{row['dice_truth']:.4f}"
            style = "bold" if row["name"] == "median" else None
            table.add_row(str(row["name"]), f"{row['dice_reference']:.4f}", truth, style=style)
        console.print(table)
    if not members:
        console.print(f"Look at {escape(str(folder / 'report.html'))}", soft_wrap=True)
