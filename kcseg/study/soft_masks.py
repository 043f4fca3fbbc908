"""Soft masks of a run's members, as its networks give them."""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from kcseg.dataset.batch import Batch
from kcseg.errors import InputError
from kcseg.image.window import window
from kcseg.progress import Tell, counted, silent
from kcseg.training.run import Run


def soft_masks(
    run: Run, images: Sequence[np.ndarray], numbers: Sequence[int], tell: Tell = silent
) -> list[np.ndarray]:
    """Return the soft masks of the members with these numbers, all components kept.

    Args:
        run: a run in which these members are trained.
        images: HU (height, width) each, of any size.
        numbers: of the members, from 1.
        tell: told of every soft mask.

    Returns:
        Per image float32 (members, height, width) in [0, 1]; 300 MB for seven members and the challenge's 299 test
        images.
    """
    one_more = counted(tell, "segmenting", len(numbers) * len(images))
    members = [_of_member(run, number, images, one_more) for number in numbers]
    return [np.stack(one) for one in zip(*members, strict=True)]


def held_out_soft_masks(run: Run, batch: Batch, tell: Tell = silent) -> tuple[np.ndarray, ...]:
    """Return a soft mask per training image, of the fold member that held it out.

    All components are kept (our choice): to drop a part of the kidney that lies apart would contradict its reference.

    Args:
        run: a run whose fold members are trained; its full members are not needed.
        batch: the training images of the run, all of them.
        tell: told of every image.

    Returns:
        float32 (height, width) each, in [0, 1], in the order of the batch.

    Raises:
        InputError: other images than the run's, no fold members, or one that is not trained.
    """
    found: dict[str, np.ndarray] = {}
    one_more = counted(tell, "segmenting held-out images", len(batch))
    for number, ids in _held_out(run, batch).items():
        fold = batch.select(ids)
        found |= dict(zip(fold.ids, _of_member(run, number, fold.images, one_more), strict=True))
    return tuple(found[name] for name in batch.ids)


def _of_member(
    run: Run, number: int, images: Sequence[np.ndarray], one_more: Callable[[], None]
) -> list[np.ndarray]:
    network = run.load_network(number)
    found = []
    for image in images:
        windowed = window(image, run.config.image.window_hu)[np.newaxis, ..., np.newaxis]
        found.append(network.predict_on_batch(windowed)[0, ..., 0])
        one_more()
    keras.backend.clear_session(free_memory=True)
    return found


def _held_out(run: Run, batch: Batch) -> dict[int, list[str]]:
    """Return the ids each fold member held out, by its number; together they are the batch."""
    if batch.fingerprint() != run.training_data()["sha256"]:
        raise InputError(
            f"these are not the images and masks {run.folder} was trained on; name the challenge folder of its training"
        )
    held_out = {number: ids for number, ids in run.held_out().items() if number <= run.config.ensemble.folds}
    if sorted(name for ids in held_out.values() for name in ids) != sorted(batch.ids):
        raise InputError(
            f"the fold members of {run.folder} do not hold out every training image once; "
            "train with 'ensemble.folds' of 2 or more"
        )
    if untrained := [number for number in held_out if not run.is_trained(number)]:
        raise InputError(
            f"{run.folder} lacks the fold members {', '.join(map(str, untrained))}; run kcseg train on it until it ends"
        )
    return held_out
