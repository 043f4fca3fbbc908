"""kcseg compare-pretraining: pre-trained against random weights, over several seeds."""

from dataclasses import replace
from pathlib import Path

import click

from kcseg.cli.console import device_option, main, print_line, progress_bars, quiet_import
from kcseg.cli.settings import PATH, study_options
from kcseg.config import Config
from kcseg.errors import InputError


@main.command("compare-pretraining")
@study_options
@click.option("--pretrained", type=PATH, help="Weights that kcseg pretrain wrote.")
@click.option("--every", default=20, help="Steps from one look at held-out images to the next.")
@device_option
def compare_pretraining(
    data: Path | None,
    coco: Path | None,
    pretrained: Path | None,
    folder: Path,
    seeds: int,
    steps: int,
    every: int,
    config: Config,
) -> None:
    """Train from pre-trained and from random weights, and draw the paper's figure 3.

    Without --pretrained, weights are pre-trained first: on --coco, or on simulated persons. Interrupted, the same
    command goes on; with more --seeds, it continues a finished comparison.
    """
    if coco and pretrained:
        raise InputError("--coco and --pretrained exclude each other: the weights are pre-trained already")
    with quiet_import():
        from kcseg.dataset.batch import training_batch
        from kcseg.phantom.simulate import simulate_challenge
        from kcseg.study import comparison_report as results
        from kcseg.study.comparison import Comparison, compare
        from kcseg.study.pretraining import pretrained_weights

    comparison = Comparison(config, seeds=seeds, steps=steps, every=every)
    if pretrained:
        origin = f"given as {pretrained.name}"
    else:
        origin = f"pre-trained on {coco.name}" if coco else "pre-trained on simulated persons"
    with progress_bars(folder) as tell:
        if data is None:
            data = folder / "challenge"
            simulate_challenge(data, replace(config.simulation, test=0), tell=tell, workers=2)
        batch = training_batch(data)
        weights = pretrained or pretrained_weights(folder, coco, config, tell)
        histories = compare(folder, batch, weights, comparison, tell)
    page = results.report_comparison(folder, comparison, histories, origin)
    print_line(results.comparison_sentence(results.comparison_rows(histories)))
    print_line(f"Look at {page}")
