import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from pycocotools import mask as coco_mask

from kcseg.config import PretrainingConfig
from kcseg.dataset.coco import OTHER, PERSON, UNKNOWN, CocoPersons, _labels
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


NO_POINTS, FAR = (
    "outlines that are no list of points",
    "outlines that leave their image far, or wind around it",
)
RUNS, NONE = "run lengths that are empty or do not cover their image", "persons without an outline"


def unknown_of(persons) -> np.ndarray:
    """The labels of the first picture, whole."""
    return _labels(persons.pictures[0])


@pytest.mark.parametrize(
    "outline, reason",
    [
        (square(300, 300, 20), FAR),
        ([[1e9] * 6], FAR),  # pycocotools crashed over this
        ([[float("nan")] * 6], FAR),
        ([[0, 0, 100, 80] * 50], FAR),
        ([[1, 2, 3]], NO_POINTS),
        ([[1, 2, 3, 4, 5, 6, 7]], NO_POINTS),
        ([[[30, 20]] * 6], NO_POINTS),
        (["302060"], NO_POINTS),
        ([[10**400] * 6], NO_POINTS),
        ([[1, 2, 3, 4]], "outlines of fewer than three points"),
        ([], NONE),
        ("outline", NONE),
        (None, NONE),
        ({"size": [80, 100], "counts": [5, 5]}, RUNS),
        ({"size": [80, 100], "counts": [8000, 8000]}, RUNS),
        ({"size": [80, 100], "counts": [-5, 8005]}, RUNS),
        ({"size": [80, 100], "counts": [1.5, 7998.5]}, RUNS),
        ({"size": [80, 100], "counts": [8000]}, RUNS),
        ({"size": [80, 100], "counts": "5PeQ33"}, RUNS),
        ({"size": [80, 100], "counts": "PPPP"}, RUNS),  # whose last number has no end
        ({"size": [80, 100], "counts": ""}, RUNS),
        ({"size": [80, 100], "counts": "\u00e9"}, RUNS),
        ({"size": [8, 10], "counts": [80]}, RUNS),
        ({"counts": [8000]}, RUNS),
    ],
)
def test_whom_nobody_can_draw_is_unknown_and_never_background(write_coco, outline, reason):
    bad = annotation(1, outline, [70, 10, 20.5, 30])
    persons = CocoPersons(write_coco([PERSON_HERE, bad]), "train")
    assert persons.skipped == {reason: 1} and len(persons.pictures[0].people) == 1
    labels = unknown_of(persons)
    assert (labels[10:40, 70:91] == UNKNOWN).all() and (labels == UNKNOWN).sum() == 30 * 21
    assert (labels[20:50, 30:60] == PERSON).all()


@pytest.mark.parametrize("crowd", [0, 1])
@pytest.mark.parametrize(
    "box", [None, [], ["a"] * 4, [1, 2, 0, 5], [1, 2, float("inf"), float("nan")], [500, 1, 9, 9]]
)
def test_without_a_box_the_whole_image_is_unknown_but_for_those_who_are_drawn(write_coco, box, crowd):
    persons = CocoPersons(write_coco([PERSON_HERE, annotation(1, [], box, iscrowd=crowd)]), "train")
    labels = unknown_of(persons)
    assert set(np.unique(labels)) == {PERSON, UNKNOWN} and (labels == PERSON).sum() == 900


def test_a_stray_polygon_costs_itself_alone(write_coco):
    stray = annotation(1, [[1, 2, 3, 4], *square(30, 20, 30)], [0, 0, 60, 50])
    persons = CocoPersons(write_coco([stray]), "train")
    assert persons.skipped == {"outlines of fewer than three points": 1}
    labels = unknown_of(persons)
    assert (labels == PERSON).sum() == 900 and not (labels == UNKNOWN).any()


def test_who_is_drawn_in_part_is_unknown_in_the_rest_of_the_box(write_coco):
    parts = annotation(1, [[1e9] * 6, *square(30, 20, 30)], [20, 10, 50, 60])
    labels = unknown_of(CocoPersons(write_coco([parts]), "train"))
    assert (labels == PERSON).sum() == 900 and (labels == UNKNOWN).sum() == 50 * 60 - 900


@pytest.mark.parametrize(
    "box", [None, [30, 20, float("inf"), float("nan")], [30, 20, 10**400, 30], [900, 20, 30, 30]]
)
@pytest.mark.parametrize("outline", [square(30, 20, 30), {"size": [80, 100], "counts": [2420, 30, 5550]}])
def test_a_box_that_says_nothing_is_taken_from_the_outline(write_coco, box, outline):
    persons = CocoPersons(write_coco([annotation(1, outline, box)]), "train")
    assert not +persons.skipped and persons.pictures[0].boxes[0][:2] == pytest.approx((30, 20))
    _, labels = persons.crop(0, replace(CONFIG, person_share=1.0), np.random.default_rng(0))
    assert (labels == PERSON).any()


def test_compressed_run_lengths_are_drawn(write_coco):
    drawn = np.random.default_rng(0).random((80, 100)) > 0.6
    runs = coco_mask.encode(np.asfortranarray(drawn.astype(np.uint8)))
    compressed = {"size": [80, 100], "counts": runs["counts"].decode()}
    persons = CocoPersons(write_coco([annotation(1, compressed, [0, 0, 100, 80])]), "train")
    assert not +persons.skipped
    np.testing.assert_array_equal(unknown_of(persons) == PERSON, drawn)


