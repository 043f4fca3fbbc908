"""Stand-in for COCO persons where COCO is not at hand: clutter with jointed figures in it, in COCO's layout."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import skimage.measure

from kcseg.files import locked, remove_leftovers, require_own, write, write_json
from kcseg.phantom.fields import smooth_field
from kcseg.progress import Tell, counted, silent

_HEIGHT, _WIDTH = 240, 320
_PERSON = {"id": 1, "name": "person"}
_COMPLETE = "simulation.json"
_LEAST_PX = 120  # of a figure that is seen; less is no person to anybody


def simulate_persons(folder: Path, *, train: int, val: int, seed: int = 2018, tell: Tell = silent) -> None:
    """Write JPEG images (240 x 320) and `annotations/instances_{train,val}2017.json` as COCO has them.

    Not people, and far from COCO's variety (our choice throughout): figures of head, trunk and limbs in all poses,
    clothed in textures, before and behind boxes, discs and bars of the same textures. What separates them from the
    clutter is how parts are joined. A complete stand-in of the same numbers is left as it is.

    Raises:
        InputError: the folder holds something else.
    """
    counts = {"train": train, "val": val}
    facts = {"persons": counts, "seed": seed}
    if _is_complete(folder, facts):
        return
    with locked(folder, wait=True):
        if _is_complete(folder, facts):  # by whoever was waited for
            return
        for name in (".", "annotations", *(f"{split}2017" for split in counts)):
            remove_leftovers(folder / name)
        one_more = counted(tell, "simulating persons", sum(counts.values()))
        for place, (split, count) in enumerate(counts.items()):
            _write_split(folder, split, count, (seed, place), one_more)
        write_json(folder / _COMPLETE, facts)


def _is_complete(folder: Path, facts: dict[str, Any]) -> bool:
    """Whether this very stand-in is complete in the folder; that it holds anything else is an error."""
    path = folder / _COMPLETE
    require_own(path, facts, "simulation of persons", "annotations", "train2017", "val2017", path.name)
    return path.exists()


def _write_split(
    folder: Path, split: str, count: int, seeds: tuple[int, int], one_more: Callable[[], None]
) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(1, count + 1):
        picture, masks = draw_scene(np.random.default_rng([*seeds, number]))
        name = f"{number:012}.jpg"
        jpeg = PIL.Image.fromarray(picture)
        write(folder / f"{split}2017" / name, partial(jpeg.save, format="JPEG", quality=85))
        images.append({"id": number, "file_name": name, "height": _HEIGHT, "width": _WIDTH})
        for mask in masks:
            annotations.append(_annotation(mask, len(annotations) + 1, number))
        one_more()
    content = {"images": images, "annotations": annotations, "categories": [_PERSON]}
    write_json(folder / "annotations" / f"instances_{split}2017.json", content)


def draw_scene(random: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw clutter and one to four figures.

    Returns:
        The picture, uint8 (240, 320, 3), and what is seen of each figure, bool (240, 320) each.
    """
    colours = _texture(random, random.uniform(40, 200, 3))
    owner = np.zeros((_HEIGHT, _WIDTH), np.uint8)  # number of the figure seen at a pixel, 0 for none
    figures = int(random.integers(1, 5))
    for number in random.permutation([0] * int(random.integers(6, 16)) + list(range(1, figures + 1))):
        parts = _figure(random) if number else [_thing(random)]
        for inside in parts:
            texture = _texture(random, random.uniform(10, 245, 3))
            colours[inside] = texture[inside]
            owner[inside] = number
    colours += random.normal(0, random.uniform(2, 10), colours.shape)
    seen = [owner == number for number in range(1, figures + 1)]
    return np.clip(colours, 0, 255).astype(np.uint8), [mask for mask in seen if mask.sum() >= _LEAST_PX]


def _texture(random: np.random.Generator, colour: np.ndarray) -> np.ndarray:
    """Return float64 (240, 320, 3): a colour under uneven light, with stripes now and then."""
    light = 25 * smooth_field(random, (_HEIGHT, _WIDTH), random.uniform(8, 80))
    if random.random() < 0.3:
        rows, columns = np.indices((_HEIGHT, _WIDTH))
        across = random.uniform(-1, 1, 2) @ np.stack([rows, columns]).reshape(2, -1)
        light += 30 * np.sign(np.sin(across.reshape(_HEIGHT, _WIDTH) * random.uniform(0.3, 1.0)))
    return colour + light[..., np.newaxis] * random.uniform(0.5, 1.0, 3)


