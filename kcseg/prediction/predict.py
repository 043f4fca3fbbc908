"""Masks, overlays and a table for images without a reference."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import PIL.Image

from kcseg.files import atomic_path, write_csv
from kcseg.image.doubts import image_doubts
from kcseg.image.formats import read_image, write_mask
from kcseg.image.image import Image, resample, sample
from kcseg.image.nifti import write_nifti
from kcseg.page.figures import overlay
from kcseg.page.page import write_page
from kcseg.progress import Tell, counted, silent
from kcseg.results import begin, refuse_taken
from kcseg.serving.contract import IMAGES_TOGETHER
from kcseg.serving.runner import Ensemble, Segmentation

# Our choice, from the simulated challenge: below these a person should look before the mask is used.
LITTLE_CORTEX_MM2 = 1000.0
CLEAR_DISAGREEMENT = 0.2


@dataclass(frozen=True)
class Prediction:
    """One row of the table: how much cortex, and how sure the members are of it.

    All is measured on the mask that is written. `probability` is the mean of the members' median inside it,
    `disagreement` that of their standard deviation; both are 0 where no cortex was found. `note` says why a person
    should look, and is empty otherwise.
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
    255 with the pixels of their file, row 0 = head, column 0 = patient's right; areas are in mm². Of NIfTI and DICOM
    there is `masks/<id>.nii.gz`, too, 0 and 1 in the file's own order, which lies on the image in any viewer. Of what
    `out` holds, only earlier results of kcseg are replaced.

    Raises:
        InputError: a file that cannot be used, earlier results in `out` without `force`, or foreign files in the way.
    """
    make_room(images, out, hu_offset=hu_offset, force=force)
    rows, one_more = [], counted(tell, "segmenting", len(images))
    for part in parts(images):
        for row in predict_part(ensemble, part, out, hu_offset=hu_offset):
            rows.append(row)
            one_more()
    write_table(out, rows)
    return rows


def make_room(images: Mapping[str, Path], out: Path, *, hu_offset: int | None, force: bool) -> None:
    """Read every file once, then remove earlier results from `out`; a bad file leaves them as they are.

    Raises:
        InputError: as `predict_files`.
    """
    names = ["index.html", "table.csv", *(name for id in images for name in _names(id))]
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
    ensemble: Ensemble, images: Mapping[str, Path], out: Path, *, hu_offset: int | None
) -> Iterator[Prediction]:
    """Segment a few images together; write mask and overlay of each to `out`, and yield its row, in order.

    Raises:
        InputError: a file that cannot be read or written.
    """
    files = [read_image(path, hu_offset=hu_offset) for path in images.values()]
    segmentations = ensemble.segment_each(resample(image).hu for image in files)
    for id, image, at_1_mm in zip(images, files, segmentations, strict=True):
        found = on_grid(at_1_mm, image.hu.shape)
        picture, volume, pair = (out / name for name in _names(id))
        write_mask(picture, found.mask)
        if image.grid.affine is not None:
            write_nifti(volume, found.mask, image.grid)
        _write_overlay(pair, image, found.mask)
        yield _describe(id, found, image)


def write_table(out: Path, rows: Sequence[Prediction]) -> None:
    """Write `table.csv` and the page `index.html` to `out`, a row an image."""
    table = [asdict(row) for row in rows]
    write_csv(out / "table.csv", table)
    first = sorted(table, key=lambda row: row["note"] == "")
    write_page(out / "index.html", "predictions.html", rows=first)


def on_grid(found: Segmentation, shape: tuple[int, ...]) -> Segmentation:
    """Return a segmentation on another grid of the same field of view.

    The probability is resampled and then cut once, at the threshold by which the model cut its own mask.
    """
    if found.mask.shape == shape:
        return found
    probability = sample(found.probability, shape)
    mask = probability > _threshold(found)
    return Segmentation(mask, probability, sample(found.disagreement, shape))


def _threshold(found: Segmentation) -> float:
    """Return the threshold between a mask and what is outside it; 0.5 wherever that separates them."""
    outside = float(found.probability.max(where=~found.mask, initial=0))
    inside = float(found.probability.min(where=found.mask, initial=1))
    return 0.5 if outside <= 0.5 < inside else (outside + inside) / 2


def _describe(id: str, found: Segmentation, image: Image) -> Prediction:
    height_mm, width_mm = image.spacing_mm or (1.0, 1.0)
    area = np.count_nonzero(found.mask) * height_mm * width_mm
    disagreement = float(found.disagreement[found.mask].mean()) if area else 0.0
    return Prediction(
        id=id,
        cortex_mm2=round(area, 1),
        probability=round(float(found.probability[found.mask].mean()), 3) if area else 0.0,
        disagreement=round(disagreement, 3),
        note="; ".join((*_doubts(area, disagreement), *image_doubts(image))),
    )


def _doubts(area_mm2: float, disagreement: float) -> Iterator[str]:
    if area_mm2 == 0:
        yield "no cortex found"
    elif area_mm2 < LITTLE_CORTEX_MM2:
        yield "little cortex found"
    if disagreement > CLEAR_DISAGREEMENT:
        yield "members disagree"


def _names(id: str) -> tuple[str, str, str]:
    """Return the files of an image: its mask as a picture and as a volume, and its overlay."""
    return f"masks/{id}.png", f"masks/{id}.nii.gz", f"overlays/{id}.png"


def _write_overlay(path: Path, image: Image, mask: np.ndarray) -> None:
    """Write the image beside the image with the mask in blue, enlarged so that a rim of one pixel can be seen."""
    plain = overlay(image.hu, np.zeros_like(mask))
    picture = np.concatenate([plain, overlay(image.hu, mask)], axis=1)
    enlarge = max(1, 384 // mask.shape[0])
    pixels = (picture * 255).astype(np.uint8).repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    with atomic_path(path) as temporary:
        PIL.Image.fromarray(pixels).save(temporary)
