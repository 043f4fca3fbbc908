"""Random folds of the training set."""

import numpy as np

from kcseg.errors import InputError


def random_folds(ids: tuple[str, ...], folds: int, *, seed: int) -> tuple[tuple[str, ...], ...]:
    """Deal the ids into `folds` random groups whose sizes differ by one at most; every id is in exactly one.

    Not stratified (our choice; the paper says random).

    Raises:
        InputError: fewer ids than folds.
    """
    if not folds:
        return ()
    if len(ids) < folds:
        raise InputError(
            f"{len(ids)} training images cannot be dealt into {folds} folds; add images or lower 'ensemble.folds'"
        )
    shuffled = np.random.default_rng(seed).permutation(np.asarray(ids, dtype=object))
    return tuple(tuple(sorted(group)) for group in np.array_split(shuffled, folds))
