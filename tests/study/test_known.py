from shutil import copytree, rmtree

import numpy as np
import pytest

from kcseg.errors import InputError
from kcseg.study.known import known_test, known_training


def test_what_is_known_of_a_challenge_is_read(ring_challenge):
    training, test = known_training(ring_challenge), known_test(ring_challenge)
    assert training.batch.ids[2] == "train-1/0002" and len(training.batch) == 12 and len(test.batch) == 4
    for known, folder, place in ((training, "train-1", 3), (test, "test", 1)):
        for kind, masks in (("masks", known.references), ("truth", known.truth)):
            expected = np.load(ring_challenge / folder / kind / f"{place:04}.npy")
            np.testing.assert_array_equal(masks[place], expected)
    assert training.faults is None  # nobody simulated these


def test_without_truth_or_references_less_is_known(ring_challenge, tmp_path):
    challenge = copytree(ring_challenge, tmp_path / "challenge")
    rmtree(challenge / "test" / "truth")
    assert known_test(challenge).truth is None
    rmtree(challenge / "test" / "masks")
    assert known_test(challenge) is None


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no training images in .*none"):
        known_training(tmp_path / "none")
