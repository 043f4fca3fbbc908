"""kcseg simulate: a simulated challenge folder."""

from pathlib import Path

import click

from kcseg.cli.console import console, progress_bars
from kcseg.config import SimulationConfig
from kcseg.data.simulation.challenge import simulate_challenge


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--train", multiple=True, type=click.IntRange(min=1), help="Images of a training batch; repeatable."
)
@click.option("--test", type=click.IntRange(min=0), default=299, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=2018, show_default=True)
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True)
def simulate(folder: Path, train: tuple[int, ...], test: int, seed: int, workers: int) -> None:
    """Write a simulated challenge to FOLDER: images in HU, references with faults, and the exact truth.

    Without --train the challenge's two training batches are made, 250 and 247 images.
    """
    sizes = SimulationConfig(train=train or SimulationConfig().train, test=test, seed=seed)
    with progress_bars() as bars:
        task = bars.add_task("simulating", total=sum(sizes.train) + sizes.test, note="")
        simulate_challenge(folder, sizes, progress=lambda: bars.advance(task), workers=workers)
    console.print(f"Simulated {sum(sizes.train)} training and {sizes.test} test images in {folder}")
