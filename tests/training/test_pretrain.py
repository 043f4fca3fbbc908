import json
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from kcseg.config import AugmentationConfig, NetworkConfig, PretrainingConfig, TrainingConfig
from kcseg.errors import InputError
from kcseg.files import read_json, sha256
from kcseg.network.unet import build_unet
from kcseg.training.checkpoint import load_pretrained, save_pretrained
from kcseg.training.members import train_members
from kcseg.training.pretrain import pretrain
from kcseg.training.run import open_run


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """A data set in COCO's layout whose persons are bright squares."""
    folder = tmp_path_factory.mktemp("coco")
    random = np.random.default_rng(0)
    (folder / "annotations").mkdir()
    for split, count in (("train", 10), ("val", 4)):
        (folder / f"{split}2017").mkdir()
        images, annotations = [], []
        for number in range(count):
            left, top, side = (int(value) for value in random.integers((0, 0, 30), (60, 40, 60)))
            pixels = random.integers(0, 80, (96, 128), dtype=np.uint8)
            pixels[top : top + side, left : left + side] += 150
            PIL.Image.fromarray(pixels).save(folder / f"{split}2017" / f"{number}.png")
            images.append({"id": number, "file_name": f"{number}.png", "height": 96, "width": 128})
            right, bottom = left + side, top + side
            outline = [[left, top, right, top, right, bottom, left, bottom]]
            annotations.append(
                {
                    "image_id": number,
                    "category_id": 1,
                    "iscrowd": 0,
                    "segmentation": outline,
                    "bbox": [left, top, side, side],
                }
            )
        content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
        (folder / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def config(tiny):
    return replace(
        tiny,
        augmentation=AugmentationConfig(translation_px=2, rotation_degrees=5),
        training=TrainingConfig(loss="binary_crossentropy+dice", learning_rate=1e-2, batch_size=4),
        pretraining=PretrainingConfig(size_px=32, steps_per_epoch=10, maximum_epochs=4, validation_crops=8),
    )


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory, squares, config):
    folder = tmp_path_factory.mktemp("pretrained") / "run"
    pretrain(folder, squares, config)
    return folder


def test_what_is_passed_over_is_known_before_the_training(tmp_path, squares, config):
    class Cut(Exception):
        pass

    def cut(split):
        raise Cut(dict(split.skipped))

    with pytest.raises(Cut):
        pretrain(tmp_path / "run", squares, config, on_read=cut)
    assert not (tmp_path / "run" / "history.csv").exists()


def test_learns_the_squares(pretrained):
    result = read_json(pretrained / "result.json")
    assert result["validation_dice"] > 0.6
    assert result["sha256"] == sha256(pretrained / "pretrained.npz")
    assert result["images"] == {"train": 10, "val": 4}
    assert not (pretrained / "state.npz").exists()


def test_an_interrupted_pretraining_ends_with_the_same_weights(tmp_path, pretrained, squares, config):
    class Cut(Exception):
        pass

    def cut(stage, done, total, note=""):
        if done == 25:
            raise Cut

    with pytest.raises(Cut):
        pretrain(tmp_path / "run", squares, config, tell=cut)
    assert not (tmp_path / "run" / "pretrained.npz").exists()
    pretrain(tmp_path / "run", squares, config)
    with (
        np.load(tmp_path / "run" / "pretrained.npz") as again,
        np.load(pretrained / "pretrained.npz") as once,
    ):
        assert again.files == once.files
        assert all(again[name].tobytes() == once[name].tobytes() for name in once.files)


def test_other_settings_and_finished_runs_are_left_alone(tmp_path, pretrained, squares, config):
    with pytest.raises(InputError, match="finished pre-training"):
        pretrain(pretrained, squares, config)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds files that are not a pre-training"):
        pretrain(tmp_path, squares, config)


def test_members_start_from_the_weights_but_for_the_head(tmp_path, pretrained, rings, config):
    slow = replace(config, training=replace(config.training, learning_rate=1e-12, maximum_epochs=1))
    run = open_run(tmp_path / "run", rings, slow, pretrained / "pretrained.npz")
    train_members(run, rings, [1])
    found = {variable.path: variable.numpy() for variable in run.load_network(1).variables}
    with np.load(pretrained / "pretrained.npz") as start:
        np.testing.assert_allclose(
            found["first_convolution/kernel"], start["first_convolution/kernel"], atol=1e-6
        )
        assert np.abs(found["soft_mask/kernel"] - start["soft_mask/kernel"]).max() > 1e-3


def test_a_run_remembers_what_it_started_from(tmp_path, pretrained, rings, config):
    run = open_run(tmp_path / "run", rings, config, pretrained / "pretrained.npz")
    open_run(tmp_path / "run", rings, config, pretrained / "pretrained.npz")
    with pytest.raises(InputError, match="other settings or data"):
        open_run(tmp_path / "run", rings, config)
    (run.folder / "pretrained.npz").write_bytes(b"")
    with pytest.raises(InputError, match="not what the run was started with"):
        run.pretrained()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (NetworkConfig(levels=2, filters=8), "first_convolution is"),
        (NetworkConfig(levels=3, filters=4), "down2_block1"),
        (NetworkConfig(levels=2, filters=4, blocks_per_level=2), "block2"),
    ],
)
def test_weights_of_another_network_name_the_first_layer_that_differs(tmp_path, other, message):
    save_pretrained(tmp_path / "weights.npz", build_unet(NetworkConfig(levels=2, filters=4), seed=0))
    with pytest.raises(InputError, match=message):
        load_pretrained(tmp_path / "weights.npz", other)
    save_pretrained(tmp_path / "other.npz", build_unet(other, seed=0))
    with pytest.raises(InputError, match="another network"):
        load_pretrained(tmp_path / "other.npz", NetworkConfig(levels=2, filters=4))


@pytest.mark.parametrize("content", [b"", b"PK", b"no weights"])
def test_what_holds_no_weights_is_said_so(tmp_path, content):
    (tmp_path / "weights.npz").write_bytes(content)
    with pytest.raises(InputError, match="no pre-trained weights"):
        load_pretrained(tmp_path / "weights.npz", NetworkConfig(levels=2, filters=4))
    with pytest.raises(InputError, match="no pre-trained weights"):
        load_pretrained(tmp_path / "none.npz", NetworkConfig(levels=2, filters=4))
