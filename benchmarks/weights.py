"""How good weights are on simulated kidneys they never saw: Dice, off centre, without a kidney, and what they expect.

    python benchmarks/weights.py --model FOLDER --cases 400 --seed 11 --out weights.json --figure reliability.png

The seed must be none that anything was trained or fitted on. "Seen" are kidneys whose cortex and medulla differ by
40 HU or more. Harder cases went through a second scanner: more noise and blur, slices of 3 to 6 mm.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import center_of_mass
from scipy.stats import spearmanr

from kcseg import Ensemble
from kcseg.phantom.case import SIZE_PX, Case, draw_case, draw_slice, draw_wide_case
from kcseg.phantom.scanner import draw_scanner, scan
from kcseg.prediction.expectation import Expectation, features_of
from kcseg.prediction.kidneys import find_kidneys
from kcseg.study.expectation import exactly
from kcseg.study.scores import dice

MM, MOVED_PX, SEEN_HU = (1.0, 1.0), 40, 40.0


@click.command()
@click.option("--model", type=Path, help="Who segments.  [default: the weights that come with kcseg]")
@click.option("--fast", is_flag=True, help="One member alone.")
@click.option("--cases", default=400, help="Of each kind.")
@click.option("--seed", default=11)
@click.option("--out", type=Path, help="Write a row for each kidney to this file.")
@click.option("--figure", type=Path, help="Draw expected against true, and probability against frequency.")
def main(
    model: Path | None, fast: bool, cases: int, seed: int, out: Path | None, figure: Path | None
) -> None:
    """Simulate, segment, and compare with what is exactly known."""
    ensemble = Ensemble.load(model, fast=fast)
    rows, counts = [], np.zeros((2, 10, 2))
    with click.progressbar(list(_cases(cases, seed)), label="cases") as bar:
        for kind, draw in bar:
            rows += _judge(ensemble, kind, draw(), counts)
    if out:
        out.write_text(json.dumps(rows, indent=1))
    for line in summary(rows, counts):
        click.echo(line)
    if figure:
        _draw(rows, counts).savefig(figure, dpi=110)


def _cases(count: int, seed: int) -> Iterator[tuple[str, Any]]:
    for number in range(count):

        def random(place: int, number: int = number) -> np.random.Generator:
            return np.random.default_rng((seed, place, number))

        yield "paper's crops", lambda random=random: draw_case(random(1))
        yield "slices", lambda random=random: draw_slice(random(2))
        for moved in (False, True):
            kind = "crops off centre" if moved else "crops on centre"
            yield (
                kind,
                lambda random=random, moved=moved: _crop(draw_slice(random(3)), random(4), moved=moved),
            )
        yield "no kidney", lambda random=random: _crop_without(draw_slice(random(5)), random(6))
        yield "harder", lambda random=random: _harder(random(7))


def _crop(case: Case, random: np.random.Generator, *, moved: bool) -> Case | None:
    """Cut a square around one of the kidneys of a slice, or beside it."""
    exact = find_kidneys(case.hu, exactly(case), MM)
    if not exact:
        return None
    kidney = exact[random.integers(len(exact))].kidney
    angle = random.uniform(0, 2 * np.pi)
    middle = np.array(center_of_mass(kidney)) + moved * MOVED_PX * np.array([np.sin(angle), np.cos(angle)])
    only = replace(case, truth=case.truth & kidney, kidney=kidney)
    return _cut(only, middle)


def _crop_without(case: Case, random: np.random.Generator) -> Case | None:
    """Cut a square without a kidney, most of it body; None where there is none."""
    for _ in range(20):
        cut = _cut(case, random.uniform(0, case.hu.shape))
        if not cut.kidney.any() and (cut.hu > -300).mean() > 0.6:
            return cut
    return None


def _cut(case: Case, middle: np.ndarray) -> Case:
    first = np.rint(middle).astype(int) - SIZE_PX // 2

    def square(pixels: np.ndarray, fill: float) -> np.ndarray:
        padded = np.pad(pixels, SIZE_PX, constant_values=fill)
        row, column = first + SIZE_PX
        return padded[row : row + SIZE_PX, column : column + SIZE_PX]

    masks = {name: square(getattr(case, name), False) for name in ("truth", "medulla", "vessels", "kidney")}
    return Case(square(case.hu, -1024), **masks, facts=case.facts)


def _harder(random: np.random.Generator) -> Case:
    """Scan the image of a scan again: noise adds up, and slices are thicker."""
    case, scanner = draw_wide_case(random), draw_scanner(random)
    return replace(
        case, hu=scan(case.hu.astype(float), replace(scanner, slice_mm=random.uniform(3, 6)), random)
    )


def _judge(ensemble: Ensemble, kind: str, case: Case | None, counts: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield a row for each kidney that is there or was found."""
    if case is None:
        return
    found = ensemble.segment_raw(case.hu[np.newaxis])[0]
    expectation = Expectation.stated(ensemble.card)
    contrast = case.facts["cortex_hu"] - case.facts["medulla_hu"]
    if kind == "slices" and contrast >= SEEN_HU:
        for place, (share, true) in enumerate(
            ((found.probability, case.truth), (found.kidney_probability, case.kidney))
        ):
            tenth = np.minimum((share * 10).astype(int), 9)
            counts[place, :, 0] += np.bincount(tenth.ravel(), minlength=10)
            counts[place, :, 1] += np.bincount(tenth[true], minlength=10)
    known = {one.side: one for one in find_kidneys(case.hu, exactly(case), MM)}
    for one in find_kidneys(case.hu, found, MM):
        there = known.pop(one.side, None)
        nothing = np.zeros_like(case.truth)
        row = {"kind": kind, "side": one.side, "contrast_hu": one.contrast_hu, "true_contrast_hu": contrast}
        row |= {"invented": there is None, "given": not one.looks_alike, "cut": one.is_cut}
        row["dice"] = dice(one.cortex, there.cortex if there else nothing)
        row["dice_kidney"] = dice(one.kidney, there.kidney if there else nothing)
        if expectation:
            row["expected"] = expectation(features_of(one, found, MM))
        yield row
    for side in known:
        yield {"kind": kind, "side": side, "missed": True, "true_contrast_hu": contrast}
    if kind == "no kidney":
        yield {"kind": kind, "empty": not any(one.cortex.any() for one in find_kidneys(case.hu, found, MM))}


