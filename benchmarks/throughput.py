"""Images per second of pipeline, training step and inference, beside what the machine can do at most.

The ratio to the measured matrix-product rate is what can be compared between machines and runs; the times cannot.

    python benchmarks/throughput.py [--filters 16] [--seconds 10] [--coco DIR]
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as kcseg does; here TensorFlow comes first

import click
import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from kcseg.config import PAPER, Config
from kcseg.dataset.batch import Batch
from kcseg.dataset.coco import CocoPersons
from kcseg.dataset.pipeline import PersonSteps, TrainingSteps
from kcseg.phantom.case import draw_case
from kcseg.training.fit import compiled_network


def seconds_per_call(call: Callable[[], object], seconds: float) -> float:
    """Fastest of the calls that fit into the time given: whatever else the machine does only adds to it."""
    call()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def average_seconds(call: Callable[[], object], seconds: float) -> float:
    """Average of the calls, for what differs from one to the next, as crops of large and small pictures do."""
    start, calls = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        call()
        calls += 1
    return (time.perf_counter() - start) / calls


def matrix_product_rate() -> float:
    """GFLOP/s of a float32 product large enough to be bound by arithmetic."""
    size = 2048
    left, right = (
        tf.constant(np.random.default_rng(seed).random((size, size), np.float32)) for seed in (0, 1)
    )
    product = tf.function(tf.matmul)
    return 2 * size**3 / seconds_per_call(lambda: product(left, right), 5.0) / 1e9


def forward_gflop(network: keras.Model, images: np.ndarray) -> float:
    """Floating point operations of all convolutions for these images, in 1e9; a multiply-add counts twice."""
    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    convolutions = [layer for layer in network.layers if isinstance(layer, kinds)]
    outputs = keras.Model(network.input, [layer.output for layer in convolutions])(images[:1])
    total = 0.0
    for layer, output in zip(convolutions, outputs, strict=True):
        # strides of a transposed convolution share its kernel out among the pixels they make
        shared = np.prod(layer.strides) if isinstance(layer, keras.layers.Conv2DTranspose) else 1
        total += 2 * np.prod(output.shape[1:3]) * np.prod(layer.kernel.shape) / shared
    return float(total * len(images) / 1e9)


def simulated_batch(count: int, seed: int) -> Batch:
    """Cases of the simulated challenge, held in memory."""
    cases = [draw_case(np.random.default_rng([seed, number])) for number in range(count)]
    ids = tuple(f"{number:04}" for number in range(count))
    images = tuple(case.hu.astype(np.float32) for case in cases)
    return Batch("benchmark", ids, images, tuple(case.truth for case in cases))


@click.command()
@click.option("--filters", default=16, show_default=True, help="Filters at the top level.")
@click.option("--seconds", default=10.0, show_default=True, help="Time for each measurement.")
@click.option(
    "--coco", type=click.Path(path_type=Path), help="COCO folder, to time the crops for pre-training."
)
def main(filters: int, seconds: float, coco: Path | None) -> None:
    """Print images per second of pipeline, training step and inference, and their ratio to the machine's best."""
    config: Config = replace(PAPER, network=replace(PAPER.network, filters=filters))
    steps = TrainingSteps(simulated_batch(20, seed=1), config, seed=1)
    count = config.training.batch_size
    images, masks = steps(0)
    network = compiled_network(config, steps.per_epoch, seed=1)
    infer = tf.function(lambda batch: network(batch, training=False))
    tensor = tf.constant(images)

    peak = matrix_product_rate()
    forward = forward_gflop(network, images)
    numbers = iter(range(10**9))
    measured = {
        "pipeline": (seconds_per_call(lambda: steps(next(numbers)), seconds), 0.0),
        "training step": (
            seconds_per_call(lambda: network.train_on_batch(images, masks), seconds),
            3 * forward,
        ),
        "inference": (seconds_per_call(lambda: infer(tensor), seconds), forward),
    }
    if coco:
        persons = PersonSteps(CocoPersons(coco, "train"), config, seed=1)
        measured["crops of persons"] = (average_seconds(lambda: persons(next(numbers)), seconds), 0.0)
    table = Table("part", "images/s", "GFLOP/s", f"of {peak:.0f} GFLOP/s, the matrix product's")
    for name, (duration, gflop) in measured.items():
        rate = gflop / duration
        table.add_row(
            name,
            f"{count / duration:.1f}",
            f"{rate:.0f}" if gflop else "",
            f"{rate / peak:.2f}" if gflop else "",
        )
    console = Console()
    console.print(table)
    console.print(f"{filters} filters, batches of {count}")
    for name in measured.keys() - {"training step", "inference"}:
        ratio = measured["training step"][0] / measured[name][0]
        console.print(f"{name}: {ratio:.1f} times what a training step eats")


if __name__ == "__main__":
    main()
