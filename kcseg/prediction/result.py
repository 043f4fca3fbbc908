"""From an image to its result: its kidneys, their masks and what is measured of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import binary_dilation

from kcseg.image.doubts import image_doubts
from kcseg.image.formats import write_mask
from kcseg.image.image import Image, resample, sample
from kcseg.page.figures import (
    DISAGREEMENT,
    DISPLAY_HU,
    KIDNEY,
    PREDICTION,
    gallery_figure,
    grey,
    in_bytes,
    marked,
    outlined,
    png_of,
    tint,
)
from kcseg.prediction.expectation import LOW_DICE, Expectation, features_of
from kcseg.prediction.kidneys import doubts_of, find_kidneys
from kcseg.scan.measure import CLEAR_DISAGREEMENT
from kcseg.serving.runner import Ensemble, Segmentation

# Our choice, from the simulated challenge: below it a person should look before the mask is used.
LITTLE_CORTEX_MM2 = 1000.0
_PANEL_PX, _OUTLINE_PX, _NEAR_PX = 576, 2, 10
_FULL_DISAGREEMENT = 0.5  # half of the members for it, half against


@dataclass(frozen=True)
class Prediction:
    """One row of the table: a kidney, how much cortex it has, and how sure the members are of it.

    All is measured on the masks that are written. `side` is the patient's; `contrast_hu` the HU of the cortex minus
    those of the medulla; `probability` the mean of the members' median inside the cortex, `disagreement` that of their
    standard deviation; `expected_dice` the Dice that masks like this one have on average, with the ends of the interval
    that holds four in five. What cannot be told is None. `note` says why a person should look, and is empty otherwise.
    A model that finds the cortex alone gives one row an image, without side, kidney, contrast and expected Dice.
    """

    id: str = ""
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


@dataclass(frozen=True, eq=False)
class ImageResult:
    """What was found in an image, on its own grid.

    `cortex` and `kidneys` bool (height, width), True inside; `kidneys` None where the members do not find them;
    `disagreement` float32 (height, width), the standard deviation of the members; `rows` one for each kidney. Cortex
    that is not given, since it and the medulla look alike, is not in the mask either.
    """

    image: Image
    cortex: np.ndarray
    kidneys: np.ndarray | None
    disagreement: np.ndarray
    rows: tuple[Prediction, ...]

    def save(self, path: Path | str) -> None:
        """Write the mask of the cortex: `.nii` and `.nii.gz` 0 and 1 on the grid of the image's file, else as `.png`
        0 and 255 or `.npy` with the pixels of the image.

        Raises:
            InputError: another suffix, or the file cannot be written.
        """
        write_mask(Path(path), self.cortex, self.image.grid)

    def picture(self) -> np.ndarray:
        """Return uint8 (height, width, 3): the image, the same with its outlines, and the members' disagreement.

        Enlarged, so that the outlines are thin beside the cortex; that of the cortex, blue, lies over that of the
        kidney, yellow. Disagreement at the kidneys is orange; it is left out where members say nothing of it.
        """
        enlarge = max(1, _PANEL_PX // self.cortex.shape[0])

        def enlarged(pixels: np.ndarray) -> np.ndarray:
            return pixels.repeat(enlarge, axis=0).repeat(enlarge, axis=1)

        small = grey(self.image.hu)
        plain = shown = enlarged(in_bytes(small))
        legend = "blue: cortex"
        if self.kidneys is not None:
            shown = outlined(shown, enlarged(self.kidneys), KIDNEY, _OUTLINE_PX)
            legend += ", yellow: kidney"
        shown = outlined(shown, enlarged(self.cortex), PREDICTION, _OUTLINE_PX)
        panels = {f"{DISPLAY_HU[0]:.0f} to {DISPLAY_HU[1]:.0f} HU": plain, legend: shown}
        if self.disagreement.any():
            unsure = self.disagreement / _FULL_DISAGREEMENT * self._near()
            panels["orange: members disagree"] = enlarged(in_bytes(tint(small, unsure, DISAGREEMENT)))
        _, width_mm = self.image.grid.pixel_mm
        bar_px = round(50 / width_mm * enlarge)
        return np.concatenate([marked(panel, bar_px, caption) for caption, panel in panels.items()], axis=1)

    def _near(self) -> np.ndarray:
        """Return where it matters that members disagree: at the kidneys, or anywhere if none is told of."""
        if self.kidneys is None or not self.kidneys.any():
            return np.ones_like(self.cortex)
        return binary_dilation(self.kidneys, iterations=_NEAR_PX)

    def figure(self) -> Figure:
        """Draw the picture, with what is measured of each kidney above it."""
        lines = (", ".join(filter(None, (row.side, _measured(row), row.note))) for row in self.rows)
        return gallery_figure([self.picture() / 255], ["\n".join(lines)], columns=1)

    def _repr_png_(self) -> bytes:
        """Return the picture as a notebook shows it."""
        return png_of(self.picture())


def segment_image(
    image: Image, ensemble: Ensemble | None = None, *, any_contrast: bool = False
) -> ImageResult:
    """Find the kidneys of a coronal image, segment their cortex, and measure it.

    Args:
        image: as `read_image` returns it; a crop around a kidney or a slice of the whole body.
        ensemble: the members; by default the weights that come with kcseg.
        any_contrast: give the cortex even where it and the medulla look alike.

    Raises:
        InputError: as `Ensemble.segment`.
    """
    ensemble = ensemble or Ensemble.load()
    (result,) = segment_images([image], ensemble, any_contrast=any_contrast)
    return result


def segment_images(
    images: Iterable[Image], ensemble: Ensemble, *, any_contrast: bool = False
) -> Iterator[ImageResult]:
    """Do as `segment_image` for each of several, which go through the networks together."""
    images = list(images)
    expectation = Expectation.stated(ensemble.card)
    at_1_mm = ensemble.segment_each((resample(image).hu for image in images), raw=ensemble.finds_kidneys)
    for image, segmentation in zip(images, at_1_mm, strict=True):
        found = on_grid(segmentation, image.hu.shape)
        if found.kidney_probability is None:
            yield ImageResult(image, found.mask, None, found.disagreement, (_describe(found, image),))
        else:
            yield _with_kidneys(found, image, expectation, any_contrast=any_contrast)


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


def _with_kidneys(
    found: Segmentation, image: Image, expectation: Expectation | None, *, any_contrast: bool
) -> ImageResult:
    spacing_mm = image.grid.pixel_mm
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
        row = _describe(replace(found, mask=shown), image, doubts)
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
        rows.append(Prediction(note="; ".join(("no kidney found", *image_doubts(image)))))
    return ImageResult(image, cortex, kidneys, found.disagreement, tuple(rows))


def _describe(found: Segmentation, image: Image, doubts: Iterable[str] | None = None) -> Prediction:
    area = _area(found.mask, image)
    probability, disagreement = (
        round(float(values[found.mask].mean()), 3) if area else None
        for values in (found.probability, found.disagreement)
    )
    doubts = _doubts(area, disagreement or 0.0) if doubts is None else doubts
    return Prediction(
        cortex_mm2=area,
        probability=probability,
        disagreement=disagreement,
        note="; ".join((*doubts, *image_doubts(image))),
    )


def _area(mask: np.ndarray, image: Image) -> float:
    height_mm, width_mm = image.grid.pixel_mm
    return round(float(np.count_nonzero(mask)) * height_mm * width_mm, 1)


def _doubts(area_mm2: float, disagreement: float) -> Iterator[str]:
    if area_mm2 == 0:
        yield "no cortex found"
    elif area_mm2 < LITTLE_CORTEX_MM2:
        yield "little cortex found"
    if disagreement > CLEAR_DISAGREEMENT:
        yield "members disagree"


def _measured(row: Prediction) -> str:
    """Return the cortex of a row in words."""
    return "" if row.cortex_mm2 is None else f"cortex {row.cortex_mm2:.0f} mm²"
