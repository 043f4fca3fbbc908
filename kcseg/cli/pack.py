"""kcseg pack: a run's weights as a folder to pass on, with a model card."""

from datetime import date
from pathlib import Path

import click

from kcseg.cli.console import device_option, main, print_line, progress_bars, quiet_import
from kcseg.cli.settings import PATH, trained_on_option
from kcseg.files import read_text


@main.command()
@click.argument("run", type=PATH)
@click.option("-o", "--out", type=PATH, required=True, help="Folder for the weights.")
@click.option(
    "--precision",
    type=click.Choice(["float16", "float32"]),
    default="float16",
    help="Of the kernels; refused where the masks change.",
)
@trained_on_option
@click.option(
    "--command", help="How RUN was trained, for the model card; by default the command its settings imply."
)
@click.option("--duration", help="How long training took and where, for the model card.")
@click.option("--notes", type=PATH, help="Markdown file: what was seen on real images, for the model card.")
@click.option("--force", is_flag=True, help="Replace earlier weights.")
@device_option
def pack(
    run: Path,
    out: Path,
    precision: str,
    data: Path | None,
    command: str | None,
    duration: str | None,
    notes: Path | None,
    force: bool,
) -> None:
    """Write the weights of RUN to a folder that predict, serve and export take as a model.

    It holds plain arrays, their hashes and a model card, README.md; it is what to hand to others.
    """
    seen = read_text(notes) if notes else ""
    with quiet_import():
        from kcseg.study.pack import pack_run
        from kcseg.training.run import load_run

    with progress_bars() as tell:
        bundle = pack_run(
            load_run(run),
            out,
            precision=precision,
            data=data,
            command=command,
            duration=duration,
            notes=seen,
            force=force,
            created=date.today(),
            tell=tell,
        )
    print_line(f"Weights in {bundle.folder}, look at its README.md")
