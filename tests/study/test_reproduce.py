from dataclasses import replace

import numpy as np
import pytest

from kcseg.config import PretrainingConfig
from kcseg.dataset.augment import Augmenter
from kcseg.errors import InputError
from kcseg.files import read_csv, read_json
from kcseg.phantom.persons import simulate_persons
from kcseg.study.reproduce import Study, reproduce
from kcseg.training.run import load_run


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny, ring_challenge):
    coco = tmp_path_factory.mktemp("coco")
    simulate_persons(coco, train=6, val=2)
    small = PretrainingConfig(size_px=32, steps_per_epoch=2, maximum_epochs=2, validation_crops=4)
    return Study(replace(tiny, pretraining=small), data=ring_challenge, coco=coco, seeds=2, steps=20)


@pytest.fixture(scope="module")
def done(tmp_path_factory, study):
    folder = tmp_path_factory.mktemp("study")
    stages = []
    page = reproduce(folder, study, lambda stage, done, total, note="": stages.append((stage, done, total)))
    return folder, page, stages


def test_it_ends_with_a_report_of_every_claim(done):
    folder, page, _ = done
    text, markdown = page.read_text(), (folder / "reproduction.md").read_text()
    for claim in read_json(folder / "claims.json"):
        assert claim["statement"] in text and claim["statement"] in markdown
        assert claim["ours"] in markdown and claim["verdict"] in markdown


def test_the_tables_figures_are_the_runs_own(done):
    folder, page, _ = done
    (median,) = (row for row in read_csv(folder / "ensemble" / "scores.csv") if row["name"] == "median")
    assert f"<td>{float(median['dice_reference']):.4f}" in page.read_text()


def test_every_picture_of_the_markdown_is_there(done):
    folder, *_ = done
    pictures = [
        line.split("](")[1].rstrip(")")
        for line in (folder / "reproduction.md").read_text().splitlines()
        if line.startswith("![")
    ]
    assert {"figures/figure-2.png", "figures/figure-3.png", "audit/figures/worst.png"} <= set(pictures)
    assert all((folder / picture).stat().st_size > 1000 for picture in pictures)


def test_the_arms_differ_in_one_thing_each(done, study):
    folder, *_ = done
    configs = {
        name: read_json(folder / name / "config.json")
        for name in ("ensemble", "random-start", "no-augmentation")
    }
    starts = {name: read_json(folder / name / "data.json").get("pretrained_sha256") for name in configs}
    assert starts["ensemble"] == starts["no-augmentation"] != starts["random-start"] is None
    assert configs["ensemble"]["augmentation"] == configs["random-start"]["augmentation"]
    still = configs["no-augmentation"]["augmentation"]
    assert still["zoom"] == [1, 1] and still["rotation_degrees"] == 0
    random = np.random.default_rng(0)
    images, labels = random.random((2, 32, 32), np.float32), random.integers(0, 2, (2, 32, 32, 1), np.uint8)
    changed, moved = Augmenter(load_run(folder / "no-augmentation").config.augmentation)(
        images, labels, seed=3
    )
    np.testing.assert_allclose(changed, images, atol=1e-6)
    np.testing.assert_array_equal(moved, labels)
    folds = [read_json(folder / name / "folds.json")["member-1"] for name in configs]
    assert folds[0] == folds[1] == folds[2]


def test_every_stage_ends(done):
    last = {stage: (done, total) for stage, done, total in done[2]}
    assert all(done == total for done, total in last.values()), last


def test_run_again_it_trains_nothing(done, study):
    folder, *_ = done
    weights = {path: path.stat().st_mtime_ns for path in folder.rglob("*.weights.h5")}
    assert len(weights) == 3 + 2 + 2
    reproduce(folder, study)
    assert weights == {path: path.stat().st_mtime_ns for path in folder.rglob("*.weights.h5")}


def test_another_study_and_other_files_are_refused(tmp_path, done, study):
    with pytest.raises(InputError, match="other settings"):
        reproduce(done[0], replace(study, steps=40))
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match="not a study"):
        reproduce(tmp_path, study)
