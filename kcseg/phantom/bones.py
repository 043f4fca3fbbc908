"""The bones of a body, as solids in the frame of the trunk (sizes and places: our choice)."""

from collections.abc import Callable, Iterator

import numpy as np

from kcseg.phantom.contrast import Contrast
from kcseg.phantom.fields import Waves
from kcseg.phantom.shapes import Planes
from kcseg.phantom.solids import Part, Shape, Texture, ellipsoid, tube
from kcseg.phantom.trunk import FAT_HU, HIP_ROW, SIDES, Trunk, muscle_texture

_Bone = Callable[[Shape, float], Iterator[Part]]  # a shell of some mm around marrow
_CREST_ROW = 85.0  # of the iliac crest's top
_CARTILAGE_HU = 70.0


def bones(trunk: Trunk, contrast: Contrast, random: np.random.Generator) -> Iterator[Part]:
    """Yield spine, ribs, pelvis and thighs' bones."""
    grain = Waves.draw(random, 9)
    shell_hu, marrow_hu = trunk.bone_hu

    def bone(shape: Shape, shell_mm: float) -> Iterator[Part]:
        yield Part(shape, Texture(shell_hu * random.uniform(0.8, 1.2), grain, 60.0))
        yield Part(shape.less(shell_mm), Texture(marrow_hu * random.uniform(0.8, 1.2), grain, 35.0))

    yield from _ribs(trunk, random, bone)
    yield from _spine(trunk, contrast, random, bone)
    for side in SIDES:
        yield from _hip(side, random, bone)
    sacrum = ellipsoid(
        (165, trunk.lean * 165, -28), (55, random.uniform(42, 52), 20), _turned(np.array([1.0, 0.0, -0.45]))
    )
    yield from bone(sacrum, 2.0)
    if random.random() < 0.3:
        for side in SIDES:
            yield from _arm(trunk, side, contrast, random, bone)


def _spine(trunk: Trunk, contrast: Contrast, random: np.random.Generator, bone: _Bone) -> Iterator[Part]:
    disc_mm = trunk.vertebra_mm * random.uniform(0.17, 0.26)
    phase, width, front = random.uniform(0, trunk.vertebra_mm), random.uniform(21, 26), random.uniform(15, 18)
    lean, waves = trunk.lean, Waves.draw(random, 14)

    def column(planes: Planes) -> np.ndarray:
        row, column, depth = planes.point
        middle = trunk.lordosis_mm * (np.cos((row - 30) / 90) - 1)
        across, along = np.abs(column - lean * row) / width, np.abs(depth - middle) / front
        return (1 - (across**2.5 + along**2.5 + 1e-9) ** 0.4) * front

    def vertebrae(planes: Planes) -> np.ndarray:
        row = planes.point[0]
        position = np.mod(row + phase, trunk.vertebra_mm)
        body = trunk.vertebra_mm - disc_mm
        waist = 3 * np.sin(np.pi * np.clip(position / body, 0, 1))
        ends = np.minimum(position, body - position)
        return np.minimum(column(planes) + 1.5 - waist, ends) + 0.6 * waves.on_planes(planes)

    box = np.array([[-400.0, -70, -60], [140, 70, 40]])
    yield Part(Shape(column, box), Texture(contrast.disc))
    yield from bone(Shape(vertebrae, box), random.uniform(1.5, 3.0))
    for number in range(-9, 5):
        row = number * trunk.vertebra_mm - phase + 0.4 * trunk.vertebra_mm
        middle, depth = trunk.spine_at(row)
        behind = depth - front
        for side in SIDES:
            reach = 40 if row > -90 else 28
            process = tube(
                [(row, middle + side * 14, behind - 6), (row + 3, middle + side * reach, behind - 12)], (6, 4)
            )
            yield from bone(process, 1.5)
            lamina = tube(
                [(row - 3, middle + side * 15, behind - 8), (row + 10, middle, behind - 24)], (6, 5)
            )
            yield from bone(lamina, 1.5)
        spinous = tube([(row + 8, middle, behind - 22), (row + 16, middle, behind - 46)], (4, 6))
        yield from bone(spinous, 1.5)
    canal = [(row, *np.add(trunk.spine_at(row), (0, -front - 9))) for row in range(-400, 140, 60)]
    yield Part(tube(canal, [8.0] * len(canal)), Texture(25.0), 2.0)


