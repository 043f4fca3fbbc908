"""The paper's figure 2: the architecture, drawn from the network that was built."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import keras
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch

RESIDUAL, PLAIN, HEAD = "residual", "plain", "head"
_COLOURS = {RESIDUAL: (0.45, 0.75, 0.45), PLAIN: (0.45, 0.62, 0.90), HEAD: (0.85, 0.85, 0.85)}
_SIDES = {
    "first": "down",
    "down": "down",
    "skip": "skip",
    "bottom": "bottom",
    "merge": "up",
    "up": "up",
    "soft": "up",
}
_POOL, _RISE, _SKIP = "#b2182b", "#e08214", "0.35"
_BOX, _HALF, _STEP = 0.62, 0.17, 0.86  # width and half the height of a box, and from one to the next


@dataclass(frozen=True)
class Part:
    """A box of the figure.

    Attributes:
        kind: a residual block, a plain convolution or the head.
        side: of the U: down, skip, bottom or up.
        level: from 1, at full resolution.
        filters: channels it gives.
        kernel_px: side of its convolution.
    """

    kind: str
    side: str
    level: int
    filters: int
    kernel_px: int


def parts(network: keras.Model) -> list[Part]:
    """Return the boxes of a network that `build_unet` built, in the order of its layers.

    A residual block is where a shortcut is added; what shortcuts and up-sampling convolve is no box of its own.
    """
    levels = 1 + sum(isinstance(layer, keras.layers.MaxPooling2D) for layer in network.layers)
    blocks = {
        layer.name.removesuffix("_add") for layer in network.layers if isinstance(layer, keras.layers.Add)
    }
    found = []
    for layer in network.layers:
        name = layer.name.removesuffix("_convolution")
        block = name.removesuffix("_b")
        if name == "soft_mask":
            kind = HEAD
        elif block != name and block in blocks:
            kind = RESIDUAL
        elif name != layer.name and not any(name.startswith(f"{other}_") for other in blocks):
            kind = PLAIN
        else:
            continue
        place = re.match(r"([a-z]+)(\d*)", name)
        assert place is not None
        side = _SIDES[place[1]]
        level = levels if side == "bottom" else int(place[2] or 1)
        found.append(Part(kind, side, level, layer.filters, layer.kernel_size[0]))
    return found


def architecture_figure(network: keras.Model, size_px: int = 192) -> Figure:
    """Draw the paper's figure 2: residual blocks green, plain convolutions blue, in each box its number of filters.

    Args:
        network: as `build_unet` builds it.
        size_px: of the image for which sizes are stated (paper: 192).
    """
    boxes = parts(network)
    levels = max(part.level for part in boxes)
    rows: dict[tuple[str, int], list[Part]] = {}
    for part in boxes:
        rows.setdefault((part.side, part.level), []).append(part)
    places = _places(rows, levels)
    right = max(places[place] + len(row) * _STEP for place, row in rows.items())
    figure = Figure(figsize=(max(8.5, 0.72 * right + 1.2), 1.0 * levels + 1.7), dpi=140, layout="constrained")
    figure.suptitle(
        f"{levels} levels, {network.count_params() / 1e6:.2f} million parameters", fontsize="medium"
    )
    axes = figure.add_subplot(xlim=(-1.6, right), ylim=(-levels - 0.5, -0.4))
    axes.set_axis_off()
    for place, row in rows.items():
        for number, part in enumerate(row):
            _draw_box(axes, places[place] + number * _STEP, part)
    _draw_arrows(axes, rows, places, levels)
    for level, size in enumerate(_sizes(network, size_px), start=1):
        axes.text(-0.35, -level, f"{size} × {size}", ha="right", va="center", fontsize=9, color="0.35")
    axes.text(0, -0.68, "image, [0, 1]", fontsize=9)
    axes.text(right - _STEP + _BOX, -0.68, "soft mask, [0, 1]", ha="right", fontsize=9)
    figure.legend(
        handles=_legend(boxes, network), loc="outside lower center", ncols=2, frameon=False, fontsize=9
    )
    return figure


def _sizes(network: keras.Model, size_px: int) -> Iterator[int]:
    """Height and width of the maps by level, as the pooling layers make them."""
    shape: tuple[int, ...] = (1, size_px, size_px, 1)
    yield size_px
    for layer in network.layers:
        if isinstance(layer, keras.layers.MaxPooling2D):
            shape = layer.compute_output_shape(shape)
            yield shape[1]


def _places(rows: dict[tuple[str, int], list[Part]], levels: int) -> dict[tuple[str, int], float]:
    """Return where each row of boxes begins: down to the right, over the bottom, up to the right."""
    places = {}
    # so that the deepest skip has room beside the bottom
    hop = 0.6 + 0.5 * _STEP * len(rows.get(("skip", levels - 1), ()))
    x, above = 0.0, range(1, max(levels, 2))  # a network of one level has its bottom beside its ends
    for level in above:
        places["down", level] = x
        x += len(rows["down", level]) * _STEP
    places["bottom", levels] = x = x + hop - 0.5 * (_STEP - _BOX)
    x += (len(rows["bottom", levels]) - 1) * _STEP + hop
    for level in reversed(above):
        places["up", level] = x = x + 0.5 * _STEP
        x += (len(rows["up", level]) - 1) * _STEP
    for level in range(1, levels):
        if skip := rows.get(("skip", level)):
            middle = (_end(rows, places, ("down", level)) + places["up", level]) / 2
            places["skip", level] = middle - ((len(skip) - 1) * _STEP + _BOX) / 2
    return places


def _end(
    rows: dict[tuple[str, int], list[Part]], places: dict[tuple[str, int], float], place: tuple[str, int]
) -> float:
    return places[place] + (len(rows[place]) - 1) * _STEP + _BOX


def _draw_box(axes: Axes, x: float, part: Part) -> None:
    style = "round,pad=0,rounding_size=0.06"
    colour = _COLOURS[part.kind]
    corner = x, -part.level - _HALF
    axes.add_patch(
        FancyBboxPatch(corner, _BOX, 2 * _HALF, boxstyle=style, facecolor=colour, edgecolor="0.25", lw=0.8)
    )
    axes.text(x + _BOX / 2, -part.level, str(part.filters), ha="center", va="center", fontsize=9)


def _draw_arrows(
    axes: Axes, rows: dict[tuple[str, int], list[Part]], places: dict[tuple[str, int], float], levels: int
) -> None:
    for level in range(1, levels):
        down, up = _end(rows, places, ("down", level)), places["up", level]
        if ("skip", level) in rows:
            _arrow(axes, (down, -level), (places["skip", level], -level), _SKIP)
            down = _end(rows, places, ("skip", level))
        _arrow(axes, (down, -level), (up, -level), _SKIP)
        deepest = level + 1 == levels
        start = _end(rows, places, ("down", level)) - _BOX / 2, -level - _HALF
        below = places["bottom" if deepest else "down", level + 1] + _BOX / 2, -level - 1 + _HALF
        _arrow(axes, start, below, _POOL)
        below = _end(rows, places, ("bottom" if deepest else "up", level + 1)) - _BOX / 2, -level - 1 + _HALF
        _arrow(axes, below, (up + _BOX / 2, -level - _HALF), _RISE)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "lw": 1.1, "shrinkA": 1, "shrinkB": 1}
    axes.annotate("", end, start, arrowprops=style)


def _legend(boxes: list[Part], network: keras.Model) -> list[Patch | Line2D]:
    side = {part.kind: f"{part.kernel_px} × {part.kernel_px}" for part in boxes}
    learned = any(isinstance(layer, keras.layers.Conv2DTranspose) for layer in network.layers)
    rise = "transposed convolution 2 × 2" if learned else "convolution 1 × 1, enlarged 2 × 2"
    return [
        Patch(
            color=_COLOURS[RESIDUAL],
            label=f"residual block: two convolutions {side[RESIDUAL]} and a shortcut",
        ),
        Patch(color=_COLOURS[PLAIN], label=f"convolution {side[PLAIN]}"),
        Patch(color=_COLOURS[HEAD], label=f"convolution {side[HEAD]}, sigmoid"),
        Line2D([], [], color=_POOL, label="maximum of 2 × 2"),
        Line2D([], [], color=_RISE, label=rise),
        Line2D([], [], color=_SKIP, label="skip, concatenated with what comes from below"),
    ]
