"""What the served ensemble costs beside its seven networks alone, and what the ways to build it cost beside each other.

Networks have random weights, which changes nothing for them; but their masks are noise, on which components take twice
the time they take on a cortex. What goes on around the networks is therefore measured on the bright parts of simulated
images, too. Variants take turns, and ratios are medians over the rounds, so that whatever else the machine does falls
on all alike.

    python benchmarks/serving.py [--filters 16] [--batch 4] [--rounds 9] [--clock cpu]
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as kcseg does; here TensorFlow comes first

import click
import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table
from throughput import forward_gflop, simulated_batch

from kcseg.config import EXPORT, PAPER, Config
from kcseg.image.window import window
from kcseg.network.fold import fold_normalisation
from kcseg.network.unet import build_unet
from kcseg.serving.graph import EnsembleGraph

Variant = Callable[[], object]
WINDOWED = [tf.TensorSpec((None, None, None, 1), tf.float32)]


def side_by_side(networks: list[keras.Model]) -> tf.types.experimental.PolymorphicFunction:
    """All networks in one graph, free to overlap."""
    return tf.function(
        lambda x: [network(x, training=False) for network in networks], input_signature=WINDOWED
    )


def in_sequence(networks: list[keras.Model]) -> tf.types.experimental.PolymorphicFunction:
    """All networks in one graph, each waiting for the one before."""

    def call(x: tf.Tensor) -> list[tf.Tensor]:
        outputs: list[tf.Tensor] = []
        for network in networks:
            with tf.control_dependencies(outputs[-1:]):
                outputs.append(network(tf.identity(x), training=False))
        return outputs

    return tf.function(call, input_signature=WINDOWED)


def grouped(networks: list[keras.Model]) -> tf.types.experimental.PolymorphicFunction:
    """One network of seven times the channels, whose layers are the layers of all networks in groups."""
    count = len(networks)

    def members(x: tf.Tensor) -> list[tf.Tensor]:
        return tf.split(x, count, axis=-1)

    def call(layer: keras.layers.Layer, x: object, **options: object) -> tf.Tensor:
        each = [network.get_layer(layer.name) for network in networks]
        if isinstance(layer, keras.layers.Conv2DTranspose):  # there is no grouped one
            return tf.concat([part(y) for part, y in zip(each, members(x), strict=True)], axis=-1)
        if isinstance(layer, keras.layers.Conv2D):
            kernel = tf.concat([part.kernel for part in each], axis=-1)
            bias = tf.concat([part.bias for part in each], axis=-1)
            convolved = tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)
            return tf.sigmoid(convolved) if layer.activation is keras.activations.sigmoid else convolved
        if isinstance(layer, keras.layers.Concatenate):
            return tf.concat([y for pair in zip(*map(members, x), strict=True) for y in pair], axis=-1)
        return layer(x, **options)

    return tf.function(lambda x: run_layers(networks[0], x, call), input_signature=WINDOWED)


def run_layers(network: keras.Model, x: tf.Tensor, call: Callable[..., tf.Tensor]) -> tf.Tensor:
    """Run a network's layers on x, each by `call`."""
    known = {network.input.name: x}
    for layer in network.layers[1:]:
        inputs = [known[tensor.name] for tensor in tf.nest.flatten(layer.input)]
        known[layer.output.name] = call(layer, inputs if len(inputs) > 1 else inputs[0])
    return known[network.output.name]


# other processes stretch the first; the second counts what all threads of this one worked
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def take_turns(
    variants: dict[str, Variant], rounds: int, clock: Callable[[], float]
) -> dict[str, np.ndarray]:
    """Seconds of every call, (rounds,) by name; one call of each goes before, uncounted."""
    for call in variants.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, call in variants.items():
            start = clock()
            call()
            seconds[name].append(clock() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def bright_parts(number: int) -> keras.Model:
    """A stand-in for a trained network that costs next to nothing: smooth outlines of what is brighter than 90 HU."""
    image = keras.Input((None, None, 1), name="image")
    head = keras.layers.Conv2D(1, 7, padding="same", activation="sigmoid", name="soft_mask")
    network = keras.Model(image, head(image))
    head.set_weights([np.full((7, 7, 1, 1), 20 / 49), np.array([-13.4 - 0.1 * number])])
    return network


def served(networks: list[keras.Model], config: Config, precision: str) -> EnsembleGraph:
    return EnsembleGraph(networks, config, replace(EXPORT, precision=precision))


@click.command()
@click.option("--filters", default=16, show_default=True, help="Filters at the top level.")
@click.option("--batch", default=4, show_default=True, help="Images of a request.")
@click.option("--rounds", default=9, show_default=True, help="Turns of every variant.")
@click.option("--clock", type=click.Choice(list(CLOCKS)), default="wall", show_default=True)
def main(filters: int, batch: int, rounds: int, clock: str) -> None:
    """Print the time of the served ensemble, of its parts and of other ways to build it, and their ratios."""
    config = replace(PAPER, network=replace(PAPER.network, filters=filters))
    networks = [build_unet(config.network, seed=seed) for seed in config.member_numbers]
    folded, reduced = (
        [fold_normalisation(network, dtype=precision) for network in networks]
        for precision in ("float32", "bfloat16")
    )
    whole = {precision: served(networks, config, precision) for precision in ("float32", "bfloat16")}
    around = served([bright_parts(number) for number in config.member_numbers], config, "float32")
    hu = tf.constant(np.stack(simulated_batch(batch, seed=1).images))
    x = tf.constant(window(hu.numpy(), config.image.window_hu)[..., np.newaxis])
    factor = tf.random.stateless_uniform((2048, 2048), (1, 2))
    product = tf.function(tf.matmul)
    calls = {
        "matrix product, float32": (product, (factor, factor)),
        "networks, plain": (side_by_side(networks), (x,)),
        "networks, folded": (side_by_side(folded), (x,)),
        "  in sequence": (in_sequence(folded), (x,)),
        "  grouped": (grouped(folded), (x,)),
        "networks, bfloat16": (side_by_side(reduced), (x,)),
        "around the networks": (around.segment, (hu,)),
        "ensemble": (whole["float32"].segment, (hu,)),
        "ensemble, bfloat16": (whole["bfloat16"].segment, (hu,)),
        "ensemble, one image": (whole["float32"].segment, (hu[:1],)),
        "bfloat16, one image": (whole["bfloat16"].segment, (hu[:1],)),
    }
    seconds = take_turns(
        {name: (lambda f=f, a=a: f(*a)) for name, (f, a) in calls.items()}, rounds, CLOCKS[clock]
    )
    gflop = len(networks) * forward_gflop(networks[0], x.numpy()) / batch
    peak, base = seconds["matrix product, float32"], seconds["networks, folded"]
    peak_rate = 2 * 2048**3 / 1e9 / peak
    console = Console()
    table = Table("variant", "ms", "images/s", "time / folded", f"of {np.median(peak_rate):.0f} GFLOP/s")
    for name, each in list(seconds.items())[1:]:
        images = 1 if name.endswith("one image") else batch
        rate = np.median(images * gflop / each / peak_rate)
        table.add_row(
            name,
            f"{1e3 * np.median(each):.0f}",
            f"{images / np.median(each):.1f}",
            f"{np.median(each / base * batch / images):.3f}",
            f"{rate:.2f}" if name != "around the networks" else "",
        )
    console.print(table)
    console.print(
        f"{len(networks)} networks of {filters} filters, batches of {batch}, medians of {rounds} rounds by "
        f"{clock} time; 'time' is per image, 'rate' against the float32 matrix product of the same round"
    )


if __name__ == "__main__":
    main()
