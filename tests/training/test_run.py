from dataclasses import replace

import numpy as np
import pytest

from kcseg.config import Config
from kcseg.config_json import to_json
from kcseg.errors import InputError
from kcseg.files import read_json, write_json
from kcseg.training.run import load_run, open_run, plan_members, random_folds

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


def test_five_fold_members_and_two_full_ones():
    ids = tuple(f"{number:03}" for number in range(50))
    members = plan_members(ids, Config())
    assert [member.number for member in members] == [1, 2, 3, 4, 5, 6, 7]
    assert sorted(name for member in members[:5] for name in member.held_out) == list(ids)
    assert [member.held_out for member in members[5:]] == [(), ()]
    assert len({member.seed for member in members}) == 7


def test_the_loaded_network_is_the_trained_one(trained_run, rings):
    held_out = rings.select(read_json(trained_run.folder / "folds.json")["member-1"])
    network = trained_run.load_network(1)
    low, high = trained_run.config.image.window_hu
    images = (np.clip(np.stack(held_out.images), low, high) - low) / (high - low)
    masks = np.asarray(network(images[..., None].astype(np.float32)))[..., 0] > 0.5
    references = np.stack(held_out.masks)
    scores = 2 * (masks & references).sum((1, 2)) / (masks.sum((1, 2)) + references.sum((1, 2)))
    stated = read_json(trained_run.member_folder(1) / "member.json")["validation_dice"]
    assert scores.mean() == pytest.approx(stated, abs=1e-5)


def test_weights_that_training_did_not_write_are_refused(run_to_change):
    run = run_to_change
    run.weights_path(3).write_bytes(run.weights_path(3).read_bytes() + b"x")
    with pytest.raises(InputError, match="not what training wrote"):
        run.load_network(3)


def test_a_run_records_settings_folds_and_data_and_opens_again(tmp_path, rings, tiny):
    run = open_run(tmp_path, rings, tiny)
    assert load_run(tmp_path) == run == open_run(tmp_path, rings, tiny)
    folds = read_json(tmp_path / "folds.json")
    assert sorted(folds["member-1"] + folds["member-2"]) == list(rings.ids) and folds["member-3"] == []
    assert read_json(tmp_path / "data.json")["images"] == len(rings)


@pytest.mark.parametrize("name", ["config.json", "data.json"])
def test_other_settings_or_data_are_refused(tmp_path, rings, tiny, name):
    open_run(tmp_path, rings, tiny)
    with pytest.raises(InputError, match=name):
        if name == "data.json":
            open_run(tmp_path, replace(rings, images=rings.images[::-1]), tiny)
        else:
            open_run(tmp_path, rings, replace(tiny, training=replace(tiny.training, batch_size=3)))


def test_a_folder_with_other_files_is_left_alone(tmp_path, rings, tiny):
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(InputError, match="not a kcseg run"):
        open_run(tmp_path, rings, tiny)
    assert (tmp_path / "thesis.docx").read_text() == "years of work"


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(InputError, match=r"has no config\.json"):
        load_run(tmp_path)


def test_a_start_that_was_cut_off_does_not_bind_the_next(tmp_path, rings, tiny):
    open_run(tmp_path, rings, tiny)
    (tmp_path / "config.json").unlink()  # written last
    other = replace(tiny, seed=9)
    assert open_run(tmp_path, rings, other) == load_run(tmp_path)
    assert read_json(tmp_path / "config.json")["seed"] == 9


def test_settings_of_a_network_larger_than_its_weights_are_refused_before_it_is_built(
    tmp_path, run_to_change, monkeypatch
):
    config = run_to_change.config
    larger = replace(config, network=replace(config.network, filters=1024))
    write_json(tmp_path / "config.json", to_json(larger))
    monkeypatch.setattr("kcseg.training.run.build_unet", None)  # fails where it is called
    with pytest.raises(InputError, match=r"was trained with another network: .* too few"):
        load_run(tmp_path).load_network(3)
