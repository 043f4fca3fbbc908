"""Masks, overlays and a table for images without a reference."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from kcseg.errors import InputError
from kcseg.files import atomic_path, write_csv
from kcseg.image.doubts import image_doubts
from kcseg.image.formats import read_image, write_mask
from kcseg.image.image import Image, resample, sample
from kcseg.image.listing import scan_images
from kcseg.image.nifti import write_nifti
from kcseg.page.figures import KIDNEY, PREDICTION, grey, marked, outlined
from kcseg.page.page import write_page
from kcseg.prediction.expectation import LOW_DICE, Expectation, features_of
from kcseg.prediction.kidneys import doubts_of, find_kidneys
from kcseg.progress import Tell, counted, silent
from kcseg.results import begin, refuse_taken
from kcseg.serving.contract import IMAGES_TOGETHER
from kcseg.serving.runner import Ensemble, Segmentation

# Our choice, from the simulated challenge: below these a person should look before the mask is used.
LITTLE_CORTEX_MM2 = 1000.0
CLEAR_DISAGREEMENT = 0.2
_OUTLINE_PX = 2


@dataclass(frozen=True)
class Prediction:
    """One row of the table: a kidney, how much cortex it has, and how sure the members are of it.

    All is measured on the masks that are written. `side` is the patient's; `contrast_hu` the HU of the cortex minus
    those of the medulla; `probability` the mean of the members' median inside the cortex, `disagreement` that of their
    standard deviation; `expected_dice` the Dice that masks like this one have on average, with the ends of the interval
    that holds four in five. What cannot be told is None. `note` says why a person should look, and is empty otherwise.
    A model that finds the cortex alone gives one row an image, without side, kidney, contrast and expected Dice.
    """

    id: str
    side: str = ""
    cortex_mm2: float | None = None
    kidney_mm2: float | None = None
    contrast_hu: float | None = None
    probability: float | None = None
    disagreement: float | None = None
    expected_dice: float | None = None
    expected_dice_low: float | None = None
    expected_dice_high: float | None = None
    note: str = ""


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
    """Segment image files and write `masks/<id>.png`, `overlays/<id>.png`, `table.csv` and `index.html` to `out`.

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
    ensemble: Ensemble, images: Mapping[str, Path], out: Path, *, hu_offset: int | None, any_contrast: bool
) -> Iterator[list[Prediction]]:
    """Segment a few images together; write masks and overlay of each to `out`, and yield its rows, in order.

    Raises:
        InputError: a file that cannot be read or written.
    """
    files = [read_image(path, hu_offset=hu_offset) for path in images.values()]
    expectation = Expectation.stated(ensemble.card)
    segmentations = ensemble.segment_each((resample(image).hu for image in files), raw=ensemble.finds_kidneys)
    for id, image, at_1_mm in zip(images, files, segmentations, strict=True):
        found = on_grid(at_1_mm, image.hu.shape)
        if found.kidney_probability is None:
            rows, masks = [_describe(id, found, image)], {"masks": found.mask}
        else:
            rows, masks = _describe_kidneys(id, found, image, expectation, any_contrast=any_contrast)
        for kind, mask in masks.items():
            write_mask(out / kind / f"{id}.png", mask)
            if image.grid.affine is not None:
                write_nifti(out / kind / f"{id}.nii.gz", mask, image.grid)
        _write_overlay(out / "overlays" / f"{id}.png", image, **masks)
        yield rows


def write_table(out: Path, rows: Sequence[Prediction]) -> None:
    """Write `table.csv` and the page `index.html` to `out`, a row a kidney."""
    table = [asdict(row) for row in rows]
    write_csv(out / "table.csv", table)
    images: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(table, key=_calm):
        images.setdefault(row["id"], []).append(row)
    kidneys = any(row.kidney_mm2 is not None for row in rows)
    write_page(out / "index.html", "predictions.html", images=images, kidneys=kidneys)


def _calm(row: Mapping[str, Any]) -> int:
    """Return 0 for a row that a person should look at first, 2 for one that needs none."""
    dice = row["expected_dice"]
    return 0 if dice is not None and dice < LOW_DICE else 2 - bool(row["note"])


def on_grid(found: Segmentation, shape: tuple[int, ...]) -> Segmentation:
    """Return a segmentation on another grid of the same field of view.

    The probability is resampled and then cut once, at the threshold by which the model cut its own mask.
    """
    if found.mask.shape == shape:
        return found
    probability = sample(found.probability, shape)
    mask = probability > _threshold(found)
    kidney = found.kidney_probability
    return Segmentation(
        mask,
        probability,
        sample(found.disagreement, shape),
        None if kidney is None else sample(kidney, shape),
    )