def _ribs(trunk: Trunk, random: np.random.Generator, bone: _Bone) -> Iterator[Part]:
    angles = np.linspace(0.12, 1, 12) * np.pi  # from the spine to the front
    inset = trunk.fat_mm + 0.45 * trunk.wall_mm + 3
    for number in range(10):
        row = -40 - 27.0 * number + random.normal(0, 3)
        last = angles if number > 1 else angles[: 5 + 2 * number]
        width, front = trunk.half_width_mm - inset, trunk.half_depth_mm - inset
        narrow = 1 - 0.1 * np.clip((-row - 60) / 200, 0, 1)
        radius = random.uniform(4.5, 6.0)
        for side in SIDES:
            across = side * width * narrow * np.sign(np.sin(last)) * np.abs(np.sin(last)) ** 0.83
            along = (
                trunk.centre_depth_mm - front * narrow * np.sign(np.cos(last)) * np.abs(np.cos(last)) ** 0.83
            )
            down = row + random.uniform(55, 75) * (1 - np.cos(last * 0.9)) / 2
            yield from bone(
                tube(np.stack([down, across, along], axis=1), [radius] * len(last)), random.uniform(1.2, 2.0)
            )


def _hip(side: int, random: np.random.Generator, bone: _Bone) -> Iterator[Part]:
    down = np.array([0.88, -side * 0.42, -0.1])
    towards_front = np.array([-0.15, side * 0.62, 0.77])
    towards_front -= down * (down @ towards_front) / (down @ down)
    axes = np.stack([down, towards_front, np.cross(down, towards_front)])
    axes /= np.sqrt((axes**2).sum(axis=1, keepdims=True))
    wing = ellipsoid(
        (_CREST_ROW + 68, side * 90, 0),
        (72, 62, random.uniform(6, 9)),
        axes,
        waves=Waves.draw(random, 40),
        swell_mm=2,
    )
    yield from bone(wing, random.uniform(2.0, 3.0))
    hip = np.array([HIP_ROW, side * 88.0, 8.0])

    def at(down: float, medial: float, front: float) -> np.ndarray:
        return hip + np.array([down, -side * medial, front])

    yield from bone(ellipsoid(at(-4, 4, 0), (36, 32, 34)), 2.5)
    yield from bone(tube([at(15, 15, -15), at(62, 30, -28)], (17, 14)), 2.5)
    yield from bone(tube([at(5, 15, 15), at(28, 78, 40)], (12, 9)), 2.0)
    yield from bone(tube([at(28, 78, 38), at(62, 32, -22)], (9, 9)), 2.0)
    yield Part(ellipsoid(hip, (27, 27, 27)), Texture(_CARTILAGE_HU), 1.5)
    head = random.uniform(22, 25)
    trochanter = at(40, -random.uniform(38, 48), -8)
    yield from bone(tube([hip, trochanter], (15, 18)), 2.5)
    yield from bone(ellipsoid(hip, (head,) * 3), 2.0)
    yield from bone(tube([trochanter, trochanter + np.array([150, -side * 12, 12])], (16, 14)), 5.0)


def _arm(
    trunk: Trunk, side: int, contrast: Contrast, random: np.random.Generator, bone: _Bone
) -> Iterator[Part]:
    column, depth = side * (trunk.half_width_mm + random.uniform(42, 60)), random.uniform(-10, 30)
    way = [(-300, column, depth), (320, column + random.normal(0, 15), depth + random.normal(0, 20))]
    yield Part(tube(way, (40, 34)), Texture(FAT_HU), 2.0)
    yield Part(tube(way, (34, 26)), muscle_texture(contrast, random), 3.0)
    yield from bone(tube(way, (11, 11)), 4.0)


def _turned(first: np.ndarray) -> np.ndarray:
    """Return three unit vectors as rows, the first along `first` in the plane of rows and depths."""
    along = first / np.sqrt((first**2).sum())
    return np.stack([along, [0.0, 1.0, 0.0], [-along[2], 0.0, along[0]]])
