"""The paper's figures, each drawn by one function on our data."""

import io
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from matplotlib.figure import Figure
from scipy.ndimage import binary_erosion

from kcseg.files import write
from kcseg.image.window import window

_DPI = 140
_font = lru_cache(PIL.ImageFont.load_default)  # drawing would load it for each text
DISPLAY_HU = (-150.0, 250.0)
PREDICTION, REFERENCE, BOTH = (0.2, 0.55, 1.0), (1.0, 0.15, 0.15), (1.0, 0.45, 0.85)
KIDNEY, DISAGREEMENT = (1.0, 0.85, 0.1), (1.0, 0.5, 0.0)


def overlay(image_hu: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Lay a mask in blue over an image; both (height, width), result float64 (height, width, 3) in [0, 1]."""
    return tint(grey(image_hu), mask, PREDICTION)


def outlined(
    picture: np.ndarray, mask: np.ndarray, colour: tuple[float, float, float], width_px: int = 1
) -> np.ndarray:
    """Draw the outline of a mask (height, width) into a copy of a picture, uint8 (height, width, 3)."""
    drawn = picture.copy()
    drawn[mask & ~binary_erosion(mask, iterations=width_px)] = in_bytes(np.array(colour))
    return drawn


def marked(picture: np.ndarray, bar_px: int, caption: str) -> np.ndarray:
    """Write the patient's right and left, a bar of this length and a caption into a copy of a picture.

    Both are uint8 (height, width, 3).
    """
    image = PIL.Image.fromarray(picture)
    draw, bottom = PIL.ImageDraw.Draw(image), image.height - 8
    for text, column in (("R", 6), ("L", image.width - 16)):
        draw.text((column, image.height // 2 - 8), text, fill="white", font=_font(16))
    draw.text((8, 6), caption, fill="white", font=_font(14), stroke_width=1, stroke_fill="black")
    draw.line([(8, bottom), (8 + bar_px, bottom)], fill="white", width=2)
    return np.asarray(image)


def in_bytes(picture: np.ndarray) -> np.ndarray:
    """Return colours in [0, 1] as uint8."""
    return (picture * 255).astype(np.uint8)


def png_of(picture: np.ndarray) -> bytes:
    """Return a picture, uint8 (height, width, 3), as a PNG file holds it."""
    # the usual level takes half as long again, for a tenth of the size
    PIL.Image.fromarray(picture).save(file := io.BytesIO(), "PNG", compress_level=3)
    return file.getvalue()


def against_reference(image_hu: np.ndarray, mask: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Lay prediction (blue), reference (red) and both (pink) over an image, as the paper's figure 6 does."""
    picture = tint(grey(image_hu), mask & ~reference, PREDICTION)
    picture = tint(picture, reference & ~mask, REFERENCE)
    return tint(picture, reference & mask, BOTH)


def tint(picture: np.ndarray, mask: np.ndarray, colour: tuple[float, float, float]) -> np.ndarray:
    """Mix the masked pixels half and half with a colour, so that the picture still shows; less where a mask is soft.

    `picture` float (height, width, 3) in [0, 1], `mask` bool, or float in [0, 1], (height, width).
    """
    share = 0.5 * np.clip(mask, 0, 1)[..., np.newaxis]
    return (1 - share) * picture + share * np.array(colour)


def overlay_figure(
    images_hu: Sequence[np.ndarray], masks: Sequence[np.ndarray], titles: Sequence[str]
) -> Figure:
    """Draw the paper's figures 1 and 5: the image, and below it the same with the mask in blue, a column per image.

    Images and masks are (height, width); each pair is cut to a square around its mask.
    """
    pictures = []
    for image, mask in zip(images_hu, masks, strict=True):
        near = around(mask)
        pictures.append(_joined((grey(image)[near], overlay(image, mask)[near]), axis=0))
    return gallery_figure(pictures, titles, columns=len(pictures))


def reference_figure(
    images_hu: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    references: Sequence[np.ndarray],
    titles: Sequence[str],
) -> Figure:
    """Draw the paper's figure 6: beside each image prediction (blue), reference (red) and both (pink).

    Images, masks and references are (height, width); each pair is cut to a square around both outlines.
    """
    pictures = []
    for image, mask, reference in zip(images_hu, masks, references, strict=True):
        near = around(mask | reference)
        pair = grey(image)[near], against_reference(image, mask, reference)[near]
        pictures.append(_joined(pair, axis=1))
    return gallery_figure(pictures, titles, columns=2)


def segmentation_figure(
    images_hu: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    references: Sequence[np.ndarray],
    titles: Sequence[str],
) -> Figure:
    """Draw image, ensemble in blue, and ensemble against reference, a column per image."""
    pictures = [
        _joined((grey(image), overlay(image, mask), against_reference(image, mask, reference)), axis=0)
        for image, mask, reference in zip(images_hu, masks, references, strict=True)
    ]
    note = "middle: ensemble (blue) · bottom: ensemble only (blue), reference only (red), both (pink)"
    return gallery_figure(pictures, titles, columns=len(pictures), note=note)


def disagreement_figure(
    images_hu: Sequence[np.ndarray], fold_masks: Sequence[np.ndarray], titles: Sequence[str]
) -> Figure:
    """Draw the paper's figure 4: three fold members in red, green and blue, white where they agree.

    `fold_masks` holds, per image, the soft masks of three members, float (3, height, width) in [0, 1].
    """
    pictures = []
    for image, folds in zip(images_hu, fold_masks, strict=True):
        near = around(folds.max(axis=0) > 0.05)
        pair = grey(image)[near], np.moveaxis(folds.astype(float), 0, -1)[near]
        pictures.append(_joined(pair, axis=0))
    note = "members 1, 2, 3 in red, green, blue; white: all three"
    return gallery_figure(pictures, titles, columns=len(pictures), note=note)


def gallery_figure(
    pictures: Sequence[np.ndarray], titles: Sequence[str], *, columns: int = 6, note: str = ""
) -> Figure:
    """Draw pictures, (height, width, 3) in [0, 1], line by line, with a title above each and a note below all."""
    height, width = np.array(pictures[0].shape[:2]) / min(pictures[0].shape[:2])
    rows = -(-len(pictures) // columns)
    size = 2.6 * width * columns, (2.6 * height + 0.3) * rows
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    for place, (picture, title) in enumerate(zip(pictures, titles, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, place)
        axes.imshow(picture, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(title, fontsize="small")
    figure.supxlabel(note, fontsize="small")
    return figure


def _joined(pictures: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Join pictures one below the other (axis 0) or side by side (axis 1), with a white gap after each."""
    gap = [(0, 0)] * 3
    gap[axis] = (0, 3)
    return np.concatenate([np.pad(picture, gap, constant_values=1.0) for picture in pictures], axis)


def scores_figure(scores: Sequence[float], faulty: np.ndarray | None) -> Figure:
    """Draw a histogram of an audit's scores; where it is known which references are faulty, bool, these in red."""
    figure = Figure(figsize=(7.5, 3.2), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot(xlabel="score: 1 − Dice + surprise", ylabel="references")
    edges = np.histogram_bin_edges(scores, bins=30).tolist()
    if faulty is None:
        axes.hist(scores, edges, color="0.7")
    else:
        parts = [np.array(scores)[kind] for kind in (~faulty, faulty)]
        labels = ["no planted fault", "planted faults"]
        axes.hist(parts, edges, stacked=True, color=["0.7", REFERENCE], label=labels)
        axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def training_figure(histories: dict[str, list[dict[str, float]]]) -> Figure:
    """Draw the axes of the paper's figure 3: validation Dice and training loss over steps, a line per member.

    A row of a history holds `step`, `loss`, `dice` and, for fold members, `val_dice`.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    titles = {"val_dice": "Dice on held-out images", "loss": "training loss"}
    for axes, (column, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        for name, rows in histories.items():
            if rows and column in rows[0]:
                axes.plot([row["step"] for row in rows], [row[column] for row in rows], label=name)
        axes.set(title=title, xlabel="training step")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small")
    return figure


def around(mask: np.ndarray, margin_px: int = 14) -> tuple[slice, slice]:
    """Return the rows and columns of a square around a mask, bool (height, width), cut at the edges of the image.

    The whole image where the mask is empty.
    """
    if not mask.any():
        return slice(None), slice(None)
    ends = [np.flatnonzero(mask.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    side = int(max(last - first for first, last in ends)) + 1 + 2 * margin_px
    spans = []
    for (first, last), length in zip(ends, mask.shape, strict=True):
        start = min(max(0, (first + last) // 2 - side // 2), max(0, length - side))
        spans.append(slice(start, min(start + side, length)))
    return spans[0], spans[1]


def save_figures(folder: Path, drawn: Mapping[str, tuple[Figure, str]]) -> list[tuple[Path, str]]:
    """Write figures, each with its caption, as `<name>.png`, atomically; return each file with the caption."""
    for name, (figure, _) in drawn.items():
        write(folder / f"{name}.png", figure.savefig)
    return [(folder / f"{name}.png", caption) for name, (_, caption) in drawn.items()]


def grey(image_hu: np.ndarray) -> np.ndarray:
    """Return an image in HU (height, width) as a grey picture, float64 (height, width, 3) in [0, 1]."""
    return np.repeat(window(image_hu, DISPLAY_HU)[..., np.newaxis], 3, axis=-1).astype(float)