def test_run_lengths_cut_anywhere_are_refused_and_crash_nothing(write_coco):
    drawn = np.random.default_rng(0).random((80, 100)) > 0.6
    whole = coco_mask.encode(np.asfortranarray(drawn.astype(np.uint8)))["counts"].decode()
    cut = [
        annotation(1, {"size": [80, 100], "counts": whole[:end]}, [0, 0, 9, 9]) for end in range(0, 900, 7)
    ]
    persons = CocoPersons(write_coco([PERSON_HERE, *cut]), "train")
    assert persons.skipped == {RUNS: len(cut)}


def test_absent_images_are_counted(write_coco):
    persons = CocoPersons(write_coco([PERSON_HERE, {**PERSON_HERE, "image_id": 7}], pictures=(1,)), "train")
    assert persons.skipped["images listed but absent"] == 1


@pytest.mark.parametrize(
    "content", [lambda whole: whole[: len(whole) // 2], lambda whole: b"no picture", lambda whole: b""]
)
def test_a_broken_picture_is_counted_before_training(write_coco, content):
    folder = write_coco([PERSON_HERE, {**PERSON_HERE, "image_id": 2}])
    path = folder / "train2017" / "0001.jpg"
    path.write_bytes(content(path.read_bytes()))
    persons = CocoPersons(folder, "train")
    assert persons.skipped == {"images that cannot be decoded": 1} and len(persons) == 1
    (folder / "train2017" / "0002.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match="2 images that cannot be decoded"):
        CocoPersons(folder, "train")


def test_a_picture_that_breaks_later_is_passed_over_for_the_next(write_coco):
    folder = write_coco([PERSON_HERE, {**PERSON_HERE, "image_id": 2}])
    persons = CocoPersons(folder, "train")
    (folder / "train2017" / "0001.jpg").write_bytes(b"no picture")
    for _ in range(2):
        grey, _ = persons.crop(0, CONFIG, np.random.default_rng(0))
    assert grey.max() > 0.5 and persons.skipped == {"images that cannot be decoded": 1}
    (folder / "train2017" / "0002.jpg").unlink()
    with pytest.raises(InputError, match="can be decoded"):
        persons.crop(0, CONFIG, np.random.default_rng(0))


def test_a_picture_of_another_size_is_counted(write_coco):
    folder = write_coco([PERSON_HERE, {**PERSON_HERE, "image_id": 2}])
    PIL.Image.new("RGB", (50, 50)).save(folder / "train2017" / "0001.jpg")
    persons = CocoPersons(folder, "train")
    assert len(persons) == 1 and persons.skipped == {"images of another size than their annotations say": 1}


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("annotated", ["upright", "as stored"])
def test_exif_turns_a_picture_to_where_its_outlines_are(write_coco, turn, annotated):
    """Outlines are drawn on the upright picture; those of the stored one's size, where that differs, on that."""
    folder = write_coco([PERSON_HERE], pictures=(1,))
    path = folder / "train2017" / "0001.jpg"
    with PIL.Image.open(path) as picture:
        upright = picture.copy()
    exif = PIL.Image.Exif()
    exif[0x0112] = turn
    moves = {
        2: 0,
        3: 3,
        4: 1,
        5: 5,
        6: 2,
        7: 6,
        8: 4,
    }  # what undoes the turn that a viewer makes, as Pillow counts
    stored = upright.transpose(PIL.Image.Transpose(moves[turn])) if turn in moves else upright
    if annotated == "as stored":
        if turn < 5:
            pytest.skip("both have one size")
        stored = upright  # of the size that the annotations state
    stored.save(path, exif=exif, quality=95)
    persons = CocoPersons(folder, "train")
    assert not +persons.skipped
    grey, labels = persons.crop(0, replace(CONFIG, person_share=1.0), np.random.default_rng(0))
    assert grey[labels == PERSON].mean() == pytest.approx(200 / 255, abs=0.06)


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
    assert len(persons) > 10 and not +persons.skipped
    shares = []
    for index in range(len(persons)):
        _, labels = persons.crop(index, replace(CONFIG, person_share=1.0), np.random.default_rng(index))
        shares.append(np.mean(labels == PERSON))
    assert 0.05 < np.mean(shares) < 0.7


def test_pictures_may_be_links(write_coco):
    folder = write_coco([PERSON_HERE])
    picture = folder / "train2017" / "0001.jpg"
    picture.rename(folder / "elsewhere.jpg")
    picture.symlink_to(folder / "elsewhere.jpg")
    assert len(CocoPersons(folder, "train")) == 1


@pytest.mark.parametrize("name", [{}, ["0001.jpg"], "../0001.jpg", "/0001.jpg"])
def test_names_that_are_none_are_not_followed(write_coco, name):
    folder = write_coco([PERSON_HERE])
    path = folder / "annotations" / "instances_train2017.json"
    path.write_text(path.read_text().replace('"0001.jpg"', json.dumps(name)))
    with pytest.raises(InputError, match="1 images listed but absent"):
        CocoPersons(folder, "train")
