import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from kcseg.config import PretrainingConfig
from kcseg.dataset.coco import OTHER, PERSON, UNKNOWN, CocoPersons
from kcseg.errors import InputError

CONFIG = PretrainingConfig(size_px=64)
TINY = Path(__file__).parents[3] / "shared" / "data" / "coco_tiny"


def square(left, top, side):
    return [[left, top, left + side, top, left + side, top + side, left, top + side]]


def annotation(image, segmentation, bbox, **more):
    return {
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "segmentation": segmentation,
        "bbox": bbox,
        **more,
    }


@pytest.fixture
def write_coco(tmp_path):
    """Write a data set of grey 100 × 80 pictures with a brighter square where the first person stands."""

    def write(annotations, *, pictures=(1, 2), folder="train2017", categories=({"id": 1, "name": "person"},)):
        images = tmp_path / folder
        images.mkdir(parents=True)
        for number in pictures:
            pixels = np.full((80, 100), 50, np.uint8)
            pixels[20:50, 30:60] = 200
            PIL.Image.fromarray(pixels).convert("RGB").save(images / f"{number:04}.jpg", quality=95)
        listed = sorted({*pictures, *(one["image_id"] for one in annotations)})
        content = {
            "images": [{"id": n, "file_name": f"{n:04}.jpg", "height": 80, "width": 100} for n in listed],
            "annotations": list(annotations),
            "categories": list(categories),
        }
        (tmp_path / "annotations").mkdir()
        (tmp_path / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
        return tmp_path

    return write


PERSON_HERE = annotation(1, square(30, 20, 30), [30, 20, 30, 30])


def test_crops_hold_the_person_and_its_mask(write_coco):
    persons = CocoPersons(write_coco([PERSON_HERE]), "train")
    assert len(persons) == 1
    for seed in range(10):
        grey, labels = persons.crop(0, replace(CONFIG, person_share=1.0), np.random.default_rng(seed))
        assert (grey.dtype, labels.dtype, grey.shape, labels.shape) == (
            np.float32,
            np.uint8,
            (64, 64),
            (64, 64),
        )
        assert grey.min() >= 0 and grey.max() <= 1
        assert set(np.unique(labels)) == {OTHER, PERSON}
        assert grey[labels == PERSON].mean() == pytest.approx(200 / 255, abs=0.06)
        assert np.median(grey[labels == OTHER]) < 0.3


def test_both_layouts_are_read(write_coco):
    assert len(CocoPersons(write_coco([PERSON_HERE], folder="images/train2017"), "train")) == 1


def test_run_lengths_and_crowds(write_coco):
    before = 100 * 0 + 30 * 80  # COCO counts down the columns: 30 columns of 80 pixels, then 30 more
    crowd = {"size": [80, 100], "counts": [before, 30 * 80, 40 * 80]}
    somebody = annotation(1, square(0, 0, 20), [0, 0, 20, 20])
    folder = write_coco([somebody, annotation(1, crowd, [30, 0, 30, 80], iscrowd=1)])
    persons = CocoPersons(folder, "train")
    _, labels = persons.crop(
        0, replace(CONFIG, person_share=1.0, margin=(5.0, 5.0)), np.random.default_rng(0)
    )
    assert set(np.unique(labels)) == {OTHER, PERSON, UNKNOWN}


def test_equal_generators_cut_equal_crops(write_coco):
    persons = CocoPersons(write_coco([PERSON_HERE]), "train")
    one, other = (persons.crop(0, CONFIG, np.random.default_rng(3)) for _ in range(2))
    assert one[0].tobytes() == other[0].tobytes() and one[1].tobytes() == other[1].tobytes()


@pytest.mark.parametrize(
    "bad",
    [
        annotation(1, square(300, 300, 20), [300, 300, 20, 20]),
        annotation(1, [[1, 2, 3]], [1, 2, 3, 4]),
        annotation(1, [], [1, 2, 3, 4]),
        annotation(1, {"size": [80, 100], "counts": [5, 5]}, [0, 0, 5, 5]),
        annotation(1, {"size": [8, 10], "counts": [80]}, [0, 0, 5, 5]),
        annotation(1, {"size": [80, 100], "counts": "5PeQ33"}, [0, 0, 5, 5]),
        annotation(1, square(1, 1, 5), None),
        annotation(1, "outline", [0, 0, 5, 5]),
        annotation(1, square(1, 1, 5), ["1", "1", "5", "5"]),
        annotation(1, [[0, 0, 100, 80] * 50], [0, 0, 100, 80]),
        annotation(1, {"size": [80, 100], "counts": [8000.0]}, [0, 0, 5, 5]),
    ],
)
def test_annotations_that_cannot_be_drawn_are_counted(write_coco, bad):
    persons = CocoPersons(write_coco([PERSON_HERE, bad]), "train")
    assert persons.skipped["annotations outside their image or unreadable"] == 1
    assert len(persons.pictures[0].people) == 1


def test_absent_images_are_counted(write_coco):
    persons = CocoPersons(write_coco([PERSON_HERE, {**PERSON_HERE, "image_id": 7}], pictures=(1,)), "train")
    assert persons.skipped["images listed but absent"] == 1


def test_a_broken_picture_is_passed_over_for_the_next(write_coco):
    folder = write_coco([PERSON_HERE, {**PERSON_HERE, "image_id": 2}])
    content = (folder / "train2017" / "0001.jpg").read_bytes()
    (folder / "train2017" / "0001.jpg").write_bytes(content[: len(content) // 2])
    persons = CocoPersons(folder, "train")
    for _ in range(2):
        grey, _ = persons.crop(0, CONFIG, np.random.default_rng(0))
    assert grey.max() > 0.5
    assert persons.skipped["images that cannot be read"] == 1
    (folder / "train2017" / "0002.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match="can be read"):
        CocoPersons(folder, "train").crop(0, CONFIG, np.random.default_rng(0))


def test_a_picture_of_another_size_is_broken(write_coco):
    folder = write_coco([PERSON_HERE], pictures=(1,))
    PIL.Image.new("RGB", (50, 50)).save(folder / "train2017" / "0001.jpg")
    with pytest.raises(InputError, match="can be read"):
        CocoPersons(folder, "train").crop(0, CONFIG, np.random.default_rng(0))


def test_names_that_lead_elsewhere_are_absent(write_coco):
    folder = write_coco([PERSON_HERE])
    path = folder / "annotations" / "instances_train2017.json"
    path.write_text(path.read_text().replace("0001.jpg", "../secret.jpg"))
    PIL.Image.new("RGB", (100, 80)).save(folder / "secret.jpg")
    with pytest.raises(InputError, match="1 images listed but absent"):
        CocoPersons(folder, "train")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "annotations"),
        ("[]", "not COCO's instances format"),
        ('{"images": [], "annotations": [], "categories": []}', "no category 'person'"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}', "no usable image"),
    ],
)
def test_files_that_are_not_cocos_are_refused(write_coco, content, message):
    folder = write_coco([PERSON_HERE])
    (folder / "annotations" / "instances_train2017.json").write_text(content)
    with pytest.raises(InputError, match=message):
        CocoPersons(folder, "train")


def test_missing_folders_are_named(tmp_path, write_coco):
    with pytest.raises(InputError, match="instances_val2017"):
        CocoPersons(write_coco([PERSON_HERE]), "val")


@pytest.mark.skipif(not TINY.is_dir(), reason="the small sample of COCO is not beside the project")
def test_real_pictures_can_be_cut():
    persons = CocoPersons(TINY, "train")
    assert len(persons) > 10 and not persons.skipped["images that cannot be read"]
    shares = []
    for index in range(len(persons)):
        _, labels = persons.crop(index, replace(CONFIG, person_share=1.0), np.random.default_rng(index))
        shares.append(np.mean(labels == PERSON))
    assert 0.05 < np.mean(shares) < 0.7


@pytest.mark.parametrize(
    "change",
    [
        {"segmentation": [[1e9] * 6]},  # pycocotools crashed over this
        {"segmentation": [[[30, 20]] * 6]},
        {"segmentation": ["302060"]},
        {"bbox": [30, 20, float("inf"), 30]},
        {"bbox": [30, 20, 10**400, 30]},
    ],
)
def test_outlines_far_off_are_passed_over(write_coco, change):
    persons = CocoPersons(
        write_coco([PERSON_HERE, {**annotation(2, square(0, 0, 9), [0, 0, 9, 9]), **change}]), "train"
    )
    assert len(persons) == 1 and sum(persons.skipped.values()) == 1


def test_links_among_the_images_are_not_followed(write_coco):
    folder = write_coco([PERSON_HERE])
    picture = folder / "train2017" / "0001.jpg"
    picture.rename(folder / "elsewhere.jpg")
    picture.symlink_to(folder / "elsewhere.jpg")
    with pytest.raises(InputError, match="1 images listed but absent"):
        CocoPersons(folder, "train")


@pytest.mark.parametrize("name", [{}, ["0001.jpg"], "../0001.jpg", "/0001.jpg"])
def test_names_that_are_none_are_not_followed(write_coco, name):
    folder = write_coco([PERSON_HERE])
    path = folder / "annotations" / "instances_train2017.json"
    path.write_text(path.read_text().replace('"0001.jpg"', json.dumps(name)))
    with pytest.raises(InputError, match="1 images listed but absent"):
        CocoPersons(folder, "train")
