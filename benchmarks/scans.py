"""How well whole simulated scans are measured: kidneys found, volumes, thickness, Dice, and when no cortex is given.

    python benchmarks/scans.py --model RUN --scans 40 --seed 7 --out scans.json

Each scan is of another body: one in six is tilted, one in six ends within a kidney, slices are 1 to 5 mm thick, and all
phases occur. The seed must be none that anything was trained or fitted on.
"""

import json
import time
from pathlib import Path

import click
import numpy as np

from kcseg import Ensemble
from kcseg.image.contrast import LEAST_CONTRAST_HU
from kcseg.phantom.case import draw_patient
from kcseg.phantom.volume import PaintedBody, axial_grid
from kcseg.scan.result import segment_scan
from kcseg.scan.scan import Scan
from kcseg.study.scores import dice

# Between these contrasts either answer is right: what is measured strays by noise.
_UNSURE_HU = (0.7 * LEAST_CONTRAST_HU, 2.2 * LEAST_CONTRAST_HU)


@click.command()
@click.option("--model", type=Path, help="Who segments.  [default: the weights that come with kcseg]")
@click.option("--scans", default=40)
@click.option("--seed", default=7)
@click.option("--out", type=Path, help="Write a row for each kidney to this file.")
def main(model: Path | None, scans: int, seed: int, out: Path | None) -> None:
    """Simulate scans, measure them, and compare with what is exactly known."""
    ensemble = Ensemble.load(model)
    rows = [row for number in range(scans) for row in _measure(ensemble, seed, number)]
    if out:
        out.write_text(json.dumps(rows, indent=1))
    for line in summary(rows):
        click.echo(line)


def _measure(ensemble: Ensemble, seed: int, number: int) -> list[dict]:
    random = np.random.default_rng([seed, number])
    body, phase, _ = draw_patient(random)
    low, high = (-random.uniform(20, 60), 160) if number % 6 == 1 else (-180, 180)
    tilt = random.uniform(0.1, 0.35) if number % 6 == 2 else 0.0
    slice_mm = float(random.choice([1.0, 1.5, 2.5, 3.0, 5.0]))
    grid = axial_grid(body, random.uniform(0.75, 0.95), slice_mm, low, high, tilt)
    hu, exact = PaintedBody(body).scan(grid, random.uniform(6, 18), random)
    start = time.perf_counter()
    scan = Scan(hu, grid.affine)
    found = segment_scan(scan, ensemble, any_contrast=True)
    seconds = time.perf_counter() - start
    contrast = body.contrast.cortex - body.contrast.medulla
    known = {one.side: one for one in exact if one.kidney.any()}
    rows = []
    for masks, one in zip(found.masks, found.measures, strict=True):
        row = {
            "scan": number,
            "side": one.side,
            "slice_mm": slice_mm,
            "phase": phase,
            "true_contrast_hu": contrast,
        }
        row |= {"contrast_hu": one.contrast_hu, "note": one.note, "seconds": seconds, "invented": True}
        if truth := known.pop(one.side, None):
            cortex, kidney = (np.zeros(hu.shape, bool) for _ in range(2))
            cortex[masks.window], kidney[masks.window] = masks.cortex, masks.kidney
            cut = "cut by the end" in one.note
            ml = scan.voxel_ml
            row |= {
                "invented": bool(not (kidney & truth.kidney).any()),
                "cut": cut,
                "cortex_ml": one.cortex_ml,
                "interval_ml": [one.cortex_low_ml, one.cortex_high_ml],
                "true_cortex_ml": float(truth.cortex.sum() * ml) if cut else truth.cortex_ml,
                "kidney_ml": one.kidney_ml,
                "true_kidney_ml": float(truth.kidney.sum() * ml) if cut else truth.kidney_ml,
                "thickness_mm": one.thickness_mm,
                "true_thickness_mm": truth.thickness_mm,
                "unsure_share": masks.unsure_share,
                "dice_cortex": dice(cortex, truth.cortex),
                "dice_kidney": dice(kidney, truth.kidney),
            }
        rows.append(row)
        click.echo(json.dumps(row))
    missed = [{"scan": number, "side": side, "missed": float(one.kidney_ml)} for side, one in known.items()]
    return rows + missed


def summary(rows: list[dict]) -> list[str]:
    """Return what the rows say, a line each."""
    found = [row for row in rows if "dice_kidney" in row and not row["invented"]]
    missed = [row for row in rows if "missed" in row]
    seen = [row for row in found if row["true_contrast_hu"] > _UNSURE_HU[1]]
    clear = [row for row in found if not _UNSURE_HU[0] < row["true_contrast_hu"] < _UNSURE_HU[1]]
    right = [
        (row["contrast_hu"] is not None and row["contrast_hu"] >= LEAST_CONTRAST_HU)
        == (row["true_contrast_hu"] >= LEAST_CONTRAST_HU)
        for row in clear
    ]
    lines = [
        f"kidneys found {len(found)} of {len(found) + len(missed)}, "
        f"invented {sum(row.get('invented', False) for row in rows)}",
        f"kidney Dice {np.mean([row['dice_kidney'] for row in found]):.3f}, {_bias(found, 'kidney_ml')}",
        f"contrast gate right {np.mean(right):.1%} of {len(right)}",
    ]
    if seen:
        thickness = np.array([row["thickness_mm"] - row["true_thickness_mm"] for row in seen])
        inside = [row["interval_ml"][0] <= row["true_cortex_ml"] <= row["interval_ml"][1] for row in seen]
        lines += [
            f"cortex Dice {np.mean([row['dice_cortex'] for row in seen]):.3f}, {_bias(seen, 'cortex_ml')}",
            f"cortex within its interval {np.mean(inside):.0%}",
            f"thickness off by {thickness.mean():+.2f} mm, within 0.5 mm {np.mean(np.abs(thickness) < 0.5):.0%}",
        ]
    return [*lines, f"seconds a scan, median {np.median([row['seconds'] for row in found]):.0f}"]


def _bias(rows: list[dict], name: str) -> str:
    ratio = np.array([row[name] / row[f"true_{name}"] - 1 for row in rows])
    return f"volume {ratio.mean():+.1%}, limits of agreement ±{1.96 * ratio.std():.1%}"


if __name__ == "__main__":
    main()
