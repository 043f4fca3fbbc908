"""kcseg tune: better settings, by Bayesian search."""

import os
from dataclasses import replace
from pathlib import Path

import click

from kcseg.cli.console import device_option, main, print_line, print_table, progress_bars, quiet_import
from kcseg.cli.settings import PATH, config_options, data_option
from kcseg.config import Config
from kcseg.config_json import from_json
from kcseg.errors import InputError


@main.command()
@data_option
@click.option("--run", "folder", type=PATH, required=True, help="Folder of the search.")
@click.option("--trials", default=30, help="Settings to try.")
@click.option("--folds", default=2, help="Folds each trial is trained on.")
@click.option("--epochs", type=int, help="Epochs of a trial.  [default: the preset's, at most 10]")
@config_options
@click.option("--seed", type=int, help="Of folds, weights and proposals.  [default: the preset's]")
@click.option("--max-parameters", type=click.IntRange(1), help="Pass over networks with more weights.")
@click.option(
    "--max-ms-per-image",
    type=click.FloatRange(0, min_open=True),
    help="Pass over networks that take longer on this machine.",
)
@click.option("--random", is_flag=True, help="Random search instead of Bayesian.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=30.0,
    help="With several machines: minutes of silence after which one counts as missing.",
)
@device_option
def tune(
    data: Path | None,
    folder: Path,
    trials: int,
    folds: int,
    epochs: int | None,
    config: Config,
    seed: int | None,
    max_parameters: int | None,
    max_ms_per_image: float | None,
    random: bool,
    timeout: float,
) -> None:
    """Search for better settings: network, loss, learning rate, batch size and strength of the augmentation.

    best.json in the folder is what kcseg train --config takes. Interrupted, the same command goes on; with more
    --trials, it continues a finished search.

    Several machines that share the folder share the work: start one with KERASTUNER_TUNER_ID=chief and each other with
    an id of its own, all with the chief's KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT.
    """
    if seed is not None:
        config = from_json({"seed": seed}, "--seed", base=config)
    # a finished search is refused before TensorFlow is loaded
    if (folder / "report.html").exists() and len(list(folder.glob("trials/trial-*/result.json"))) >= trials:
        raise InputError(
            f"{folder} holds a finished search; ask for more --trials, or choose another folder with --run"
        )
    with quiet_import():
        from kcseg.dataset.batch import training_batch
        from kcseg.phantom.simulate import simulate_challenge
        from kcseg.study.search import report_search
        from kcseg.training import tune as training
        from kcseg.training.post import post_from_environment
        from kcseg.training.search import Search
        from kcseg.training.trial import FINISHED

    post = post_from_environment(os.environ)
    search = Search(
        config,
        trials=trials,
        folds=folds,
        epochs=min(config.training.maximum_epochs, 10) if epochs is None else epochs,
        most_parameters=max_parameters,
        most_ms_per_image=max_ms_per_image,
        random=random,
    )
    with progress_bars(None if post.is_worker else folder) as tell:
        if data is None:
            data = folder / "challenge"
            simulate_challenge(data, replace(config.simulation, test=0), tell=tell, workers=2)
        results = training.tune(
            folder, training_batch(data), search, post=post, timeout_s=60 * timeout, tell=tell
        )
    if post.is_worker:
        print_line("All trials have ended; the chief writes the report")
        return
    page = report_search(folder, search, results)
    for result in results:
        if result.status != FINISHED:
            print_line(f"Passed over trial {result.trial}, {result.status}: {result.reason}")
    best = training.best_trial(results)
    head = f"trial {best.trial}, Dice {best.dice:.4f}"
    shown = {
        name: f"{value:.4g}" if isinstance(value, float) else value for name, value in best.values.items()
    }
    print_table([{"setting": name, head: value} for name, value in shown.items()])
    print_line(f"Settings in {folder / 'best.json'}")
    print_line(f"Look at {page}")
