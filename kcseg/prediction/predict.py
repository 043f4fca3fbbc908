"""Masks, overlays and a table for images without a reference."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

from kcseg.errors import InputError
from kcseg.files import write, write_csv, write_json
from kcseg.image.formats import read_image, write_mask
from kcseg.image.listing import scan_images
from kcseg.page.figures import png_of
from kcseg.page.page import write_page
from kcseg.prediction.expectation import LOW_DICE
from kcseg.prediction.result import Prediction, segment_images
from kcseg.progress import Tell, counted, silent
from kcseg.results import begin, refuse_taken
from kcseg.serving.contract import IMAGES_TOGETHER
from kcseg.serving.runner import Ensemble


def predict_files(
    ensemble: Ensemble,
    images: Mapping[str, Path],
    out: Path | str,
    *,
    hu_offset: int | None = None,
    any_contrast: bool = False,
    force: bool = False,
    tell: Tell = silent,
) -> list[Prediction]:
    """Segment image files and write `masks/<id>.png`, `overlays/<id>.png`, tables and `index.html` to `out`.

    A model that finds kidneys gets a row for each kidney, and `kidneys/<id>.png` is written, too. Where cortex and
    medulla look alike, no cortex is given unless `any_contrast`.

    Every file is read once before anything is written, so that a bad one leaves nothing behind. Masks are uint8 0 or
    255 with the pixels of their file, row 0 = head, column 0 = patient's right; areas are in mm². Of NIfTI and DICOM
    there is `masks/<id>.nii.gz`, too, 0 and 1 in the file's own order, which lies on the image in any viewer. Of what
    `out` holds, only earlier results of kcseg are replaced.

    Raises:
        InputError: a file that cannot be used, earlier results in `out` without `force`, or foreign files in the way.
    """
    out = Path(out)
    make_room(images, out, hu_offset=hu_offset, force=force)
    rows, one_more = [], counted(tell, "segmenting", len(images))
    for part in parts(images):
        for found in predict_part(ensemble, part, out, hu_offset=hu_offset, any_contrast=any_contrast):
            rows += found
            one_more()
    write_table(out, rows)
    return rows


def readable_images(
    *paths: Path, hu_offset: int | None = None, tell: Tell = silent
) -> tuple[dict[str, Path], list[str]]:
    """Return what `list_images` does, but for the files that cannot be read, and what is wrong with each of these.

    Raises:
        InputError: none can be read.
    """
    listing = scan_images(*paths)
    images, faults = {}, list(listing.faults)
    one_more = counted(tell, "reading", len(listing.files))
    for id, path in listing.files.items():
        try:
            read_image(path, hu_offset=hu_offset)
            images[id] = path
        except InputError as error:
            faults.append(str(error))
        one_more()
    if not images:
        raise InputError(f"no image can be read; the first: {faults[0]}")
    return images, faults


def make_room(images: Mapping[str, Path], out: Path, *, hu_offset: int | None, force: bool) -> None:
    """Read every file once, then remove earlier results from `out`; a bad file leaves them as they are.

    Raises:
        InputError: as `predict_files`.
    """
    names = ["index.html", "table.csv", "table.json", *(name for id in images for name in _names(id))]
    refuse_taken(out, names, force=force, inputs=images.values())
    for path in images.values():
        read_image(path, hu_offset=hu_offset)
    begin(out, names)


def parts(images: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """Cut images into the parts that go through the networks together, in order.

    What else goes through a network may change the last digits of an image's result: who wants the same bytes keeps to
    these parts.
    """
    left = iter(images.items())
    while part := dict(islice(left, IMAGES_TOGETHER)):
        yield part


def predict_part(
    ensemble: Ensemble, images: Mapping[str, Path], out: Path, *, hu_offset: int | None, any_contrast: bool
) -> Iterator[list[Prediction]]:
    """Segment a few images together; write masks and overlay of each to `out`, and yield its rows, in order.

    Raises:
        InputError: a file that cannot be read or written.
    """
    files = [read_image(path, hu_offset=hu_offset) for path in images.values()]
    for id, result in zip(images, segment_images(files, ensemble, any_contrast=any_contrast), strict=True):
        for kind, mask in (("masks", result.cortex), ("kidneys", result.kidneys)):
            if mask is None:
                continue
            grid = result.image.grid
            for suffix in ("png", "nii.gz") if grid.affine is not None else ("png",):
                write_mask(out / kind / f"{id}.{suffix}", mask, grid)
        write(out / "overlays" / f"{id}.png", png_of(result.picture()))
        yield [replace(row, id=id) for row in result.rows]


def write_table(out: Path, rows: Sequence[Prediction]) -> None:
    """Write `table.csv`, `table.json` and the page `index.html` to `out`, a row a kidney."""
    table = [asdict(row) for row in rows]
    write_csv(out / "table.csv", table)
    write_json(out / "table.json", table)
    images: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(table, key=_calm):
        images.setdefault(row["id"], []).append(row)
    kidneys = any(row.kidney_mm2 is not None for row in rows)
    write_page(out / "index.html", "predictions.html", images=images, kidneys=kidneys)


def _calm(row: Mapping[str, Any]) -> int:
    """Return 0 for a row that a person should look at first, 2 for one that needs none."""
    dice = row["expected_dice"]
    return 0 if dice is not None and dice < LOW_DICE else 2 - bool(row["note"])


def _names(id: str) -> list[str]:
    """Return the files of an image: its masks as pictures and as volumes, and its overlay."""
    masks = [f"{kind}/{id}.{suffix}" for kind in ("masks", "kidneys") for suffix in ("png", "nii.gz")]
    return [*masks, f"overlays/{id}.png"]
