"""The page that shows the simulation beside real crops: a person should need a second look to tell them apart."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from kcseg.page.figures import gallery_figure, grey
from kcseg.page.page import Section, write_sections
from kcseg.phantom.likeness import hu_shares, noise_range, noise_spectrum

_SIMULATED, _REAL = "simulated", "real"
_NOISE = (
    "Level of the noise, and correlation of pixels along rows and down columns: 10th, 50th and 90th percentile over "
    "the images."
)


def write_preview(
    path: Path, simulated_hu: Sequence[np.ndarray], real_hu: Sequence[np.ndarray] = (), seed: int = 2018
) -> None:
    """Write one HTML page: images in random order, their statistics side by side, and at its end which are real.

    Images are in HU (height, width) at 1 mm; there need not be real ones. `seed` draws the order.
    """
    kinds = {_SIMULATED: list(simulated_hu), _REAL: list(real_hu)}
    kinds = {kind: images for kind, images in kinds.items() if images}
    labelled = [(kind, image) for kind, images in kinds.items() for image in images]
    shuffled = [labelled[index] for index in np.random.default_rng(seed).permutation(len(labelled))]
    numbers = [str(number) for number in range(1, len(shuffled) + 1)]
    gallery = gallery_figure([grey(image) for _, image in shuffled], numbers)
    counts = " and ".join(f"{len(images)} {kind}" for kind, images in kinds.items())
    text = f"{counts} coronal crops in random order, −150 to 250 HU."
    title, key = "The simulated challenge", []
    if real_hu:
        title, text = "Simulated beside real", f"{text} Which are real? The key is at the end of the page."
        real = [number for number, (kind, _) in zip(numbers, shuffled, strict=True) if kind == _REAL]
        key = [Section("The key", f"Real: {', '.join(real)}.")]
    sections = [
        Section(text=text, figures=[(gallery, "The crops.")]),
        Section("Statistics", figures=[(_statistics(kinds), "HU and noise.")]),
        Section("Noise", _NOISE, rows=_noise(kinds)),
        *key,
    ]
    write_sections(path, title, sections)


def _noise(kinds: dict[str, list[np.ndarray]]) -> list[dict[str, str]]:
    ranges = {kind: noise_range(images) for kind, images in kinds.items()}
    return [
        {"": name.replace("_", " ").replace("hu", "HU")}
        | {kind: " · ".join(f"{value:.2f}" for value in ranges[kind][name]) for kind in kinds}
        for name in ranges[_SIMULATED]
    ]


def _statistics(kinds: dict[str, list[np.ndarray]]) -> Figure:
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    edges = np.arange(-200.0, 301.0, 12.5)
    centre, around, spectrum = figure.subplots(1, 3)
    for kind, images in kinds.items():
        for axes, shares in zip((centre, around), hu_shares(images, edges), strict=True):
            axes.stairs(100 * shares, edges, label=kind)
        spectrum.plot(*noise_spectrum(images), label=kind)
    centre.set(title="within 30 mm of the centre: kidney", xlabel="HU", ylabel="% of pixels")
    around.set(title="beyond 60 mm: surroundings", xlabel="HU", ylabel="% of pixels")
    spectrum.set(title="noise power", xlabel="cycles per pixel", ylabel="share")
    for axes in (centre, around, spectrum):
        axes.legend()
    return figure
