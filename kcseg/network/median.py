"""The per-pixel median as a network of exchanges: minimum and maximum instead of a sort."""

import tensorflow as tf


def exchange_median(members: list[tf.Tensor]) -> tf.Tensor:
    """Return the elementwise median of tensors of one shape; of an even number, the mean of the middle two.

    Batcher's odd-even merge sort orders the list by exchanges; those that do not reach the middle are dead ends, which
    TensorFlow prunes from the graph. Equal to `numpy.median` bit for bit. Source: the paper aggregates by the median.
    """
    ordered = list(members)
    for low, high in _exchanges(len(ordered)):
        a, b = ordered[low], ordered[high]
        ordered[low], ordered[high] = tf.minimum(a, b), tf.maximum(a, b)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _exchanges(count: int) -> list[tuple[int, int]]:
    """Pairs to compare, in order, for any count: Batcher's network with the wires beyond `count` left out."""
    pairs = []
    block = 1
    while block < count:
        step = block
        while step:
            for start in range(step % block, count - step, 2 * step):
                for low in range(start, min(start + step, count - step)):
                    if low // (2 * block) == (low + step) // (2 * block):
                        pairs.append((low, low + step))
            step //= 2
        block *= 2
    return pairs
