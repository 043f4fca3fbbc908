"""Draws kidneys: sizes, tilt, sinus, pyramids and scars within the ranges of adults."""

import numpy as np
from scipy.spatial.transform import Rotation

from kcseg.phantom.anatomy import Kidney
from kcseg.phantom.fields import Waves
from kcseg.phantom.shapes import random_directions


def grow_kidney(random: np.random.Generator) -> Kidney:
    """Draw one adult kidney, on the patient's right (ranges: our choice after radiological anatomy)."""
    length = np.clip(random.normal(55, 4.5), 45, 65)
    half_axes = length * np.array([1.0, random.uniform(0.44, 0.54), random.uniform(0.38, 0.48)])
    sinus_centre, sinus, hilum = _sinus(random, half_axes)
    cortex = float(np.clip(random.normal(7.0, 1.3), 5, 10))
    bases, tips, spreads = _pyramids(random, half_axes, sinus_centre, sinus, hilum)
    scars = half_axes * random_directions(random, random.choice(3, p=[0.75, 0.2, 0.05])) * 0.95
    return Kidney(
        half_axes_mm=half_axes,
        axes=_orientation(random),
        bend=random.uniform(0.1, 0.8),
        taper=random.normal(0.06, 0.08),
        cortex_mm=cortex,
        cortex_variation_mm=random.uniform(0.4, 1.6),
        column_mm=random.uniform(0.5, 3.8),
        column_variation_mm=random.uniform(0.4, 1.5),
        sinus_centre_mm=sinus_centre,
        sinus_half_axes_mm=sinus,
        hilum_half_axes_mm=hilum,
        bases_mm=bases,
        tips_mm=tips,
        spreads=spreads,
        tip_radius_mm=random.uniform(2.5, 5.5),
        lobulation_mm=random.choice([0.5, 2.0], p=[0.65, 0.35]) * random.uniform(0.4, 1.2),
        scars_mm=scars,
        scar_depths_mm=random.uniform(2, 7, len(scars)),
        waves=tuple(Waves.draw(random, length_mm) for length_mm in (35, 25, 25, 11)),
    )


def _orientation(random: np.random.Generator) -> np.ndarray:
    """Return the frame: upper pole to the midline and to the back, hilum turned to the front."""
    tilt, turn, pitch = random.normal([14, 18, 8], [8, 14, 7])
    # mirrored, because the second axis points away from the midline
    turned = Rotation.from_euler("YXZ", [pitch, turn, -tilt], degrees=True).as_matrix()
    return turned * np.array([1.0, -1.0, 1.0])


def _sinus(random: np.random.Generator, half_axes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the sinus' centre and half axes, and the hilum's half axes."""
    length, width, depth = half_axes
    sinus = half_axes * np.array(
        [random.uniform(0.4, 0.6), random.uniform(0.28, 0.48), random.uniform(0.32, 0.5)]
    )
    centre = np.array(
        [length * random.normal(0, 0.05), -width * random.uniform(0.2, 0.6), random.normal(0, 1.5)]
    )
    hilum = np.array([length * random.uniform(0.16, 0.45), depth * random.uniform(0.3, 0.5)])
    return centre, sinus, hilum


def _pyramids(
    random: np.random.Generator,
    half_axes: np.ndarray,
    sinus_centre: np.ndarray,
    sinus: np.ndarray,
    hilum: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return bases, tips and spreads of pyramids spaced over the surface, none at the hilum."""
    candidates = half_axes * random_directions(random, 300)
    beside = (np.abs(candidates[:, 0]) > 1.25 * hilum[0]) | (np.abs(candidates[:, 2]) > 1.25 * hilum[1])
    candidates = candidates[beside | (candidates[:, 1] > 0)]
    bases = _far_apart(candidates, int(random.integers(9, 16)))
    directions = (bases - sinus_centre) / half_axes
    directions /= np.sqrt((directions**2).sum(axis=1, keepdims=True))
    tips = sinus_centre + directions * sinus * random.uniform(0.7, 1.0, (len(bases), 1))
    return bases, tips, random.uniform(0.4, 0.8, len(bases))


def _far_apart(points: np.ndarray, count: int) -> np.ndarray:
    """Choose points one by one, each far from those already chosen."""
    chosen = [0]
    distance = np.full(len(points), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(distance.argmax()))
    return points[chosen]
