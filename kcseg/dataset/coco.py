"""COCO persons: square grey crops and their masks, read from disk one at a time."""

import io
import os
import reprlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from pycocotools import mask as coco_mask

from kcseg.config import PretrainingConfig
from kcseg.errors import InputError
from kcseg.files import is_file, is_folder, read_bytes, read_json

OTHER, PERSON, UNKNOWN = 0, 1, 2  # crowds are unknown: who of them is outlined is not said
_SIDE_PX = (16, 8192)
_MOST_TURNS = 20  # times around their picture: how long the outlines of an annotation may be together
_MAXIMUM_BYTES = 2 << 30  # of annotations; those of 2017 take 450 MB
_MAXIMUM_PICTURE_BYTES = 64 << 20  # those of 2017 take at most 1 MB


@dataclass(frozen=True)
class Picture:
    """One COCO image with persons; `people` and `crowds` hold its annotations as COCO writes them."""

    path: Path
    height: int
    width: int
    people: tuple[dict[str, Any], ...]
    crowds: tuple[dict[str, Any], ...]


class CocoPersons:
    """The images of one COCO split that show persons.

    Attributes:
        pictures: sorted by file name.
        skipped: how many images and annotations were passed over, by reason; grows when a broken image is met.
    """

    def __init__(self, folder: Path, split: str):
        """Read `annotations/instances_<split>2017.json`; images lie in `<split>2017/` or `images/<split>2017/`.

        Raises:
            InputError: annotations or images are not there, or no usable image shows a person.
        """
        folder = Path(folder)
        annotations = folder / "annotations" / f"instances_{split}2017.json"
        if not is_file(annotations):
            raise InputError(f"there is no {annotations}; expected COCO's layout, see data/README.md")
        self.skipped: Counter[str] = Counter()
        self.pictures = tuple(self._pictures(annotations, _images_folder(folder, split)))
        if not self.pictures:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.skipped.items())
            raise InputError(
                f"no usable image with a person in {annotations}{': ' if reasons else ''}{reasons}"
            )
        self._broken: set[int] = set()

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.pictures)

    def crop(
        self, index: int, config: PretrainingConfig, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cut a square around a person, or anywhere, and bring it to the network's size (ranges: our choice).

        A picture that cannot be read is passed over for the next one that can.

        Returns:
            Grey level, float32 (size, size) in [0, 1], and labels, uint8 (size, size): OTHER, PERSON or UNKNOWN.

        Raises:
            InputError: no picture can be read.
        """
        for step in range(len(self.pictures)):
            place = (index + step) % len(self.pictures)
            if place in self._broken:
                continue
            try:
                grey = _read_grey(self.pictures[place])
            except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):
                self._broken.add(place)
                self.skipped["images that cannot be read"] += 1
                continue
            return _cut(grey, self.pictures[place], config, random)
        raise InputError(
            f"none of the {len(self.pictures)} images around {self.pictures[0].path} can be read"
        )

    def _pictures(self, annotations: Path, images: Path) -> Iterator[Picture]:
        content = read_json(annotations, maximum_bytes=_MAXIMUM_BYTES)
        try:
            persons = {entry["id"] for entry in content["categories"] if entry["name"] == "person"}
            by_image: dict[Any, list[Any]] = defaultdict(list)
            for entry in content["annotations"]:
                if entry["category_id"] in persons:
                    by_image[entry["image_id"]].append(entry)
            listed = sorted(content["images"], key=lambda entry: (str(entry["file_name"]), entry["id"]))
            shown = [
                (str(one["file_name"]), by_image.get(one["id"]), (one.get("height"), one.get("width")))
                for one in listed
            ]
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{annotations} is not COCO's instances format ({reprlib.repr(error)} is amiss)"
            ) from error
        if not persons:
            raise InputError(f"{annotations} has no category 'person'; use COCO's instances file")
        # links and names with a folder in them are not taken: they may lead anywhere
        present = {entry.name for entry in os.scandir(images) if entry.is_file(follow_symlinks=False)}
        for name, found, size in shown:
            if not found:
                continue
            if name not in present:
                self.skipped["images listed but absent"] += 1
                continue
            if not all(type(side) is int and _SIDE_PX[0] <= side <= _SIDE_PX[1] for side in size):
                self.skipped["images without a usable size"] += 1
                continue
            usable = [one for one in found if _usable(one, *size)]
            if len(usable) < len(found):
                self.skipped["annotations outside their image or unreadable"] += len(found) - len(usable)
            crowds = tuple(one for one in usable if one.get("iscrowd"))
            people = tuple(one for one in usable if not one.get("iscrowd"))
            if people:
                yield Picture(images / name, *size, people, crowds)


def _images_folder(folder: Path, split: str) -> Path:
    for images in (folder / f"{split}2017", folder / "images" / f"{split}2017"):
        if is_folder(images):
            return images
    raise InputError(
        f"there is no {folder / f'{split}2017'}, with or without images/ before it; see data/README.md"
    )


def _usable(annotation: dict[str, Any], height: int, width: int) -> bool:
    """Whether an annotation has an outline that can be drawn and meets its image."""
    try:
        if not all(type(number) in (int, float) for number in annotation["bbox"]):
            return False
        x, y, box_width, box_height = annotation["bbox"]
        near = _near([x, x + box_width], width) and _near([y, y + box_height], height)
        meets = near and x < width and y < height and x + box_width > 0 and y + box_height > 0
        outline = annotation["segmentation"]
        if isinstance(outline, dict):
            # an RLE that does not cover its image leaves pixels undefined; COCO's own are never compressed
            counts = outline["counts"]
            sound = isinstance(counts, list) and all(type(count) is int and count >= 0 for count in counts)
            whole = sound and sum(counts) == height * width
            return meets and whole and list(outline["size"]) == [height, width]
        if not all(isinstance(polygon, list) for polygon in outline):
            return False
        polygons = [np.asarray(polygon, float) for polygon in outline]
        return (
            meets
            and box_width * box_height > 0
            and bool(polygons)
            and sum(map(_perimeter, polygons)) <= _MOST_TURNS * 2 * (height + width)
            and all(
                one.ndim == 1
                and len(one) >= 6
                and len(one) % 2 == 0
                and _near(one[::2], width)
                and _near(one[1::2], height)
                for one in polygons
            )
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return False


def _perimeter(polygon: np.ndarray) -> float:
    """Return how far it is around a polygon, in px; pycocotools' memory grows with it."""
    points = polygon.reshape(-1, 2)
    return float(np.abs(points - np.roll(points, 1, axis=0)).sum())


def _near(places: Sequence[float] | np.ndarray, side: int) -> bool:
    """Whether all places lie at most one image away from it; pycocotools crashes over those far off."""
    return bool((np.abs(np.asarray(places) - side / 2) <= 1.5 * side).all())


def _read_grey(picture: Picture) -> PIL.Image.Image:
    # from memory, where a part that claims to be larger than the file asks for no more than there is
    content = io.BytesIO(read_bytes(picture.path, maximum_bytes=_MAXIMUM_PICTURE_BYTES))
    with PIL.Image.open(content, formats=("JPEG", "PNG")) as file:
        if file.size != (picture.width, picture.height):
            raise ValueError("another size than the annotations say")
        return file.convert("L")


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
        x, y, width, height = picture.people[random.integers(len(picture.people))]["bbox"]
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
    for annotations, value in ((picture.crowds, UNKNOWN), (picture.people, PERSON)):
        for annotation in annotations:
            labels[_mask(annotation["segmentation"], picture)] = value
    return labels


def _mask(segmentation: Any, picture: Picture) -> np.ndarray:
    encoded = coco_mask.frPyObjects(segmentation, picture.height, picture.width)
    if isinstance(encoded, list):
        encoded = coco_mask.merge(encoded)
    return coco_mask.decode(encoded).astype(bool)
