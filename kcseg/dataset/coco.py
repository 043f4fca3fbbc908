"""COCO persons: square grey crops and their masks, read from disk one at a time."""

import math
import os
import reprlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
from pycocotools import mask as coco_mask

from kcseg.config import PretrainingConfig
from kcseg.errors import InputError
from kcseg.files import is_file, is_folder, read_json

OTHER, PERSON, UNKNOWN = 0, 1, 2  # crowds are unknown: who of them is outlined is not said
Box = tuple[float, float, float, float]  # left, top, width, height in px, as COCO writes it

_MOST_TURNS = 20  # times around its picture: how long an outline may be
_MAXIMUM_BYTES = 2 << 30  # of annotations; those of 2017 take 450 MB
_STRAY, _NO_POINTS = "outlines of fewer than three points", "outlines that are no list of points"
_FORMATS = ("JPEG", "PNG")
_ENDS = (b"\xff\xd9", b"\x60\x82")  # of a whole JPEG or PNG file
_EXIF_TURN, _ON_ITS_SIDE = 0x0112, 5  # the tag, and the least value that exchanges width and height
_BROKEN = (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError)  # what Pillow raises


@dataclass(frozen=True)
class Picture:
    """One COCO image: what can be drawn of its `people`, a box around each, and what is unknown.

    Unknown are the outlines of `crowds`, and the boxes `unknown`: somebody there cannot be drawn, or not whole.
    """

    path: Path
    height: int
    width: int
    people: tuple[Any, ...]
    boxes: tuple[Box, ...]
    crowds: tuple[Any, ...]
    unknown: tuple[Box, ...]


