import numpy as np
import pytest
from pycocotools import mask as coco_mask

from kcseg.dataset.coco import CocoPersons
from kcseg.errors import InputError
from kcseg.files import read_json
from kcseg.phantom.persons import draw_scene, simulate_persons


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("persons")
    simulate_persons(folder, train=6, val=2)
    return folder


def test_it_is_read_as_coco_is(folder):
    for split, count in (("train", 6), ("val", 2)):
        persons = CocoPersons(folder, split)
        assert len(persons) == count and not +persons.skipped


def test_the_outlines_are_the_figures(folder):
    picture, masks = draw_scene(np.random.default_rng([2018, 0, 3]))
    persons = CocoPersons(folder, "train")
    found = persons.pictures[2]
    assert [found.height, found.width] == list(picture.shape[:2]) and len(found.people) == len(masks)
    content = read_json(folder / "annotations" / "instances_train2017.json")
    (number,) = (image["id"] for image in content["images"] if image["file_name"] == found.path.name)
    entries = [entry for entry in content["annotations"] if entry["image_id"] == number]
    for entry, mask in zip(entries, masks, strict=True):
        left, top, width, height = entry["bbox"]
        assert mask[top : top + height, left : left + width].sum() == mask.sum() == entry["area"]
        drawn = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(entry["segmentation"], *mask.shape)))
        assert (drawn.astype(bool) ^ mask).sum() <= 0.05 * mask.sum()  # single pixels on the edge


def test_a_scene_depends_on_its_generator_alone():
    first, again, other = (draw_scene(np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_complete_one_is_left_and_all_else_refused(folder, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")}
    simulate_persons(folder, train=6, val=2)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.jpg")}
    with pytest.raises(InputError, match=r"other settings or data, see simulation\.json"):
        simulate_persons(folder, train=7, val=2)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds files that are not a simulation of persons"):
        simulate_persons(tmp_path, train=6, val=2)
