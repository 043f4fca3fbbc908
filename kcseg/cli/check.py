"""kcseg check: what a challenge folder holds and what is wrong with it."""

from collections.abc import Iterable
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from kcseg.cli.console import console
from kcseg.dataset.check import BatchReport, check_folder

FACTS = ("images", "masks", "truth", "formats", "pixels", "pixel, mm", "HU", "cortex, mm²")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.pass_context
def check(context: click.Context, folder: Path) -> None:
    """Look through a challenge FOLDER: count, measure, and name all faults and doubts.

    Exit status 0 when nothing must be mended, 2 otherwise.
    """
    report = check_folder(folder)
    table = Table("batch", *(escape(batch.name) for batch in report.batches))
    for fact, values in zip(FACTS, zip(*map(_values, report.batches), strict=True), strict=True):
        table.add_row(fact, *values)
    console.print(table)
    for fault in report.faults:
        console.print(f"[red]fault[/]    {escape(fault)}", soft_wrap=True)
    for warning in report.warnings:
        console.print(f"[yellow]look at[/]  {escape(warning)}", soft_wrap=True)
    console.print(f"{len(report.faults)} to mend, {len(report.warnings)} to look at")
    if report.faults:
        context.exit(2)


def _values(batch: BatchReport) -> list[str]:
    return [
        str(batch.images),
        str(batch.masks),
        str(batch.truth),
        ", ".join(batch.formats),
        _each(f"{height} x {width}" for height, width in batch.sizes_px),
        _each(f"{height:g} x {width:g}" for height, width in batch.spacings_mm),
        "{:.0f} to {:.0f}".format(*batch.hu_range) if batch.hu_range else "",
        f"{batch.cortex_mm2:.0f}" if batch.cortex_mm2 is not None else "",
    ]


def _each(values: Iterable[str]) -> str:
    """Name a few values, so that a folder of many sizes still fits the screen."""
    values = list(values)
    return "\n".join(values[:3]) + (f"\n+ {len(values) - 3} more" if len(values) > 3 else "")
