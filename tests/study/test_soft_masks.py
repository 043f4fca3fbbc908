from dataclasses import replace

import numpy as np
import pytest

from kcseg.config import EnsembleConfig
from kcseg.dataset.batch import Batch
from kcseg.errors import InputError
from kcseg.files import read_json
from kcseg.image.window import window
from kcseg.study.soft_masks import held_out_soft_masks, soft_masks
from kcseg.training.run import Run, open_run


def test_each_image_is_predicted_by_the_member_that_held_it_out(trained_run, rings):
    seen = []
    soft_masks = held_out_soft_masks(trained_run, rings, lambda *told: seen.append(told))
    assert seen[-1][1:] == (len(rings), len(rings)) and len(seen) == len(soft_masks) == len(rings)
    folds = read_json(trained_run.folder / "folds.json")
    images = window(np.stack(rings.images), trained_run.config.image.window_hu)[..., np.newaxis]
    everyone = {number: trained_run.load_network(number).predict(images, verbose=0) for number in (1, 2)}
    for place, name in enumerate(rings.ids):
        (number,) = (number for number in (1, 2) if name in folds[f"member-{number}"])
        np.testing.assert_allclose(soft_masks[place], everyone[number][place, ..., 0], atol=1e-5)
        assert np.abs(soft_masks[place] - everyone[3 - number][place, ..., 0]).max() > 1e-3


def test_members_segment_images_of_any_size(trained_run, rings):
    images = [rings.images[0], rings.images[1][:25, 4:]]
    stages = []
    found = soft_masks(trained_run, images, (1, 3), lambda *told: stages.append(told))
    assert [one.shape for one in found] == [(2, 32, 32), (2, 25, 28)]
    assert stages == [("segmenting", done, 4) for done in (1, 2, 3, 4)]
    network = trained_run.load_network(3)
    windowed = window(images[1], trained_run.config.image.window_hu)[np.newaxis, ..., np.newaxis]
    np.testing.assert_allclose(found[1][1], network.predict(windowed, verbose=0)[0, ..., 0], atol=1e-5)


def test_other_images_are_refused(trained_run, rings):
    other = Batch(rings.name, rings.ids, rings.images, rings.masks[::-1])
    with pytest.raises(InputError, match="challenge folder of its training"):
        held_out_soft_masks(trained_run, other)


def test_untrained_members_are_named(tmp_path, rings, tiny):
    with pytest.raises(InputError, match="lacks the fold members 1, 2"):
        held_out_soft_masks(open_run(tmp_path, rings, tiny), rings)


def test_a_run_without_folds_has_no_held_out_predictions(tmp_path, rings, tiny):
    config = replace(tiny, ensemble=EnsembleConfig(folds=0, full_members=1))
    run: Run = open_run(tmp_path, rings, config)
    with pytest.raises(InputError, match=r"ensemble\.folds"):
        held_out_soft_masks(run, rings)
