"""How one network of kcseg learns and predicts beside those that people would take instead, on the same images.

    python -m venv peers
    peers/bin/pip install . torch monai nnunetv2 segmentation-models-pytorch
    peers/bin/kcseg simulate simulated --train 100 --train 100 --test 60
    peers/bin/python benchmarks/peers.py --data simulated --out peers.json

All learn from the references of the simulated challenge, faults included, and are scored against its truth. Each
contender is a process of its own, and they take turns of a minute, so that whatever else the machine does slows all of
them alike. All get the same images with the same random changes, and train in float32 with a rate that falls to zero
in the time given:

- kcseg: as the preset 'quick' says.
- nnU-Net: the 2D network that its plan gives for these images (6 stages, 32 to 512 features, batches of 10), with its
  own loss on five levels, optimiser and schedule; our changes of the images in place of its own.
- MONAI's DynUNet (5 levels from 32 features, residual blocks) and the U-Net of segmentation_models.pytorch (ResNet-34,
  random weights at the start): with kcseg's batches, loss and optimiser.
"""

import json
import math
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import click
import numpy as np

from kcseg.config import QUICK

TURN_S, GOAL = 60.0, 0.85


class Contender(Protocol):
    """A network that can take a training step and predict."""

    batch_size: int

    def train(self, images: np.ndarray, masks: np.ndarray, done: float) -> None:
        """Take a step; `done` is the share of the training that is over."""

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return soft masks of windowed images, both (batch, height, width)."""


class Ours:
    """kcseg's network as the preset 'quick' trains it, and as it is exported."""

    def __init__(self) -> None:
        import tensorflow as tf

        from kcseg.network.fold import fold_normalisation
        from kcseg.network.unet import build_unet
        from kcseg.training.fit import compiled_network

        self.batch_size = QUICK.training.batch_size
        # the rate falls by time here, and not by steps
        constant = replace(QUICK, training=replace(QUICK.training, schedule="constant"))
        self._network = compiled_network(constant, 20, seed=0)
        self._plain = build_unet(QUICK.network, seed=0)  # without optimiser
        self._fold, self._folded, self._stale = fold_normalisation, None, True
        self._infer = tf.function(lambda images: self._folded(images, training=False))

    def train(self, images: np.ndarray, masks: np.ndarray, done: float) -> None:
        self._network.optimizer.learning_rate.assign(QUICK.training.learning_rate * cosine(done))
        self._network.train_on_batch(images, masks)
        self._stale = True

    def predict(self, images: np.ndarray) -> np.ndarray:
        if self._stale:
            self._plain.set_weights(self._network.get_weights())
            self._folded = self._fold(self._plain, into=self._folded)
            self._stale = False
        return self._infer(images[..., np.newaxis]).numpy()[..., 0]


class OfTorch:
    """A PyTorch network."""

    def __init__(
        self, network: Any, loss: Callable, optimizer: Any, falling: Callable, batch_size: int, soft: Callable
    ):
        self.batch_size = batch_size
        self._network, self._loss, self._optimizer = network, loss, optimizer
        self._rate, self._falling, self._soft = optimizer.param_groups[0]["lr"], falling, soft

    def train(self, images: np.ndarray, masks: np.ndarray, done: float) -> None:
        import torch

        self._network.train()
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate * self._falling(done)
        self._optimizer.zero_grad()
        image, mask = (torch.from_numpy(np.moveaxis(array, -1, 1).copy()) for array in (images, masks))
        self._loss(self._network(image), mask).backward()
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), 12)  # as nnU-Net does
        self._optimizer.step()

    def predict(self, images: np.ndarray) -> np.ndarray:
        import torch

        self._network.eval()
        with torch.inference_mode():
            return self._soft(self._network(torch.from_numpy(images[:, np.newaxis].copy()))).numpy()


def cosine(done: float) -> float:
    """Share of the rate, as the preset's schedule has it."""
    return 0.5 * (1 + math.cos(math.pi * min(done, 1)))