def summary(rows: list[dict[str, Any]], counts: np.ndarray) -> list[str]:
    """Return what the rows say, a line each."""
    lines = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        of_kind = [row for row in rows if row["kind"] == kind]
        empty = [row["empty"] for row in of_kind if "empty" in row]
        if empty:
            lines.append(f"{kind}: no cortex in {np.mean(empty):.1%} of {len(empty)}")
            continue
        seen = [row for row in of_kind if row["true_contrast_hu"] >= SEEN_HU]
        both = [row for row in seen if "dice" in row and not row["invented"]]
        missed = [row for row in seen if row.get("missed")]
        if not both:
            lines.append(f"{kind}: none seen and found, {len(missed)} missed")
            continue
        lines.append(
            f"{kind}: {len(both)} seen, {len(missed)} missed, {sum(row.get('invented', False) for row in seen)} "
            f"invented; Dice cortex {np.mean([row['dice'] for row in both]):.4f} "
            f"(least tenth below {np.quantile([row['dice'] for row in both], 0.1):.3f}), "
            f"kidney {np.mean([row['dice_kidney'] for row in both]):.4f}"
        )
    for hard in (False, True):
        judged = [row for row in rows if "expected" in row and (row["kind"] == "harder") == hard]
        for name, some in (("all", judged), ("given", [row for row in judged if row["given"]])):
            if some:
                true, expected = (
                    np.array([row["dice"] for row in some]),
                    np.array([row["expected"] for row in some]),
                )
                inside = (true >= expected[:, 1]) & (true <= expected[:, 2])
                lines.append(
                    f"expected Dice, {'harder' if hard else 'as trained'}, {name} {len(some)}: within the interval "
                    f"{inside.mean():.1%}, rank correlation {spearmanr(expected[:, 0], true).statistic:.2f}"
                )
    for name, (pixels, true) in zip(("cortex", "kidney"), np.moveaxis(counts, 2, 1), strict=True):
        share = true / np.maximum(pixels, 1)
        middles = (np.arange(10) + 0.5) / 10
        lines.append(
            f"probability of {name}: "
            + ", ".join(f"{m:.2f} {s:.2f}" for m, s in zip(middles, share, strict=True))
        )
    return lines


def _draw(rows: list[dict[str, Any]], counts: np.ndarray) -> Figure:
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for hard, colour in ((False, "#0072b2"), (True, "#d55e00")):
        judged = [row for row in rows if "expected" in row and (row["kind"] == "harder") == hard]
        if judged:
            expected, true = [row["expected"][0] for row in judged], [row["dice"] for row in judged]
            label = "harder scanners" if hard else "as trained"
            left.plot(expected, true, ".", color=colour, alpha=0.35, markersize=4, label=label)
    left.set(xlabel="Dice expected", ylabel="Dice, exact truth", xlim=(0, 1), ylim=(0, 1))
    middles = (np.arange(10) + 0.5) / 10
    for name, colour, (pixels, true) in zip(
        ("cortex", "kidney"), ("#0072b2", "#e69f00"), np.moveaxis(counts, 2, 1), strict=True
    ):
        right.plot(middles, true / np.maximum(pixels, 1), "o-", color=colour, label=name)
    right.set(xlabel="probability", ylabel="share of pixels where it is true", xlim=(0, 1), ylim=(0, 1))
    for axes in (left, right):
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
        axes.legend(frameon=False)
    return figure


if __name__ == "__main__":
    main()
