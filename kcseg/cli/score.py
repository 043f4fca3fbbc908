"""kcseg score: the Dice of predicted masks against reference masks."""

from pathlib import Path
from statistics import fmean

import click

from kcseg.cli.console import main, print_table
from kcseg.cli.settings import PATH
from kcseg.errors import InputError
from kcseg.files import write_csv

_HEAD = b"id,dice\n"


@main.command()
@click.argument("predictions", type=PATH)
@click.argument("references", type=PATH)
@click.option("--csv", "table_path", type=PATH, help="Also write the table to this file.")
@click.option("--force", is_flag=True, help="Write over an existing table.")
def score(predictions: Path, references: Path, table_path: Path | None, force: bool) -> None:
    """Score the masks in PREDICTIONS against those in REFERENCES, paired by file name.

    The score is Dice, 2|P∩T| / (|P|+|T|), for each image and averaged.
    """
    from kcseg.study.scores import score_folders

    if table_path and table_path.exists():
        if not table_path.is_file() or not table_path.read_bytes().startswith(_HEAD):
            raise InputError(f"{table_path} is no table of scores, and is left as it is; choose another name")
        if not force:
            raise InputError(f"{table_path} exists; choose another name, or --force to write over it")
    scores = score_folders(predictions, references)
    print_table(
        [{"image": name, "Dice": f"{value:.4f}"} for name, value in scores.items()],
        [{"image": f"mean of {len(scores)}", "Dice": f"{fmean(scores.values()):.4f}"}],
    )
    if table_path:
        write_csv(table_path, [{"id": name, "dice": round(value, 6)} for name, value in scores.items()])