def nnunet() -> OfTorch:
    """nnU-Net's 2D network, loss, optimiser and schedule."""
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet
    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
    from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper

    stages = 6
    network = PlainConvUNet(
        1,
        stages,
        (32, 64, 128, 256, 512, 512),
        torch.nn.Conv2d,
        3,
        (1, 2, 2, 2, 2, 2),
        2,
        2,
        2,
        conv_bias=True,
        norm_op=torch.nn.InstanceNorm2d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=torch.nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=True,
    )
    network.apply(network.initialize)
    weights = np.array([0.5**level for level in range(stages - 2)] + [0.0])
    single = DC_and_CE_loss({"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False}, {})
    deep = DeepSupervisionWrapper(single, weights / weights.sum())

    def loss(outputs: list, mask: Any) -> Any:
        return deep(outputs, [torch.nn.functional.interpolate(mask, output.shape[2:]) for output in outputs])

    def soft(outputs: list) -> Any:
        return torch.softmax(outputs[0], 1)[:, 1]

    optimizer = torch.optim.SGD(network.parameters(), 1e-2, momentum=0.99, nesterov=True, weight_decay=3e-5)
    return OfTorch(network, loss, optimizer, lambda done: (1 - min(done, 1)) ** 0.9, 10, soft)


def with_our_loss(network: Any) -> OfTorch:
    """A network with one output, trained as kcseg's is."""
    import torch

    def loss(output: Any, mask: Any) -> Any:
        soft_mask = torch.sigmoid(output)
        both, either = (soft_mask * mask).sum((1, 2, 3)), soft_mask.sum((1, 2, 3)) + mask.sum((1, 2, 3))
        crossentropy = torch.nn.functional.binary_cross_entropy_with_logits(output, mask)
        return crossentropy + 1 - ((2 * both + 1) / (either + 1)).mean()

    optimizer = torch.optim.Adam(network.parameters(), QUICK.training.learning_rate)
    batch_size = QUICK.training.batch_size
    return OfTorch(network, loss, optimizer, cosine, batch_size, lambda output: torch.sigmoid(output)[:, 0])


def dynunet() -> OfTorch:
    """MONAI's DynUNet."""
    from monai.networks.nets import DynUNet

    return with_our_loss(DynUNet(2, 1, 1, [3] * 5, [1, 2, 2, 2, 2], [2] * 4, res_block=True))


def smp_unet() -> OfTorch:
    """The U-Net of segmentation_models.pytorch."""
    import segmentation_models_pytorch

    return with_our_loss(segmentation_models_pytorch.Unet("resnet34", encoder_weights=None, in_channels=1))


CONTENDERS: dict[str, Callable[[], Contender]] = {
    "kcseg": Ours,
    "nnU-Net 2D": nnunet,
    "MONAI DynUNet": dynunet,
    "segmentation_models.pytorch": smp_unet,
}


def contend(connection: Connection, name: str, data: Path) -> None:
    """Train and predict as the other end of the connection asks; answers are dictionaries."""
    from kcseg.dataset.augment import Augmenter
    from kcseg.dataset.batch import read_batch, read_truth, training_batch
    from kcseg.image.window import window
    from kcseg.study.scores import dice

    learned, tests = training_batch(data), read_batch(data / "test")
    images, test = (window(np.stack(batch.images), QUICK.image.window_hu) for batch in (learned, tests))
    masks, truth = np.stack(learned.masks)[..., np.newaxis], read_truth(data / "test", tests.ids)
    contender, augment = CONTENDERS[name](), Augmenter(QUICK.augmentation)
    step, spent = 0, 0.0

    # kcseg's own pipeline needs TensorFlow, which ends with PyTorch in one process
    def steps(step: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = np.random.default_rng([1, step]).choice(len(images), contender.batch_size, replace=False)
        image, mask = augment(images[chosen], masks[chosen].astype(np.uint8), seed=step)
        return image[..., np.newaxis], mask.astype(np.float32)

    def score() -> float:
        soft_masks = np.concatenate(
            [contender.predict(tens) for tens in np.split(test, range(10, len(test), 10))]
        )
        return float(np.mean([dice(one > 0.5, known) for one, known in zip(soft_masks, truth, strict=True)]))

    for task, total in iter(connection.recv, None):
        start = time.perf_counter()
        if task == "train":  # for a turn of `total` seconds in all
            while (now := time.perf_counter() - start) < TURN_S and spent + now < total:
                contender.train(*steps(step), (spent + now) / total)
                step += 1
            spent += time.perf_counter() - start
            connection.send({"images": step * contender.batch_size, "seconds": spent, "dice": score()})
        elif task == "images":  # anew, until it has seen `total` images
            contender, last = CONTENDERS[name](), -(-total // contender.batch_size)
            for number in range(last):
                contender.train(*steps(number), number / last)
            connection.send({"dice": score()})
        else:
            contender.predict(test[:10])
            connection.send({"image_s": (time.perf_counter() - start) / 10})


@click.command()
@click.option("--minutes", default=12.0, help="Of training, for each contender.")
@click.option("--data", type=Path, required=True, help="A simulated challenge folder.")
@click.option("--out", type=Path, required=True, help="Write what was measured to this file.")
def main(minutes: float, data: Path, out: Path) -> None:
    """Let all contenders train in turns, then predict in turns, then train on equally many images."""
    context = multiprocessing.get_context("spawn")
    ends = {}
    for name in CONTENDERS:
        ends[name], theirs = context.Pipe()
        context.Process(target=contend, args=(theirs, name, data), daemon=True).start()

    def ask(name: str, *task: Any) -> dict[str, float]:
        ends[name].send(task)
        return ends[name].recv()

    turns: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for turn in range(math.ceil(minutes * 60 / TURN_S)):
        for name, told in turns.items():
            told.append(ask(name, "train", minutes * 60))
            click.echo(f"turn {turn + 1} {name} {told[-1]}")
            out.write_text(json.dumps(turns, indent=1))
    image_s: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(12):
        for name, seconds in image_s.items():
            seconds.append(ask(name, "predict", 0)["image_s"])
    fewest = min(told[-1]["images"] for told in turns.values())
    rows = {
        name: {
            "images seen": told[-1]["images"],
            "images/s in training": told[-1]["images"] / told[-1]["seconds"],
            "Dice": told[-1]["dice"],
            f"minutes to {GOAL}": next((one["seconds"] / 60 for one in told if one["dice"] >= GOAL), None),
            "images/s in prediction": 1 / float(np.median(image_s[name])),
        }
        for name, told in turns.items()
    }
    for name, row in rows.items():
        row[f"Dice after {fewest} images"] = (
            row["Dice"] if row["images seen"] == fewest else ask(name, "images", fewest)["dice"]
        )
        click.echo(
            f"{name}: " + ", ".join(f"{key} {value and round(value, 3)}" for key, value in row.items())
        )
    out.write_text(json.dumps({"rows": rows, "turns": turns}, indent=1))


if __name__ == "__main__":
    main()
