"""What a search found: the best settings, a table of its trials, figures, and a page."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from kcseg.config_json import to_json
from kcseg.files import locked, write_csv, write_json
from kcseg.page.figures import save_figures
from kcseg.page.page import Section, table, write_sections
from kcseg.training.space import Between, OneOf, four_digits
from kcseg.training.trial import FINISHED, TrialResult
from kcseg.training.tune import Search, best_trial

_ENOUGH_TO_WEIGH = 8  # trials; from fewer, a forest cannot tell what mattered
_NOTE = (
    "Dice: mean over the folds of the best on held-out images. The best of many trials is in part the luckiest: expect "
    "a little less when it is trained again. kcseg train does that, with best.json as its configuration."
)


def report_search(folder: Path, search: Search, results: Sequence[TrialResult]) -> Path:
    """Write `best.json`, `trials.csv`, `figures/` and `report.html` of a finished search, and return the page.

    `best.json` is a whole configuration, as a training takes it: the search's own with the values of the best trial.

    Raises:
        InputError: the folder cannot be written.
    """
    best = best_trial(results)
    rows = [_row(result, search) for result in results]
    shown = [
        {name.rpartition(".")[2]: value for name, value in row.items() if not name.startswith("dice_")}
        for row in rows
    ]
    shown.sort(key=lambda row: row["dice"] or 0.0, reverse=True)
    lost = sum(result.status != FINISHED for result in results)
    facts = {
        "search": "random" if search.random else "Bayesian",
        "trials": f"{len(results)}, {lost} of them passed over" if lost else str(len(results)),
        "each": f"{search.folds} of {search.config.ensemble.folds} folds, {search.epochs} epochs",
        "best": f"trial {best.trial}, Dice {best.dice:.4f}, {best.parameters} parameters",
        "seed": str(search.config.seed),
    }
    with locked(folder):
        write_json(folder / "best.json", to_json(search.settings(best.values)))
        write_csv(folder / "trials.csv", rows)
        sections = [
            Section(text=_NOTE, figures=save_figures(folder / "figures", _draw(search, results))),
            Section("Trials, the best first", rows=table(shown), strong=0),
        ]
        return write_sections(folder / "report.html", "Search of the settings", sections, facts)


def progress_figure(results: Sequence[TrialResult]) -> Figure:
    """Draw the Dice of each trial, the best so far, and on the lower edge the trials that were passed over."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot(1, 1, 1, xlabel="trial", ylabel="Dice on held-out images")
    numbers, scores = _finished(results)
    axes.plot(numbers, scores, "o", label="trial")
    axes.step(numbers, np.maximum.accumulate(scores), where="post", label="best so far")
    if lost := [int(result.trial) for result in results if result.status != FINISHED]:
        edge = axes.get_xaxis_transform()
        axes.plot(lost, [0.0] * len(lost), "kx", transform=edge, clip_on=False, label="passed over")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    # above the axes, where it hides no trial
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)
    return figure