def _threshold(found: Segmentation) -> float:
    """Return the threshold between a mask and what is outside it; 0.5 wherever that separates them."""
    outside = float(found.probability.max(where=~found.mask, initial=0))
    inside = float(found.probability.min(where=found.mask, initial=1))
    return 0.5 if outside <= 0.5 < inside else (outside + inside) / 2


def _describe_kidneys(
    id: str, found: Segmentation, image: Image, expectation: Expectation | None, *, any_contrast: bool
) -> tuple[list[Prediction], dict[str, np.ndarray]]:
    """Return a row for each kidney, and the masks to write."""
    spacing_mm = image.spacing_mm or (1.0, 1.0)
    cortex, kidneys = np.zeros_like(found.mask), np.zeros_like(found.mask)
    rows = []
    for kidney in find_kidneys(image.hu, found, spacing_mm):
        kidneys |= kidney.kidney
        is_given = any_contrast or not kidney.looks_alike
        shown = kidney.cortex & is_given
        cortex |= shown
        doubts = [*doubts_of(kidney)]
        expected, low, high = None, None, None
        if expectation and is_given:
            dice = expectation(features_of(kidney, found, spacing_mm))
            expected, low, high = (round(value, 2) for value in dice)
            doubts += [f"expected Dice below {LOW_DICE}"] if expected < LOW_DICE else []
        row = _describe(id, replace(found, mask=shown), image, doubts)
        contrast = kidney.contrast_hu
        rows.append(
            replace(
                row,
                side=kidney.side,
                cortex_mm2=row.cortex_mm2 if is_given else None,
                kidney_mm2=_area(kidney.kidney, image),
                contrast_hu=None if contrast is None else round(contrast, 1),
                expected_dice=expected,
                expected_dice_low=low,
                expected_dice_high=high,
            )
        )
    if not rows:
        rows.append(Prediction(id, note="; ".join(("no kidney found", *image_doubts(image)))))
    return rows, {"masks": cortex, "kidneys": kidneys}


def _describe(id: str, found: Segmentation, image: Image, doubts: Iterable[str] | None = None) -> Prediction:
    area = _area(found.mask, image)
    probability, disagreement = (
        round(float(values[found.mask].mean()), 3) if area else None
        for values in (found.probability, found.disagreement)
    )
    doubts = _doubts(area, disagreement or 0.0) if doubts is None else doubts
    return Prediction(
        id=id,
        cortex_mm2=area,
        probability=probability,
        disagreement=disagreement,
        note="; ".join((*doubts, *image_doubts(image))),
    )


def _area(mask: np.ndarray, image: Image) -> float:
    height_mm, width_mm = image.spacing_mm or (1.0, 1.0)
    return round(np.count_nonzero(mask) * height_mm * width_mm, 1)


def _doubts(area_mm2: float, disagreement: float) -> Iterator[str]:
    if area_mm2 == 0:
        yield "no cortex found"
    elif area_mm2 < LITTLE_CORTEX_MM2:
        yield "little cortex found"
    if disagreement > CLEAR_DISAGREEMENT:
        yield "members disagree"


def _names(id: str) -> list[str]:
    """Return the files of an image: its masks as pictures and as volumes, and its overlay."""
    masks = [f"{kind}/{id}.{suffix}" for kind in ("masks", "kidneys") for suffix in ("png", "nii.gz")]
    return [*masks, f"overlays/{id}.png"]


def _write_overlay(path: Path, image: Image, masks: np.ndarray, kidneys: np.ndarray | None = None) -> None:
    """Write the image beside the same with the outlines of the cortex, blue, and of the kidney, yellow.

    Enlarged, so that the outlines are thin beside the cortex. The blue one lies over the yellow one.
    """
    enlarge = max(1, 576 // masks.shape[0])

    def enlarged(pixels: np.ndarray) -> np.ndarray:
        return pixels.repeat(enlarge, axis=0).repeat(enlarge, axis=1)

    shown = plain = enlarged(grey(image.hu))
    if kidneys is not None:
        shown = outlined(shown, enlarged(kidneys), KIDNEY, _OUTLINE_PX)
    shown = outlined(shown, enlarged(masks), PREDICTION, _OUTLINE_PX)
    _, width_mm = image.spacing_mm or (1.0, 1.0)
    pair = [marked(picture, round(50 / width_mm * enlarge)) for picture in (plain, shown)]
    with atomic_path(path) as temporary:
        PIL.Image.fromarray(np.concatenate(pair, axis=1)).save(temporary)
