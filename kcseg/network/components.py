"""The largest connected component of each soft mask, inside the graph."""

import tensorflow as tf


def keep_largest_component(soft_masks: tf.Tensor, *, threshold: float, neighbours: int) -> tf.Tensor:
    """Set every soft mask to zero outside its largest component.

    Args:
        soft_masks: float (count, height, width) in [0, 1].
        threshold: a pixel belongs to a component where its value is above this (our choice).
        neighbours: 4 or 8 (our choice).

    Components are found on a graph of horizontal runs, which is far smaller than the graph of pixels: runs are nodes,
    an overlap with a run of the row below is an edge, and each run comes to point at the first run of its component.
    Of equally large components the first in raster order stays. Source: the paper keeps the largest component of
    each soft mask.
    """
    inside = soft_masks > threshold
    run = _number_runs(inside)
    count = tf.maximum(tf.reduce_max(run), 0) + 1  # node 0 is the background
    first = _first_runs(_overlaps(inside, run, neighbours), count)
    return tf.where(tf.gather(_largest(run, first, count), run), soft_masks, tf.zeros_like(soft_masks))


def _number_runs(inside: tf.Tensor) -> tf.Tensor:
    """Number the horizontal runs 1, 2, … in raster order; int32 (count, height, width), 0 outside."""
    starts = inside & ~_shift(inside, 0, 1)
    number = tf.reshape(tf.cumsum(tf.cast(tf.reshape(starts, [-1]), tf.int32)), tf.shape(inside))
    return tf.where(inside, number, 0)


def _overlaps(inside: tf.Tensor, run: tf.Tensor, neighbours: int) -> tf.Tensor:
    """Pairs of touching runs in adjacent rows, int32 (pairs, 2)."""
    above, run_above = _shift(inside, 1, 0), _shift(run, 1, 0)
    both = inside & above
    pairs = [_pairs(both & ~_shift(both, 0, 1), run, run_above)]
    if neighbours == 8:
        for side in (1, -1):
            # a diagonal touch counts only where no vertical one joins the same two runs
            corner = inside & ~above & _shift(above & ~inside, 0, side)
            pairs.append(_pairs(corner, run, _shift(run_above, 0, side)))
    return tf.concat(pairs, axis=0)


def _pairs(where: tf.Tensor, run: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    return tf.stack([tf.boolean_mask(run, where), tf.boolean_mask(other, where)], axis=1)


def _first_runs(pairs: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """For each run the first run of its component, int32 (count,)."""

    def unsettled(parent: tf.Tensor) -> tf.Tensor:
        ends = tf.gather(parent, pairs)
        return tf.reduce_any(ends[:, 0] != ends[:, 1])

    def hook(parent: tf.Tensor) -> list[tf.Tensor]:
        ends = tf.gather(parent, pairs)
        smaller, larger = tf.reduce_min(ends, axis=1), tf.reduce_max(ends, axis=1)
        parent = tf.minimum(parent, tf.math.unsorted_segment_min(smaller, larger, count))
        for _ in range(2):  # two jumps per hook settle even spirals in a few rounds
            parent = tf.gather(parent, parent)
        return [parent]

    (parent,) = tf.while_loop(unsettled, hook, [tf.range(count)], shape_invariants=[tf.TensorShape([None])])
    return parent


def _largest(run: tf.Tensor, first: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Whether each run belongs to the largest component of its mask, bool (count,)."""
    masks = tf.shape(run)[0]
    flat = tf.reshape(run, [-1])
    area = tf.math.unsorted_segment_sum(tf.ones_like(flat), tf.gather(first, flat), count)
    mask_of_pixel = tf.repeat(tf.range(masks), tf.size(run) // tf.maximum(masks, 1))
    mask_of_run = tf.math.unsorted_segment_max(mask_of_pixel, flat, count)
    # the background may stand in every mask: a mask of its own keeps it out of all
    mask_of_run = tf.where(tf.range(count) == 0, masks, mask_of_run)
    largest = tf.gather(tf.math.unsorted_segment_max(area, mask_of_run, masks + 1), mask_of_run)
    candidates = tf.where(area == largest, tf.range(count), count)
    chosen = tf.math.unsorted_segment_min(candidates, mask_of_run, masks + 1)
    return (first == tf.gather(chosen, mask_of_run)) & (tf.range(count) > 0)


def _shift(x: tf.Tensor, rows: int, columns: int) -> tf.Tensor:
    """Move every mask down by `rows` and right by `columns` (-1, 0 or 1), filling with zero or False."""
    _, height, width = tf.unstack(tf.shape(x))
    padded = tf.pad(x, [[0, 0], [1, 1], [1, 1]])
    return padded[:, 1 - rows : 1 - rows + height, 1 - columns : 1 - columns + width]
