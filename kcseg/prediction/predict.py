"""Masks, overlays and a table for images without a reference."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import PIL.Image

from kcseg.errors import InputError
from kcseg.files import atomic_path, remove, remove_leftovers, write_csv
from kcseg.image.formats import read_image, write_mask
from kcseg.image.image import Image, Spacing, resample, to_shape
from kcseg.page.figures import overlay
from kcseg.page.page import write_page
from kcseg.progress import Tell, counted, silent
from kcseg.serving.runner import Ensemble, Segmentation

# Our choice, from the simulated challenge: below these a person should look before the mask is used.
LITTLE_CORTEX_MM2 = 1000.0
CLEAR_DISAGREEMENT = 0.2

_PART = 8  # images read, segmented and written together: memory holds no more of them

_RESULTS = ("index.html", "table.csv", "masks", "overlays")


@dataclass(frozen=True)
class Prediction:
    """One row of the table: how much cortex, and how sure the members are of it.

    `probability` is the mean of the median soft mask inside the mask, `disagreement` that of the members' standard
    deviation; both are 0 where no cortex was found. `note` says why a person should look, and is empty otherwise.
    """

    id: str
    cortex_mm2: float
    probability: float
    disagreement: float
    note: str


def predict_files(
    ensemble: Ensemble,
    images: Mapping[str, Path],
    out: Path,
    *,
    hu_offset: int | None = None,
    force: bool = False,
    tell: Tell = silent,
) -> list[Prediction]:
    """Segment image files and write `masks/<id>.png`, `overlays/<id>.png`, `table.csv` and `index.html` to `out`.

    Every file is read once before anything is written, so that a bad one leaves nothing behind. Masks are uint8 0 or
    255 on the grid of their file, row 0 = head, column 0 = patient's right; areas are in mm².

    Raises:
        InputError: a file that cannot be used, or results in `out` without `force`.
    """
    clear_results(images, out, hu_offset=hu_offset, force=force)
    rows, one_more = [], counted(tell, "segmenting", len(images))
    for part in parts(images):
        for row in predict_part(ensemble, part, out, hu_offset=hu_offset):
            rows.append(row)
            one_more()
    write_table(out, rows)
    return rows


def clear_results(images: Mapping[str, Path], out: Path, *, hu_offset: int | None, force: bool) -> None:
    """Read every file once, then remove earlier results from `out`; a bad file leaves them as they are.

    Raises:
        InputError: a file that cannot be used, or results in `out` without `force`.
    """
    if not force:
        _refuse_overwrite(out)
    for path in images.values():
        read_image(path, hu_offset=hu_offset)
    for name in _RESULTS:
        remove(out / name)
    remove_leftovers(out)


def parts(images: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """Cut images into the parts that go through the networks together, in order.

    Rounding may differ with the company an image keeps, so that whoever wants the same bytes keeps to these parts.
    """
    left = iter(images.items())
    while part := dict(islice(left, _PART)):
        yield part


def predict_part(
    ensemble: Ensemble, images: Mapping[str, Path], out: Path, *, hu_offset: int | None
) -> Iterator[Prediction]:
    """Segment a few images together; write mask and overlay of each to `out`, and yield its row, in order.

    Raises:
        InputError: a file that cannot be read or written.
    """
    files = [read_image(path, hu_offset=hu_offset) for path in images.values()]
    at_1_mm = [resample(image) for image in files]
    segmentations = ensemble.segment_each(image.hu for image in at_1_mm)
    for name, image, resampled, found in zip(images, files, at_1_mm, segmentations, strict=True):
        mask = to_shape(found.mask, image.hu.shape) > 0.5
        write_mask(out / "masks" / f"{name}.png", mask)
        _write_overlay(out / "overlays" / f"{name}.png", image, mask)
        yield _describe(name, found, resampled.spacing_mm or (1.0, 1.0))


def write_table(out: Path, rows: Sequence[Prediction]) -> None:
    """Write `table.csv` and the page `index.html` to `out`, a row an image."""
    table = [asdict(row) for row in rows]
    write_csv(out / "table.csv", table)
    write_page(out / "index.html", "predictions.html", rows=sorted(table, key=lambda row: row["note"] == ""))


def _describe(name: str, found: Segmentation, spacing_mm: Spacing) -> Prediction:
    inside = found.mask
    area = float(inside.sum()) * spacing_mm[0] * spacing_mm[1]
    disagreement = float(found.disagreement[inside].mean()) if area else 0.0
    return Prediction(
        id=name,
        cortex_mm2=round(area, 1),
        probability=round(float(found.probability[inside].mean()), 3) if area else 0.0,
        disagreement=round(disagreement, 3),
        note="; ".join(_doubts(area, disagreement)),
    )


def _doubts(area_mm2: float, disagreement: float) -> Iterator[str]:
    if area_mm2 == 0:
        yield "no cortex found"
    elif area_mm2 < LITTLE_CORTEX_MM2:
        yield "little cortex found"
    if disagreement > CLEAR_DISAGREEMENT:
        yield "members disagree"


def _write_overlay(path: Path, image: Image, mask: np.ndarray) -> None:
    """Write the image beside the image with the mask in blue, enlarged so that a rim of one pixel can be seen."""
    plain = overlay(image.hu, np.zeros_like(mask))
    picture = np.concatenate([plain, overlay(image.hu, mask)], axis=1)
    enlarge = max(1, 384 // mask.shape[0])
    pixels = (picture * 255).astype(np.uint8).repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    with atomic_path(path) as temporary:
        PIL.Image.fromarray(pixels).save(temporary)


def _refuse_overwrite(out: Path) -> None:
    for name in _RESULTS:
        if (out / name).exists():
            raise InputError(f"{out / name} exists; choose another folder, or replace it with 'force'")
