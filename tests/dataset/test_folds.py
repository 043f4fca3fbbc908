import pytest

from kcseg.dataset.folds import random_folds
from kcseg.errors import InputError

IDS = tuple(f"{number:03}" for number in range(23))


def test_every_image_is_held_out_once():
    folds = random_folds(IDS, 5, seed=1)
    assert sorted(name for fold in folds for name in fold) == list(IDS)
    assert sorted(map(len, folds)) == [4, 4, 5, 5, 5]


def test_the_deal_depends_on_the_seed_alone():
    assert random_folds(IDS, 5, seed=1) == random_folds(IDS, 5, seed=1) != random_folds(IDS, 5, seed=2)


def test_too_few_images_are_an_error():
    with pytest.raises(InputError, match="4 training images cannot be dealt into 5 folds"):
        random_folds(IDS[:4], 5, seed=1)
