"""kcseg predict: masks, overlays and a table for image files and scans."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kcseg.cli.console import device_option, main, print_line, print_table, progress_bars, quiet_import
from kcseg.cli.settings import PATH
from kcseg.errors import InputError
from kcseg.ray import joined
from kcseg.scan.options import SIDES, ScanOptions

if TYPE_CHECKING:
    from kcseg.serving.runner import Ensemble

# head, and the name and digits of what stands below it
_IMAGE_COLUMNS = {
    "image": ("id", None),
    "side": ("side", None),
    "cortex, mm²": ("cortex_mm2", 0),
    "kidney, mm²": ("kidney_mm2", 0),
    "contrast, HU": ("contrast_hu", 0),
    "probability": ("probability", 3),
    "disagreement": ("disagreement", 3),
    "expected Dice": ("expected_dice", 2),
    "note": ("note", None),
}
_SCAN_COLUMNS = {
    "scan": ("id", None),
    "side": ("side", None),
    "cortex, mL": ("cortex_ml", 1),
    "kidney, mL": ("kidney_ml", 1),
    "thickness, mm": ("thickness_mm", 1),
    "contrast, HU": ("contrast_hu", 0),
    "note": ("note", None),
}


@main.command()
@click.argument("files", type=PATH, nargs=-1, required=True)
@click.option("-o", "--out", type=PATH, required=True, help="Folder for the results.")
@click.option("--model", help="Who segments.  [default: the weights that come with kcseg]")
@click.option(
    "--hu-offset",
    type=int,
    help="What to add to 16-bit PNG values to get HU, e.g. -1024; by default what batch.json says.",
)
@click.option(
    "--series", metavar="NUMBER", help="Of a scan with several series: which, by its number or UID."
)
@click.option(
    "--kidneys",
    type=PATH,
    help="Of a scan: a mask of the kidneys from another tool, such as TotalSegmentator's.",
)
@click.option("--side", type=click.Choice(SIDES), help="Of a scan: look at this kidney alone.")
@click.option(
    "--any-contrast", is_flag=True, help="Give the cortex even where it and the medulla look alike."
)
@click.option("--skip-bad", is_flag=True, help="Pass over images that cannot be read, and name them.")
@click.option("--fast", is_flag=True, help="Ask one member of packed weights instead of all seven.")
@click.option("--force", is_flag=True, help="Write over earlier results.")
@click.option(
    "--ray",
    "cluster",
    metavar="ADDRESS|auto",
    help="Share images or scans out over this Ray cluster; FILES, --model and --out must be on a disk all nodes share.",
)
@device_option
def predict(
    files: tuple[Path, ...],
    out: Path,
    model: str | None,
    hu_offset: int | None,
    series: str | None,
    kidneys: Path | None,
    side: str | None,
    any_contrast: bool,
    skip_bad: bool,
    fast: bool,
    force: bool,
    cluster: str | None,
) -> None:
    """Segment FILES: coronal images or folders of them, or scans (DICOM series, zip archives, 3D NIfTI).

    --model is a run folder, an exported model, packed weights, or the address of a model on TF Serving or
    'kcseg serve': http://HOST:8501/v1/models/kcseg or grpc://HOST:8500/kcseg.
    """
    from kcseg.image.listing import list_images, scan_images
    from kcseg.scan.read import list_scans

    if model and "://" in model and (cluster or fast):
        option = "--ray" if cluster else "--fast"
        raise InputError(f"{option} needs the model itself: name a folder, not {model}")
    if scans := list_scans(*files):
        if skip_bad or hu_offset is not None:
            raise InputError("--skip-bad and --hu-offset are for images; leave them out for a scan")
        options = ScanOptions(series, kidneys, (side,) if side else SIDES, any_contrast)
        _predict_scans(scans, out, model, options, cluster, fast=fast, force=force)
        return
    if series or kidneys or side:
        raise InputError("--series, --kidneys and --side are for scans; leave them out for images")
    images, faults = _readable(files, hu_offset) if skip_bad else (list_images(*files), [])
    if ignored := scan_images(*files).passed_over:
        print_line(f"Passed over: {', '.join(ignored)}")
    for fault in faults:
        print_line(f"Passed over: {fault}")
    with quiet_import():
        if cluster:
            from kcseg.prediction.on_ray import predict_files_on_ray

            run = partial(predict_files_on_ray, _folder(model), fast=fast)
        else:
            from kcseg.prediction.predict import predict_files

            run = partial(predict_files, _ensemble(model, fast))
    with joined(cluster) if cluster else nullcontext(), progress_bars() as tell:
        rows = run(images, out, hu_offset=hu_offset, any_contrast=any_contrast, force=force, tell=tell)
    shown = [_cells(asdict(row), _IMAGE_COLUMNS) for row in rows]
    # of a model that finds the cortex alone, the kidney's columns are empty
    print_table([{head: row[head] for head in row if any(other[head] for other in shown)} for row in shown])
    print_line(f"Look at {out / 'index.html'}")


def _predict_scans(
    scans: Mapping[str, Path],
    out: Path,
    model: str | None,
    options: ScanOptions,
    cluster: str | None,
    *,
    fast: bool,
    force: bool,
) -> None:
    with quiet_import():
        if cluster:
            from kcseg.prediction.on_ray import predict_scans_on_ray

            run = partial(predict_scans_on_ray, _folder(model), fast=fast)
        else:
            from kcseg.prediction.scans import predict_scans

            run = partial(predict_scans, _ensemble(model, fast))
    with joined(cluster) if cluster else nullcontext(), progress_bars() as tell:
        rows = run(scans, out, options, force=force, tell=tell)
    print_table([_cells(row, _SCAN_COLUMNS) for row in rows])
    print_line(f"Look at {out / 'index.html'}")


def _readable(files: tuple[Path, ...], hu_offset: int | None) -> tuple[dict[str, Path], list[str]]:
    from kcseg.prediction.predict import readable_images

    with progress_bars() as tell:
        return readable_images(*files, hu_offset=hu_offset, tell=tell)


def _folder(model: str | None) -> Path:
    from kcseg.serving.bundle import shipped_weights

    return Path(model) if model else shipped_weights()


def _ensemble(model: str | None, fast: bool) -> "Ensemble":
    from kcseg.serving.runner import Ensemble

    if model and "://" in model:
        return Ensemble.connect(model)
    return Ensemble.load(Path(model) if model else None, fast=fast)


def _cells(row: Mapping[str, Any], columns: Mapping[str, tuple[str, int | None]]) -> dict[str, str]:
    """Return what a table shows of a row: by each head the value of that name, with so many digits if a number."""
    return {
        head: "" if row[name] is None else str(row[name]) if digits is None else f"{row[name]:.{digits}f}"
        for head, (name, digits) in columns.items()
    }
