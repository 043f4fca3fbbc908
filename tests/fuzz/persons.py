"""Feeds the reader of COCO's persons: annotations beside a sound picture, and the other way round."""

import json
from pathlib import Path

import numpy as np
import PIL.Image

from kcseg.config import PretrainingConfig
from kcseg.dataset.coco import CocoPersons
from tests.fuzz.mutate import broken, broken_json
from tests.fuzz.reader import Reader, saved

PLACE = {"image_id": 1, "category_id": 1, "bbox": [30, 20, 30, 30]}
SQUARE = {"iscrowd": 0, "segmentation": [[30, 20, 60, 20, 60, 50, 30, 50]]}
CROWD = {"iscrowd": 1, "segmentation": {"counts": [0, 800, 7200], "size": [80, 100]}}
CONTENT = {
    "images": [{"id": 1, "file_name": "0001.jpg", "height": 80, "width": 100}],
    "annotations": [PLACE | SQUARE, PLACE | CROWD],
    "categories": [{"id": 1, "name": "person"}],
}
ANNOTATIONS = json.dumps(CONTENT).encode()
GREY = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 100)).astype(np.uint8))
PHOTOGRAPHS = [saved(GREY.convert(mode).save, "a.jpg") for mode in ("L", "RGB", "CMYK")]


def read_annotations(path: Path) -> None:
    _crop(path.parent, path.read_bytes(), PHOTOGRAPHS[0])


def read_photograph(path: Path) -> None:
    _crop(path.parent, ANNOTATIONS, path.read_bytes())


def _crop(folder: Path, annotations: bytes, photograph: bytes) -> None:
    files = {"annotations/instances_train2017.json": annotations, "train2017/0001.jpg": photograph}
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    persons, config = CocoPersons(folder, "train"), PretrainingConfig(size_px=32)
    for seed in range(3):
        grey, labels = persons.crop(0, config, np.random.default_rng(seed))
        assert grey.shape == labels.shape == (32, 32) and grey.min() >= 0 and grey.max() <= 1


READERS = {
    "coco annotations": Reader("a.json", [ANNOTATIONS], broken_json, read_annotations),
    "coco picture": Reader("a.jpg", [*PHOTOGRAPHS, saved(GREY.save, "a.png")], broken, read_photograph),
}
