"""kcseg score: the Dice of predicted masks against reference masks."""

from pathlib import Path
from statistics import fmean

import click
from rich.markup import escape
from rich.table import Table

from kcseg.cli.console import console
from kcseg.cli.settings import PATH
from kcseg.errors import InputError
from kcseg.files import write_csv
from kcseg.study.scores import score_folders

_HEAD = b"id,dice\n"


@click.command()
@click.argument("predictions", type=PATH)
@click.argument("references", type=PATH)
@click.option("--csv", "table_path", type=PATH, help="Also write the table to this file.")
@click.option("--force", is_flag=True, help="Write over an existing table.")
def score(predictions: Path, references: Path, table_path: Path | None, force: bool) -> None:
    """Score the masks in PREDICTIONS against those in REFERENCES, paired by file name.

    The score is Dice, 2|P∩T| / (|P|+|T|), for each image and averaged.
    """
    if table_path and table_path.exists():
        _refuse_to_lose(table_path, force)
    scores = score_folders(predictions, references)
    table = Table("image", "Dice")
    for name, value in scores.items():
        table.add_row(escape(name), f"{value:.4f}")
    table.add_section()
    table.add_row(f"mean of {len(scores)}", f"{fmean(scores.values()):.4f}")
    console.print(table)
    if table_path:
        write_csv(table_path, [{"id": name, "dice": round(value, 6)} for name, value in scores.items()])


def _refuse_to_lose(path: Path, force: bool) -> None:
    """Refuse to write over a file, but with `force` over a table of scores."""
    if not path.is_file() or not path.read_bytes().startswith(_HEAD):
        raise InputError(f"{path} is no table of scores, and is left as it is; choose another name")
    if not force:
        raise InputError(f"{path} exists; choose another name, or --force to write over it")
