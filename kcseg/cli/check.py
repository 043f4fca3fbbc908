"""kcseg check: what a challenge folder holds and what is wrong with it."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from kcseg.cli.console import console, main, print_line, print_table
from kcseg.cli.settings import PATH

if TYPE_CHECKING:
    from kcseg.dataset.check import BatchReport


@main.command()
@click.argument("folder", type=PATH)
@click.pass_context
def check(context: click.Context, folder: Path) -> None:
    """Look through a challenge FOLDER: count, measure, and name all faults and doubts.

    Exit status 0 when nothing must be mended, 2 otherwise.
    """
    from kcseg.dataset.check import check_folder

    report = check_folder(folder)
    facts = {batch.name: _facts(batch) for batch in report.batches}
    names = _facts(report.batches[0])
    print_table([{"batch": fact} | {name: held[fact] for name, held in facts.items()} for fact in names])
    if report.passed_over:
        print_line(f"Passed over: {', '.join(report.passed_over)}")
    for fault in report.faults:
        console.print(f"[red]fault[/]    {escape(fault)}", soft_wrap=True)
    for warning in report.warnings:
        console.print(f"[yellow]look at[/]  {escape(warning)}", soft_wrap=True)
    console.print(f"{len(report.faults)} to mend, {len(report.warnings)} to look at")
    if report.faults:
        context.exit(2)


def _facts(batch: "BatchReport") -> dict[str, object]:
    return {
        "images": batch.images,
        "masks": batch.masks,
        "truth": batch.truth,
        "formats": ", ".join(batch.formats),
        "pixels": _each(f"{height} x {width}" for height, width in batch.sizes_px),
        "pixel, mm": _each(f"{height:g} x {width:g}" for height, width in batch.spacings_mm),
        "HU": "{:.0f} to {:.0f}".format(*batch.hu_range) if batch.hu_range else "",
        "cortex, mm²": f"{batch.cortex_mm2:.0f}" if batch.cortex_mm2 is not None else "",
    }


def _each(values: Iterable[str]) -> str:
    """Name a few values, so that a folder of many sizes still fits the screen."""
    values = list(values)
    return "\n".join(values[:3]) + (f"\n+ {len(values) - 3} more" if len(values) > 3 else "")
