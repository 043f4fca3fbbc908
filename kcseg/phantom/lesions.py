"""Cysts and stones: what now and then interrupts a kidney."""

from dataclasses import dataclass

import numpy as np

from kcseg.phantom.anatomy import Kidney
from kcseg.phantom.shapes import Planes


@dataclass(frozen=True, eq=False)
class Lesion:
    """A ball that replaces the tissue it lies in."""

    name: str  # "cyst" or "stone"
    centre_mm: np.ndarray  # (3,) as (row, column, depth) from the kidney's centre
    radius_mm: float
    hu: float  # of its content

    def cut(self, planes: Planes) -> np.ndarray:
        """Return the depth inside the ball at each point of planes, in mm."""
        return self.radius_mm - np.sqrt(
            sum((x - c) ** 2 for x, c in zip(planes.point, self.centre_mm.tolist(), strict=True))
        )


def draw_lesions(kidney: Kidney, random: np.random.Generator) -> tuple[Lesion, ...]:
    """Draw the cysts near the capsule of one kidney in five, a stone in one in twenty-five (our choice)."""
    cysts = [_cyst(kidney, random) for _ in range(random.choice(4, p=[0.8, 0.13, 0.05, 0.02]))]
    return (*cysts, *([_stone(kidney, random)] if random.random() < 0.04 else []))


def _cyst(kidney: Kidney, random: np.random.Generator) -> Lesion:
    base = kidney.bases_mm[random.integers(len(kidney.bases_mm))] * random.uniform(0.7, 1.05)
    centre = kidney.to_body(base + random.normal(0, 5, 3))
    radius = float(np.clip(np.exp(random.normal(np.log(7), 0.5)), 3, 22))
    return Lesion("cyst", centre, radius, random.uniform(-2, 22))


def _stone(kidney: Kidney, random: np.random.Generator) -> Lesion:
    tip = kidney.tips_mm[random.integers(len(kidney.tips_mm))]
    return Lesion("stone", kidney.to_body(tip), random.uniform(1.5, 4), random.uniform(500, 1200))