def _thing(random: np.random.Generator) -> np.ndarray:
    """Return where a box, a disc or a bar is: the parts a figure has, too, but alone."""
    centre = random.uniform((0, 0), (_WIDTH, _HEIGHT))
    size = random.uniform(10, 60)
    kind = random.integers(3)
    if kind == 0:
        corners = centre + size * random.uniform(0.4, 1.0, (4, 1)) * _direction(
            random.uniform(0, 2 * np.pi) + np.arange(4) * np.pi / 2
        )
        return _drawn(lambda pen: pen.polygon([tuple(corner) for corner in corners], fill=1))
    if kind == 1:
        return _disc(centre, size * random.uniform(0.3, 1.0, 2))
    return _limb(centre, centre + 2 * size * _direction(random.uniform(0, 2 * np.pi)), size * 0.3)


def _figure(random: np.random.Generator) -> list[np.ndarray]:
    """Return where trousers, shirt, bare arms and head of a jointed figure are, back to front."""
    tall = random.uniform(60, 220)
    lean = random.normal(0, 0.35) + (random.random() < 0.1) * np.pi / 2  # some lie
    down = _direction(np.pi / 2 + lean)
    across = _direction(lean)
    hip = random.uniform((0, 0.3 * _HEIGHT), (_WIDTH, 0.9 * _HEIGHT))
    neck = hip - 0.32 * tall * down
    broad = tall * random.uniform(0.07, 0.11)
    legs: list[np.ndarray] = []
    arms: list[np.ndarray] = []
    for side in (-1, 1):
        start, shoulder = hip + side * 0.5 * broad * across, neck + side * 1.1 * broad * across
        for limbs, origin, length, wide, swing in (
            (legs, start, 0.25 * tall, 0.9 * broad, 0.4),
            (arms, shoulder, 0.19 * tall, 0.6 * broad, 0.9),
        ):
            upper = np.pi / 2 + lean + random.normal(0, swing)
            joint = origin + length * _direction(upper)
            end = joint + length * _direction(upper + random.normal(0, swing))
            limbs += [_limb(origin, joint, wide), _limb(joint, end, 0.8 * wide)]
    corners = [
        neck - 1.2 * broad * across,
        neck + 1.2 * broad * across,
        hip + broad * across,
        hip - broad * across,
    ]
    trunk = _drawn(lambda pen: pen.polygon([tuple(corner) for corner in corners], fill=1))
    head = _disc(neck - 0.09 * tall * down, (0.065 * tall, 0.08 * tall))
    trousers, sleeves = np.logical_or.reduce(legs), arms[0] | arms[2]
    return [
        trousers,
        trunk | sleeves,
        arms[1] | arms[3],
        head | _limb(neck, neck - 0.05 * tall * down, 0.6 * broad),
    ]


def _limb(start: np.ndarray, end: np.ndarray, wide: float) -> np.ndarray:
    bar = _drawn(lambda pen: pen.line([tuple(start), tuple(end)], fill=1, width=max(2, round(wide))))
    return bar | _disc(start, (wide / 2, wide / 2)) | _disc(end, (wide / 2, wide / 2))


def _disc(centre: np.ndarray, radii: Any) -> np.ndarray:
    box = [*(centre - radii), *(centre + radii)]
    return _drawn(lambda pen: pen.ellipse(box, fill=1))


def _direction(angle: Any) -> np.ndarray:
    """Return (…, 2): column and row of a step at an angle, clockwise from the right."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _drawn(draw: Callable[[PIL.ImageDraw.ImageDraw], None]) -> np.ndarray:
    canvas = PIL.Image.new("1", (_WIDTH, _HEIGHT))
    draw(PIL.ImageDraw.Draw(canvas))
    return np.asarray(canvas)


def _annotation(mask: np.ndarray, number: int, image: int) -> dict[str, Any]:
    rows, columns = np.nonzero(mask)
    left, top = int(columns.min()), int(rows.min())
    # padded, so that outlines close at the border of the picture; half a pixel on, to COCO's corners
    outlines = [outline[:, ::-1] - 0.5 for outline in skimage.measure.find_contours(np.pad(mask, 1), 0.5)]
    return {
        "id": number,
        "iscrowd": 0,
        "image_id": image,
        "category_id": _PERSON["id"],
        "segmentation": [outline.round(1).ravel().tolist() for outline in outlines if len(outline) >= 4],
        "bbox": [left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top],
        "area": int(mask.sum()),
    }
