"""What pre-training gains: the paper's figure 3, and after how many steps either start reaches the score."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from kcseg.files import write_csv
from kcseg.page.figures import save_figures
from kcseg.page.page import Section, settings_section, table, write_sections
from kcseg.study.comparison import PRETRAINED, RANDOM, Comparison, History

_COLOURS = {PRETRAINED: "#1f5fff", RANDOM: "#e0662b"}
_SHARE = 0.95
CAPTION = "Pre-trained and random start: thick the mean over the seeds, thin each seed."


def steps_to_reach(history: History, dice: float) -> float:
    """Return the step at which the held-out Dice first reaches a value, on a straight line between two looks.

    Infinity where it never does. Before training the Dice counts as 0.
    """
    steps = np.array([0.0, *(row["step"] for row in history)])
    scores = np.array([0.0, *(row["val_dice"] for row in history)])
    if not (scores >= dice).any():
        return float("inf")
    place = np.argmax(scores >= dice)
    between = slice(max(0, place - 1), place + 1)
    return float(np.interp(dice, scores[between], steps[between]))


def comparison_rows(histories: Mapping[str, Sequence[History]]) -> list[dict[str, float]]:
    """Return a row per seed: final Dice of both starts, and the steps in which each reaches 95 % of it.

    The final Dice is that of the last look. Both starts of a seed have to reach the same value, 95 % of the final
    Dice of the random one, so that neither is helped by ending low.
    """
    finals = [random[-1]["val_dice"] for random in histories[RANDOM]]
    pairs = zip(histories[PRETRAINED], histories[RANDOM], finals, strict=True)
    return [
        {
            "seed": seed,
            "final_dice_pretrained": pretrained[-1]["val_dice"],
            "final_dice_random": final,
            "steps_pretrained": steps_to_reach(pretrained, _SHARE * final),
            "steps_random": steps_to_reach(random, _SHARE * final),
        }
        for seed, (pretrained, random, final) in enumerate(pairs, start=1)
    ]


def comparison_figure(histories: Mapping[str, Sequence[History]]) -> Figure:
    """Draw the paper's figure 3: (a) Dice on held-out images, (b) cross-entropy in training, over steps.

    A thick line is the mean over the seeds, a thin one a seed.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    held_out, training = figure.subplots(1, 2)
    held_out.set(title="(a) held-out images", ylabel="Dice")
    training.set(title="(b) training images", ylabel="binary cross-entropy", yscale="log")
    for axes, column in ((held_out, "val_dice"), (training, "binary_crossentropy")):
        for name, seeds in histories.items():
            steps = [row["step"] for row in seeds[0]]
            values = np.array([[row[column] for row in history] for history in seeds])
            axes.plot(steps, values.T, color=_COLOURS[name], alpha=0.35, linewidth=0.8)
            axes.plot(steps, values.mean(axis=0), color=_COLOURS[name], linewidth=2.2, label=f"{name} start")
        axes.set_xlabel("training step")
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize="small")
    return figure


def report_comparison(
    folder: Path, comparison: Comparison, histories: Mapping[str, Sequence[History]], origin: str
) -> Path:
    """Write `comparison.csv`, `figures/comparison.png` and `report.html` of a comparison, and return the page.

    `origin` states where the pre-trained weights are from.
    """
    rows = comparison_rows(histories)
    write_csv(folder / "comparison.csv", rows)
    drawn = {"comparison": (comparison_figure(histories), CAPTION)}
    note = "The two trainings of a seed share fold, order of the images and everything random but the first weights."
    return write_sections(
        folder / "report.html",
        "Pre-trained against random weights",
        [
            Section(
                text=f"{comparison_sentence(rows)} {note}", figures=save_figures(folder / "figures", drawn)
            ),
            Section(
                f"Steps to {_SHARE:.0%} of the final Dice of the random start", rows=comparison_cells(rows)
            ),
            settings_section(comparison.config),
        ],
        {"weights": origin, "steps": comparison.steps, "a look every": f"{comparison.every} steps"},
    )


def comparison_sentence(rows: Sequence[Mapping[str, float]]) -> str:
    """Return the result in one sentence."""
    ours, theirs = (np.array([row[f"steps_{name}"] for row in rows]) for name in ("pretrained", "random"))
    finals = [np.mean([row[f"final_dice_{name}"] for row in rows]) for name in ("pretrained", "random")]
    return (
        f"From pre-trained weights {_SHARE:.0%} of the random start's final Dice is reached {_steps(ours)}, from "
        f"random ones {_steps(theirs)}; sooner in {(ours < theirs).sum()} of {len(rows)} seeds. Final Dice "
        f"{finals[0]:.3f} and {finals[1]:.3f}."
    )


def _steps(steps: np.ndarray) -> str:
    """State after how many steps, and in how many seeds never."""
    reached = steps[np.isfinite(steps)]
    if not reached.size:
        return "in no seed"
    never = len(steps) - len(reached)
    missed = f"; never in {never} of {len(steps)} seeds" if never else ""
    return f"after {reached.mean():.0f} steps ({reached.min():.0f} to {reached.max():.0f}{missed})"


def comparison_cells(rows: Sequence[Mapping[str, float]]) -> list[dict[str, str]]:
    """Return `comparison_rows` as a page shows them."""

    def shown(name: str, value: float) -> float | str:
        whole = "never" if value == np.inf else f"{value:.0f}"
        return whole if name.startswith("steps") else value

    return table([{name: shown(name, value) for name, value in row.items()} for row in rows])
