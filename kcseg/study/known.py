"""Images of a challenge whose cortex is known: the references and, where images are simulated, the truth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kcseg.dataset.batch import Batch, find_batches, read_batch, read_truth, training_batch, training_truth
from kcseg.errors import InputError
from kcseg.files import is_folder
from kcseg.phantom.simulate import planted_faults


@dataclass(frozen=True, eq=False)
class Known:
    """A batch with references, and in its order what else is known; None where it is not."""

    batch: Batch
    truth: tuple[np.ndarray, ...] | None = None  # exact masks, bool (height, width) each
    faults: tuple[tuple[str, ...], ...] | None = None  # planted in each reference, names of `FaultRates`

    @property
    def references(self) -> tuple[np.ndarray, ...]:
        """The annotator's masks, bool (height, width) each."""
        assert self.batch.masks is not None
        return self.batch.masks


def known_training(challenge: Path) -> Known:
    """Read the training batches of a challenge folder.

    Raises:
        InputError: no such folder, or one that cannot be read.
    """
    if not is_folder(challenge):
        raise InputError(
            f"there are no training images in {challenge}; name the challenge folder of the training"
        )
    batch = training_batch(challenge)
    return Known(batch, training_truth(challenge), planted_faults(challenge, batch.ids))


def known_test(challenge: Path) -> Known | None:
    """Read the first test batch of a challenge folder with references; None where there is none."""
    for folder in find_batches(challenge, "test").values():
        batch = read_batch(folder)
        if batch.masks is not None:
            return Known(batch, read_truth(folder, batch.ids))
    return None
