"""The paper's figures, each drawn by one function on our data."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kcseg.data.window import window
from kcseg.files import atomic_path

DISPLAY_HU = (-150.0, 250.0)
PREDICTION, REFERENCE, BOTH = (0.12, 0.35, 1.0), (1.0, 0.15, 0.15), (1.0, 0.45, 0.85)


def overlay(
    image_hu: np.ndarray, mask: np.ndarray, colour: tuple[float, float, float] = PREDICTION
) -> np.ndarray:
    """Lay a mask over an image; both (height, width), result float64 (height, width, 3) in [0, 1]."""
    return tint(_grey(image_hu), mask, colour)


def comparison(image_hu: np.ndarray, mask: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Lay prediction (blue), reference (red) and both (pink) over an image, as the paper's figure 6 does."""
    picture = tint(_grey(image_hu), mask & ~reference, PREDICTION)
    picture = tint(picture, reference & ~mask, REFERENCE)
    return tint(picture, reference & mask, BOTH)


def tint(picture: np.ndarray, mask: np.ndarray, colour: tuple[float, float, float]) -> np.ndarray:
    """Colour the masked pixels half through, so that the picture still shows.

    `picture` float (height, width, 3) in [0, 1], `mask` bool (height, width).
    """
    return np.where(mask[..., np.newaxis], 0.5 * picture + 0.5 * np.array(colour), picture)


def segmentation_figure(
    images_hu: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    references: Sequence[np.ndarray],
    titles: Sequence[str],
) -> Figure:
    """Draw the paper's figure 5: image, ensemble in blue, and ensemble against reference, a column per image."""
    figure = _figure(len(images_hu), 3)
    for column, (image, mask, reference, title) in enumerate(
        zip(images_hu, masks, references, titles, strict=True)
    ):
        rows = (_grey(image), overlay(image, mask), comparison(image, mask, reference))
        for row, picture in enumerate(rows):
            _show(figure, 3, len(images_hu), row * len(images_hu) + column, picture, "" if row else title)
    figure.supxlabel(
        "middle: ensemble (blue) · bottom: ensemble only (blue), reference only (red), both (pink)"
    )
    return figure


def disagreement_figure(
    images_hu: Sequence[np.ndarray], fold_masks: Sequence[np.ndarray], titles: Sequence[str]
) -> Figure:
    """Draw the paper's figure 4: three fold members in red, green and blue, white where they agree.

    `fold_masks` holds, per image, the masks or soft masks of three members, (3, height, width).
    """
    figure = _figure(len(images_hu), 2)
    for column, (image, folds, title) in enumerate(zip(images_hu, fold_masks, titles, strict=True)):
        _show(figure, 2, len(images_hu), column, _grey(image), title)
        _show(figure, 2, len(images_hu), len(images_hu) + column, np.moveaxis(folds.astype(float), 0, -1), "")
    figure.supxlabel("members 1, 2, 3 in red, green, blue; white: all three")
    return figure


def training_figure(histories: dict[str, list[dict[str, float]]]) -> Figure:
    """Draw the axes of the paper's figure 3: validation Dice and training loss over steps, a line per member.

    A row of a history holds `step`, `loss`, `dice` and, for fold members, `val_dice`.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    for place, (column, title) in enumerate(
        (("val_dice", "Dice on held-out images"), ("loss", "training loss"))
    ):
        axes = figure.add_subplot(1, 2, place + 1, title=title, xlabel="training step")
        for name, rows in histories.items():
            if rows and column in rows[0]:
                axes.plot([row["step"] for row in rows], [row[column] for row in rows], label=name)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small")
    return figure


def save_figure(path: Path, figure: Figure) -> None:
    """Write a figure as PNG, atomically."""
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))


def _grey(image_hu: np.ndarray) -> np.ndarray:
    return np.repeat(window(image_hu, DISPLAY_HU)[..., np.newaxis], 3, axis=-1).astype(float)


def _figure(columns: int, rows: int) -> Figure:
    return Figure(figsize=(2.6 * columns, 2.75 * rows + 0.3), layout="constrained")


def _show(figure: Figure, rows: int, columns: int, place: int, picture: np.ndarray, title: str) -> None:
    axes = figure.add_subplot(rows, columns, place + 1)
    axes.imshow(picture, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title, fontsize="small")