def parameters_figure(space: Mapping[str, OneOf | Between], results: Sequence[TrialResult]) -> Figure:
    """Draw the Dice over each searched value, within its bounds; later trials are darker."""
    numbers, scores = _finished(results)
    columns = min(4, len(space))
    rows = -(-len(space) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.6 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    for axes, name, values in zip(panels, space, _values(space, results).T, strict=False):
        axes.scatter(values, scores, c=numbers, cmap="Blues", vmin=-len(results), edgecolors="none")
        axes.set_title(_label(name))
        axes.grid(alpha=0.3)
        _show_bounds(axes, space[name])
    for axes in panels[len(space) :]:
        axes.set_axis_off()
    figure.supylabel("Dice on held-out images")
    return figure


def _show_bounds(axes: Axes, dimension: OneOf | Between) -> None:
    """Let the horizontal axis show all values that may be tried."""
    if isinstance(dimension, OneOf):
        words = (str(value).replace("_", " ").replace("+", " + ") for value in dimension.values)
        ticks = [textwrap.fill(word, 13, break_long_words=False) for word in words]
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set_xlim(-0.5, len(ticks) - 0.5)
    else:
        axes.set_xscale("log" if dimension.logarithmic else "linear")
        axes.update_datalim([(dimension.low, 0), (dimension.high, 0)], updatey=False)


def importance(
    space: Mapping[str, OneOf | Between], results: Sequence[TrialResult], *, seed: int
) -> dict[str, tuple[float, float]]:
    """Weigh the searched values: by how much a random forest's error grows when one of them is shuffled.

    Permutation importance (Breiman, Random Forests, 2001): mean and standard deviation over 50 shufflings, as the
    share of the trials' variance. What the search hardly varied cannot matter here. Empty for fewer than eight trials.
    """
    _, scores = _finished(results)
    if len(scores) < _ENOUGH_TO_WEIGH or np.ptp(scores) == 0:
        return {}
    values = _values(space, results)
    forest = RandomForestRegressor(n_estimators=300, min_samples_leaf=2, random_state=seed)
    forest.fit(values, scores)
    found = permutation_importance(forest, values, scores, n_repeats=50, random_state=seed)
    pairs = zip(found.importances_mean.tolist(), found.importances_std.tolist(), strict=True)
    return dict(zip(space, pairs, strict=True))


def importance_figure(weights: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw what `importance` returns, the largest on top."""
    figure = Figure(figsize=(8, 0.4 * len(weights) + 1.2), layout="constrained")
    axes = figure.add_subplot(1, 1, 1, xlabel="share of the trials' variance that is lost when shuffled")
    for name, (mean, spread) in sorted(weights.items(), key=lambda item: item[1][0]):
        axes.barh(_label(name), mean, xerr=spread, color="#1f5fff", ecolor="grey")
    axes.grid(alpha=0.3, axis="x")
    return figure


def _draw(search: Search, results: Sequence[TrialResult]) -> dict[str, tuple[Figure, str]]:
    parameters = parameters_figure(search.space, results)
    drawn = {
        "progress": (progress_figure(results), "Dice over trials."),
        "parameters": (parameters, "Dice over each searched value; later trials are darker."),
    }
    if weights := importance(search.space, results, seed=search.config.seed):
        caption = "What mattered among these trials, by a random forest. Few trials: a hint, no proof."
        drawn["importance"] = importance_figure(weights), caption
    return drawn


def _row(result: TrialResult, search: Search) -> dict[str, Any]:
    """Return a trial as a row of `trials.csv`."""
    dice = [*result.fold_dice, *[None] * search.folds]
    return {
        "trial": result.trial,
        "status": result.status,
        "dice": result.dice,
        **{f"dice_{place + 1}": dice[place] for place in range(search.folds)},
        "parameters": result.parameters,
        "ms_per_image": result.ms_per_image,
        **{name: four_digits(result.values[name]) for name in search.space},
        "reason": result.reason,
    }


def _finished(results: Sequence[TrialResult]) -> tuple[np.ndarray, np.ndarray]:
    """Return number and Dice of the finished trials."""
    pairs = [(int(result.trial), result.dice) for result in results if result.status == FINISHED]
    numbers, scores = zip(*pairs, strict=True)
    return np.array(numbers), np.array(scores, float)


def _values(space: Mapping[str, OneOf | Between], results: Sequence[TrialResult]) -> np.ndarray:
    """Return the values of the finished trials, (trials, dimensions); of one of a few, its place among these."""
    trials = [result.values for result in results if result.status == FINISHED]
    columns = [
        [one.values.index(values[name]) if isinstance(one, OneOf) else values[name] for values in trials]
        for name, one in space.items()
    ]
    return np.array(columns, float).T


def _label(name: str) -> str:
    return name.split(".")[1].replace("_", " ")
