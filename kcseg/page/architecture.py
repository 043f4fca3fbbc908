"""The paper's figure 2: the architecture, drawn from the network that was built."""

import math
import re
from dataclasses import dataclass

import keras
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch

RESIDUAL, PLAIN, HEAD = "residual", "plain", "head"
_COLOURS = {RESIDUAL: (0.45, 0.75, 0.45), PLAIN: (0.45, 0.62, 0.90), HEAD: (0.85, 0.85, 0.85)}
# the layers that are boxes; what shortcuts and up-sampling convolve is part of others
_LAYER = re.compile(
    r"(?P<side>first|down|skip|bottom|merge|up|soft)(?P<level>\d*)(?P<block>_block\d+_b)?(_\d+)?(_convolution|_mask)"
)
_POOL, _RISE, _SKIP = "#b2182b", "#e08214", "0.35"
_BOX, _HALF, _STEP = 0.62, 0.17, 0.86  # width and half the height of a box, and from one to the next


@dataclass(frozen=True)
class Part:
    """A box of the figure."""

    kind: str  # a residual block, a plain convolution or the head
    side: str  # of the U: down, skip, bottom or up
    level: int  # from 1, at full resolution
    filters: int
    kernel_px: int


@dataclass
class _Row:
    """The boxes of one side and level, from left to right."""

    boxes: list[Part]
    x: float = 0.0  # where the first begins

    @property
    def end(self) -> float:
        """Where the last ends."""
        return self.x + (len(self.boxes) - 1) * _STEP + _BOX


_Rows = dict[tuple[str, int], _Row]


def parts(network: keras.Model) -> list[Part]:
    """Return the boxes of a network that `build_unet` built, in the order of its layers."""
    levels = 1 + sum(isinstance(layer, keras.layers.MaxPooling2D) for layer in network.layers)
    found = []
    for layer in network.layers:
        if name := _LAYER.fullmatch(layer.name):
            kind = HEAD if name["side"] == "soft" else RESIDUAL if name["block"] else PLAIN
            side = {"first": "down", "merge": "up", "soft": "up"}.get(name["side"], name["side"])
            level = levels if side == "bottom" else int(name["level"] or 1)
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
    rows: _Rows = {}
    for part in boxes:
        rows.setdefault((part.side, part.level), _Row([])).boxes.append(part)
    _place(rows, levels)
    right = max(row.end for row in rows.values())
    figure = Figure(figsize=(max(8.5, 0.72 * right + 1.4), levels + 1.7), dpi=140, layout="constrained")
    figure.suptitle(
        f"{levels} levels, {network.count_params() / 1e6:.2f} million parameters", fontsize="medium"
    )
    axes = figure.add_subplot(xlim=(-1.6, right + _STEP - _BOX), ylim=(-levels - 0.5, -0.4))
    axes.set_axis_off()
    for row in rows.values():
        for number, part in enumerate(row.boxes):
            _draw_box(axes, row.x + number * _STEP, part)
    _draw_arrows(axes, rows, levels)
    for level in range(1, levels + 1):
        size = math.ceil(size_px / 2 ** (level - 1))  # pooling rounds up
        axes.text(-0.35, -level, f"{size} × {size}", ha="right", va="center", fontsize=9, color="0.35")
    axes.text(0, -0.68, "image, [0, 1]", fontsize=9)
    axes.text(right, -0.68, "soft mask, [0, 1]", ha="right", fontsize=9)
    handles = _legend(boxes, network)
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def _place(rows: _Rows, levels: int) -> None:
    """Set where each row of boxes begins: down to the right, over the bottom, up to the right."""
    # so that the deepest skip has room beside the bottom
    deepest = rows.get(("skip", levels - 1))
    hop = 0.6 + 0.5 * _STEP * (len(deepest.boxes) if deepest else 0)
    x, above = 0.0, range(1, max(levels, 2))  # a network of one level has its bottom beside its ends
    for level in above:
        rows["down", level].x = x
        x += len(rows["down", level].boxes) * _STEP
    bottom = rows["bottom", levels]
    bottom.x = x + hop - 0.5 * (_STEP - _BOX)
    x = bottom.end - _BOX + hop
    for level in reversed(above):
        row = rows["up", level]
        row.x = x + 0.5 * _STEP
        x = row.end - _BOX
    for level in range(1, levels):
        if skip := rows.get(("skip", level)):
            middle = (rows["down", level].end + rows["up", level].x) / 2
            skip.x = middle - skip.end / 2  # it was placed at 0


def _draw_box(axes: Axes, x: float, part: Part) -> None:
    style, colour = "round,pad=0,rounding_size=0.06", _COLOURS[part.kind]
    corner = x, -part.level - _HALF
    axes.add_patch(FancyBboxPatch(corner, _BOX, 2 * _HALF, boxstyle=style, fc=colour, ec="0.25", lw=0.8))
    axes.text(x + _BOX / 2, -part.level, str(part.filters), ha="center", va="center", fontsize=9)


def _draw_arrows(axes: Axes, rows: _Rows, levels: int) -> None:
    for level in range(1, levels):
        down, up = rows["down", level], rows["up", level]
        lower = ("bottom", "bottom") if level + 1 == levels else ("down", "up")
        below, back = (rows[side, level + 1] for side in lower)
        start = down.end
        if skip := rows.get(("skip", level)):
            _arrow(axes, (start, -level), (skip.x, -level), _SKIP)
            start = skip.end
        _arrow(axes, (start, -level), (up.x, -level), _SKIP)
        top, foot, half = -level - _HALF, -level - 1 + _HALF, _BOX / 2
        _arrow(axes, (down.end - half, top), (below.x + half, foot), _POOL)
        _arrow(axes, (back.end - half, foot), (up.x + half, top), _RISE)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "lw": 1.1, "shrinkA": 1, "shrinkB": 1}
    axes.annotate("", end, start, arrowprops=style)


def _legend(boxes: list[Part], network: keras.Model) -> list[Patch | Line2D]:
    side = {part.kind: f"{part.kernel_px} × {part.kernel_px}" for part in boxes}
    learned = any(isinstance(layer, keras.layers.Conv2DTranspose) for layer in network.layers)
    kinds = {
        RESIDUAL: f"residual block: two convolutions {side[RESIDUAL]} and a shortcut",
        PLAIN: f"convolution {side[PLAIN]}",
        HEAD: f"convolution {side[HEAD]}, sigmoid",
    }
    arrows = {
        _POOL: "maximum of 2 × 2",
        _RISE: "transposed convolution 2 × 2" if learned else "convolution 1 × 1, enlarged 2 × 2",
        _SKIP: "skip, concatenated with what comes from below",
    }
    patches = [Patch(color=_COLOURS[kind], label=label) for kind, label in kinds.items()]
    return [*patches, *(Line2D([], [], color=colour, label=label) for colour, label in arrows.items())]
