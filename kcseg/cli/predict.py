"""kcseg predict: masks, overlays and a table for image files."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Column, Table

from kcseg.cli.console import console, progress_bars, quiet_import
from kcseg.cluster import joined
from kcseg.data.batch import stated_hu_offset
from kcseg.data.listing import list_images


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the results.")
@click.option(
    "--hu-offset",
    type=int,
    help="What to add to 16-bit PNG values to get HU, e.g. -1024; by default what batch.json says.",
)
@click.option("--force", is_flag=True, help="Write over earlier results.")
@click.option(
    "--ray",
    "cluster",
    metavar="ADDRESS|auto",
    help="Share the images out over this Ray cluster; MODEL, FILES and --out must be on a disk all nodes share.",
)
def predict(
    model: Path, files: tuple[Path, ...], out: Path, hu_offset: int | None, force: bool, cluster: str | None
) -> None:
    """Segment FILES (images or folders of them) with MODEL, a run folder or an exported model."""
    images = list_images(*files)
    if hu_offset is None and len(files) == 1:
        hu_offset = stated_hu_offset(files[0])
    with quiet_import():
        from kcseg.results.cluster import predict_files_on_ray
        from kcseg.results.predictions import predict_files
        from kcseg.serving.runner import Ensemble

        # on a cluster each node loads the model for itself
        run = (
            partial(predict_files_on_ray, model) if cluster else partial(predict_files, Ensemble.load(model))
        )
    with joined(cluster) if cluster else nullcontext(), progress_bars() as bars:
        task = bars.add_task("segmenting", total=len(images), note="")
        rows = run(images, out, hu_offset=hu_offset, force=force, on_image=lambda: bars.advance(task))
    table = Table(Column("image", overflow="fold"), "cortex, mm²", "probability", "disagreement", "note")
    for row in rows:
        table.add_row(
            escape(row.id),
            f"{row.cortex_mm2:.0f}",
            f"{row.probability:.3f}",
            f"{row.disagreement:.3f}",
            row.note,
        )
    console.print(table)
    console.print(f"Look at {escape(str(out / 'index.html'))}", soft_wrap=True)
