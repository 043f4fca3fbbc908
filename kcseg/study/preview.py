"""The page that shows the simulation beside real crops: a person should need a second look to tell them apart."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kcseg.page.figures import DISPLAY_HU
from kcseg.page.page import write_page
from kcseg.phantom.likeness import hu_shares, noise_range, noise_spectrum

_COLUMNS = 6
_SIMULATED, _REAL = "simulated", "real"


def write_preview(
    path: Path, simulated_hu: Sequence[np.ndarray], real_hu: Sequence[np.ndarray] = (), seed: int = 2018
) -> None:
    """Write one HTML page: images in random order with the key below them, and their statistics side by side.

    Args:
        path: of the page.
        simulated_hu, real_hu: images in HU (height, width) at 1 mm; there need not be real ones.
        seed: of the order.
    """
    kinds = {_SIMULATED: list(simulated_hu), _REAL: list(real_hu)}
    kinds = {kind: images for kind, images in kinds.items() if images}
    labelled = [(kind, image) for kind, images in kinds.items() for image in images]
    order = np.random.default_rng(seed).permutation(len(labelled))
    shuffled = [labelled[index] for index in order]
    ranges = {kind: noise_range(images) for kind, images in kinds.items()}
    write_page(
        path,
        "preview.html",
        counts={kind: len(images) for kind, images in kinds.items()},
        gallery=_embedded(_gallery([image for _, image in shuffled])),
        key=[number for number, (kind, _) in enumerate(shuffled, start=1) if kind == _REAL],
        noise=[
            {"name": name, **{kind: values[name] for kind, values in ranges.items()}}
            for name in ranges[_SIMULATED]
        ],
        statistics=_embedded(_statistics(kinds)),
    )


def _gallery(images_hu: Sequence[np.ndarray]) -> Figure:
    rows = -(-len(images_hu) // _COLUMNS)
    figure = Figure(figsize=(2.3 * _COLUMNS, 2.4 * rows), layout="constrained")
    for number, image in enumerate(images_hu, start=1):
        axes = figure.add_subplot(rows, _COLUMNS, number)
        axes.imshow(image, cmap="gray", vmin=DISPLAY_HU[0], vmax=DISPLAY_HU[1], interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(str(number), fontsize="small")
    return figure


def _statistics(kinds: dict[str, list[np.ndarray]]) -> Figure:
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    edges = np.arange(-200.0, 301.0, 12.5)
    centre, around, spectrum = (
        figure.add_subplot(1, 3, place, title=title, xlabel=unit)
        for place, (title, unit) in enumerate(
            (
                ("within 30 mm of the centre: kidney", "HU"),
                ("beyond 60 mm: surroundings", "HU"),
                ("noise power", "cycles per pixel"),
            ),
            start=1,
        )
    )
    for kind, images in kinds.items():
        for axes, shares in zip((centre, around), hu_shares(images, edges), strict=True):
            axes.stairs(100 * shares, edges, label=kind)
        spectrum.plot(*noise_spectrum(images), label=kind)
    for axes in (centre, around):
        axes.set_ylabel("% of pixels")
        axes.legend()
    spectrum.set_ylabel("share")
    spectrum.legend()
    return figure


def _embedded(figure: Figure) -> str:
    """Return a figure as base64 of its PNG."""
    png = io.BytesIO()
    FigureCanvasAgg(figure).print_png(png)
    return base64.b64encode(png.getvalue()).decode()