class CocoPersons:
    """The images of one COCO split that show persons."""

    def __init__(self, folder: Path, split: str):
        """Read `annotations/instances_<split>2017.json`; images lie in `<split>2017/` or `images/<split>2017/`.

        Raises:
            InputError: annotations or images are not there, or no usable image shows a person.
        """
        folder = Path(folder)
        self.annotations = folder / "annotations" / f"instances_{split}2017.json"
        if not is_file(self.annotations):
            raise InputError(f"there is no {self.annotations}; expected COCO's layout, see data/README.md")
        # how many images, persons and outlines were passed over, by reason; what cannot be decoded is added then
        self.skipped: Counter[str] = Counter()
        self.pictures = tuple(self._pictures(_images_folder(folder, split)))  # sorted by file name
        if not self.pictures:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.skipped.items())
            raise InputError(
                f"no usable image with a person in {self.annotations}{': ' if reasons else ''}{reasons}"
            )
        self._broken: set[int] = set()

    def __len__(self) -> int:
        return len(self.pictures)

    def crop(
        self, index: int, config: PretrainingConfig, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cut a square around a person, or anywhere, and bring it to the network's size (ranges: our choice).

        A picture that cannot be decoded is passed over for the next one that can.

        Returns:
            Grey level, float32 (size, size) in [0, 1], and labels, uint8 (size, size): OTHER, PERSON or UNKNOWN.

        Raises:
            InputError: no picture can be decoded.
        """
        for step in range(len(self.pictures)):
            place = (index + step) % len(self.pictures)
            if place in self._broken:
                continue
            try:
                grey = _read_grey(self.pictures[place])
            except _BROKEN:
                self._broken.add(place)
                self.skipped["images that cannot be decoded"] += 1
                continue
            return _cut(grey, self.pictures[place], config, random)
        raise InputError(
            f"none of the {len(self.pictures)} images around {self.pictures[0].path} can be decoded"
        )

    def _pictures(self, images: Path) -> Iterator[Picture]:
        content = read_json(self.annotations, maximum_bytes=_MAXIMUM_BYTES)
        try:
            persons = {entry["id"] for entry in content["categories"] if entry["name"] == "person"}
            by_image: dict[Any, list[Any]] = defaultdict(list)
            for entry in content["annotations"]:
                if entry["category_id"] in persons:
                    by_image[entry["image_id"]].append(entry)
            listed = sorted(content["images"], key=lambda entry: (str(entry["file_name"]), entry["id"]))
            shown = [
                (str(one["file_name"]), by_image.get(one["id"]), one.get("width"), one.get("height"))
                for one in listed
            ]
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{self.annotations} is not COCO's instances format ({reprlib.repr(error)} is amiss)"
            ) from error
        if not persons:
            raise InputError(f"{self.annotations} has no category 'person'; use COCO's instances file")
        present = {entry.name for entry in os.scandir(images) if entry.is_file()}
        for name, found, width, height in shown:
            if not found:
                continue
            # a name with a folder in it may lead anywhere, and is no name of a file here
            fault = _fault(images / name, width, height) if name in present else "images listed but absent"
            if fault:
                self.skipped[fault] += 1
                continue
            picture = self._picture(images / name, int(width), int(height), found)
            if picture.people:
                yield picture

    def _picture(self, path: Path, width: int, height: int, found: list[dict[str, Any]]) -> Picture:
        """Sort what is said of the persons of a picture into what can be drawn and what is unknown."""
        people, boxes, crowds, unknown = [], [], [], []
        for one in found:
            outline, faults = _drawable(one.get("segmentation"), height, width)
            self.skipped.update(faults)
            box = _box(one.get("bbox"), height, width)
            if not outline or set(faults) - {_STRAY}:
                unknown.append(box or (0.0, 0.0, float(width), float(height)))
            if outline and one.get("iscrowd"):
                crowds.append(outline)
            elif outline:
                people.append(outline)
                boxes.append(box or tuple(coco_mask.toBbox(_encoded(outline, height, width))))
        return Picture(path, height, width, *map(tuple, (people, boxes, crowds, unknown)))


def _images_folder(folder: Path, split: str) -> Path:
    for images in (folder / f"{split}2017", folder / "images" / f"{split}2017"):
        if is_folder(images):
            return images
    raise InputError(
        f"there is no {folder / f'{split}2017'}, with or without images/ before it; see data/README.md"
    )


def _fault(path: Path, width: Any, height: Any) -> str | None:
    """Say why a picture cannot be used, by its header and its last bytes."""
    try:
        with path.open("rb") as content:
            content.seek(-2, os.SEEK_END)
            whole = content.read() in _ENDS
            with PIL.Image.open(content, formats=_FORMATS) as file:
                turned = file.size[::-1] if file.getexif().get(_EXIF_TURN, 1) >= _ON_ITS_SIDE else file.size
                if (width, height) not in (turned, file.size):
                    return "images of another size than their annotations say"
                if not whole:
                    file.load()
    except _BROKEN:
        return "images that cannot be decoded"
    return None


def _drawable(outline: Any, height: int, width: int) -> tuple[Any, list[str]]:
    """Return what can be drawn of an outline, and why the rest cannot."""
    if isinstance(outline, dict):
        runs = _run_lengths(outline, height, width)
        return runs, [] if runs else ["run lengths that are empty or do not cover their image"]
    if not isinstance(outline, list) or not outline:
        return None, ["persons without an outline"]
    faults = [_polygon_fault(polygon, height, width) for polygon in outline]
    sound = [polygon for polygon, fault in zip(outline, faults, strict=True) if not fault]
    return sound, [fault for fault in faults if fault]


def _polygon_fault(polygon: Any, height: int, width: int) -> str | None:
    try:
        if np.ndim(polygon) != 1:
            return _NO_POINTS
        points = np.asarray(polygon, float).reshape(-1, 2) / (width, height)
    except (TypeError, ValueError, OverflowError):
        return _NO_POINTS
    if len(points) < 3:
        return _STRAY
    # pycocotools crashes over points far off, and its memory grows with the way around
    near = (np.abs(points - 0.5) <= 1.5).all() and np.abs(np.diff(points, axis=0)).sum() <= 4 * _MOST_TURNS
    return None if near else "outlines that leave their image far, or wind around it"


def _run_lengths(outline: dict[str, Any], height: int, width: int) -> dict[str, Any] | None:
    """Return run lengths, compressed or not, as pycocotools takes them; None where they are of no use."""
    try:
        counts = outline["counts"]
        if list(outline["size"]) != [height, width]:
            return None
        if isinstance(counts, list):
            runs = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        else:
            runs = {"size": [height, width], "counts": counts.encode()}
            # pycocotools reads on, out of memory that is its own, where the last number has no end
            if not all(48 <= letter < 112 for letter in runs["counts"]) or counts[-1] >= "P":
                return None
        # decoding leaves what is not covered as it was in memory, and encoding that again tells
        again = coco_mask.encode(np.asfortranarray(coco_mask.decode(runs)))
        return runs if again["counts"] == runs["counts"] and coco_mask.area(runs) else None
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError):
        return None


def _box(box: Any, height: int, width: int) -> Box | None:
    """Return the part of a box that lies in its image; None where there is none."""
    try:
        left, top, wide, high = (float(number) for number in box)
    except (TypeError, ValueError, OverflowError):
        return None
    right, bottom = min(left + wide, width), min(top + high, height)
    left, top = max(left, 0.0), max(top, 0.0)
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def _read_grey(picture: Picture) -> PIL.Image.Image:
    with PIL.Image.open(picture.path, formats=_FORMATS) as file:
        size = (picture.width, picture.height)
        upright = PIL.ImageOps.exif_transpose(file)
        # outlines were drawn on the upright picture, unless only the other one has their size
        return (upright if upright.size == size else file).convert("L")


def _cut(
    grey: PIL.Image.Image, picture: Picture, config: PretrainingConfig, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    left, top, side = _square(picture, config, random)
    box = (left, top, left + side, top + side)
    size = (config.size_px, config.size_px)
    labels = PIL.Image.fromarray(_labels(picture))
    # what lies outside the picture is black, and no person
    return (
        np.asarray(grey.crop(box).resize(size, PIL.Image.Resampling.BILINEAR), np.float32) / 255,
        np.asarray(labels.crop(box).resize(size, PIL.Image.Resampling.NEAREST)),
    )


def _square(picture: Picture, config: PretrainingConfig, random: np.random.Generator) -> tuple[int, int, int]:
    """Draw left, top and side of a square: around a person with a margin, or anywhere inside."""
    if random.random() < config.person_share:
        x, y, width, height = picture.boxes[random.integers(len(picture.boxes))]
        side = max(width, height) * random.uniform(*config.margin)
        centre = np.array([x + width / 2, y + height / 2]) + 0.15 * side * random.uniform(-1, 1, 2)
    else:
        side = min(picture.width, picture.height) * random.uniform(0.4, 1.0)
        centre = random.uniform(side / 2, np.array([picture.width, picture.height]) - side / 2)
    side = int(np.clip(side, config.size_px // 4, max(picture.width, picture.height)))
    left, top = np.rint(centre - side / 2).astype(int)
    return int(left), int(top), side


def _labels(picture: Picture) -> np.ndarray:
    """Draw everybody: uint8 (height, width); who stands before a crowd is known."""
    labels = np.full((picture.height, picture.width), OTHER, np.uint8)
    for left, top, width, height in picture.unknown:
        labels[int(top) : math.ceil(top + height), int(left) : math.ceil(left + width)] = UNKNOWN
    for outlines, value in ((picture.crowds, UNKNOWN), (picture.people, PERSON)):
        for outline in outlines:
            runs = _encoded(outline, picture.height, picture.width)
            labels[coco_mask.decode(runs).astype(bool)] = value
    return labels


def _encoded(outline: Any, height: int, width: int) -> dict[str, Any]:
    """Return an outline, polygons or run lengths, as run lengths."""
    if isinstance(outline, dict):
        return outline
    return coco_mask.merge(coco_mask.frPyObjects(outline, height, width))
