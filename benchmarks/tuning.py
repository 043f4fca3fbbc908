"""What a Bayesian search buys over a random one of the same budget, on the simulated challenge, over several seeds.

Both draw the same first trials of a seed; after these, one learns and the other goes on drawing. They run side by side,
a core each. A search that was cut off goes on when the same command is run again.

    python benchmarks/tuning.py runs/tuning [--seeds 5] [--trials 20] [--epochs 4] [--max-parameters 700000]
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# a core each: the trials, which are processes of their own, take these over
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["TF_NUM_INTEROP_THREADS"] = "1"

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from kcseg.config import QUICK, SimulationConfig
from kcseg.dataset.batch import training_batch
from kcseg.files import write_csv
from kcseg.phantom.simulate import simulate_challenge
from kcseg.training.search import Search
from kcseg.training.tune import tune

console = Console(width=110)


def best_so_far(folder: Path, search: Search, batch) -> np.ndarray:
    """Best Dice after each trial, (trials,); trials that were passed over count 0."""
    scores = [result.dice or 0.0 for result in tune(folder, batch, search)]
    return np.maximum.accumulate(scores)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--seeds", default=5, show_default=True, help="Searches of each kind.")
@click.option("--trials", default=20, show_default=True)
@click.option("--epochs", default=4, show_default=True)
@click.option("--images", default=100, show_default=True, help="Simulated training images.")
@click.option("--max-parameters", type=int, help="Budget of both.")
def main(folder: Path, seeds: int, trials: int, epochs: int, images: int, max_parameters: int | None) -> None:
    """Print the best Dice of both searches after a few numbers of trials, and in how many seeds which is ahead."""
    sizes = SimulationConfig(train=(images,), test=0)
    simulate_challenge(folder / "challenge", sizes, workers=2)
    batch = training_batch(folder / "challenge")
    curves: dict[str, list[np.ndarray]] = {"Bayesian": [], "random": []}
    rows = []
    with ThreadPoolExecutor(len(curves)) as side_by_side:
        for seed in range(1, seeds + 1):
            # folds and weights of all searches are the same: only the proposals differ
            search = Search(
                config=replace(QUICK, simulation=sizes),
                trials=trials,
                folds=1,
                epochs=epochs,
                most_parameters=max_parameters,
                seed=seed,
                known_first=False,  # what each finds by itself
            )
            running = {
                kind: side_by_side.submit(
                    best_so_far,
                    folder / f"{kind.lower()}-{seed}",
                    replace(search, random=kind == "random"),
                    batch,
                )
                for kind in curves
            }
            for kind, best in running.items():
                curves[kind].append(best.result())
                console.print(f"seed {seed}, {kind}: {curves[kind][-1][-1]:.4f}")
                rows += [
                    {"seed": seed, "search": kind, "trial": number, "best_dice": float(score)}
                    for number, score in enumerate(curves[kind][-1], start=1)
                ]
            write_csv(folder / "best.csv", rows)
    table = Table("trials", "Bayesian", "random", "difference, mean ± standard error", "Bayesian ahead")
    for count in sorted({trials // 2, 3 * trials // 4, trials} - {0}):
        ours, theirs = (np.array([curve[count - 1] for curve in found]) for found in curves.values())
        difference = ours - theirs
        error = difference.std(ddof=1) / np.sqrt(seeds) if seeds > 1 else float("nan")
        table.add_row(
            str(count),
            f"{ours.mean():.4f}",
            f"{theirs.mean():.4f}",
            f"{difference.mean():+.4f} ± {error:.4f}",
            f"{(difference > 0).sum()} of {seeds}, {(difference == 0).sum()} equal",
        )
    console.print(table)


if __name__ == "__main__":
    main()
