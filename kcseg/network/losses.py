"""What training lowers, and the Dice it watches."""

import functools
from collections.abc import Callable

import keras
from keras import KerasTensor, ops

Loss = Callable[[KerasTensor, KerasTensor], KerasTensor]


def binary_crossentropy(reference: KerasTensor, soft_mask: KerasTensor) -> KerasTensor:
    """Mean cross-entropy of each image over pixels and structures, (batch,). The paper's training curve shows it."""
    return ops.mean(keras.losses.binary_crossentropy(reference, soft_mask), axis=(1, 2))


def soft_dice_loss(reference: KerasTensor, soft_mask: KerasTensor) -> KerasTensor:
    """One minus the Dice of each soft mask, mean over structures, (batch,).

    One pixel is added above and below, so that empty masks count.
    """
    return 1.0 - ops.mean(_dice(reference, soft_mask, smooth=1.0), axis=-1)


def crossentropy_and_dice(reference: KerasTensor, soft_mask: KerasTensor) -> KerasTensor:
    """Sum of the two other losses, (batch,)."""
    return binary_crossentropy(reference, soft_mask) + soft_dice_loss(reference, soft_mask)


LOSSES: dict[str, Loss] = {
    "binary_crossentropy": binary_crossentropy,
    "dice": soft_dice_loss,
    "binary_crossentropy+dice": crossentropy_and_dice,
}


def dice(reference: KerasTensor, soft_mask: KerasTensor) -> KerasTensor:
    """Dice of each cortex mask cut at 0.5, (batch,): the challenge's score (paper).

    Two empty masks score 1 (our choice). The cortex is the first structure.
    """
    mask = ops.cast(soft_mask > 0.5, reference.dtype)
    return _dice(reference, mask, smooth=keras.config.epsilon())[:, 0]


def where_known(measure: Loss) -> Loss:
    """Return a loss or Dice that leaves pixels with a negative reference out: they count as rightly left empty."""

    @functools.wraps(measure)
    def known(reference: KerasTensor, soft_mask: KerasTensor) -> KerasTensor:
        is_known = ops.cast(reference >= 0, soft_mask.dtype)
        return measure(reference * is_known, soft_mask * is_known)

    return known


def _dice(reference: KerasTensor, mask: KerasTensor, smooth: float) -> KerasTensor:
    both = ops.sum(reference * mask, axis=(1, 2))  # (batch, structures)
    either = ops.sum(reference, axis=(1, 2)) + ops.sum(mask, axis=(1, 2))
    return (2.0 * both + smooth) / (either + smooth)
