"""The contrast phase: one number from early arterial to nephrographic, which everything enhancing follows."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Enhancement:
    """HU of everything that takes up contrast, all following one phase from 0 (early arterial) to 1 (nephrographic)."""

    phase: float
    cortex: float
    medulla: float
    blood: float
    vein: float
    liver: float
    spleen: float
    muscle: float
    bowel_wall: float


def draw_enhancement(random: np.random.Generator) -> Enhancement:
    """Draw a contrast phase: mostly corticomedullary, cortex about 70–250 HU, the gap to the medulla closing late."""
    phase = float(random.beta(2.0, 2.6))
    strength = random.uniform(0.4, 1.2)  # dose, injection rate and the heart

    def course(early: float, middle: float, late: float, rest: float) -> float:
        return (
            rest
            + strength * float(np.interp(phase, [0.0, 0.45, 1.0], [early, middle, late]))
            + random.normal(0, 4)
        )

    return Enhancement(
        phase=phase,
        cortex=course(95, 140, 125, 35),
        medulla=course(10, 42, 105, 33),
        blood=course(270, 150, 95, 42),
        vein=course(60, 130, 95, 42),
        liver=course(5, 30, 60, 55),
        spleen=course(60, 75, 65, 48),
        muscle=course(3, 8, 14, 52),
        bowel_wall=course(15, 40, 45, 40),
    )
