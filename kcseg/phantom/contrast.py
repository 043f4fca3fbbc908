"""How bright each tissue is, in HU, at a moment after the contrast medium."""

from dataclasses import dataclass

import numpy as np

# Time runs from 0, early arterial, to 1, nephrographic. HU without contrast, and the gain at each time.
_TIMES = (0.0, 0.3, 0.65, 1.0)
_TISSUES = {
    "cortex": (33.0, (85.0, 145.0, 140.0, 130.0)),
    "medulla": (28.0, (12.0, 40.0, 85.0, 120.0)),
    "artery": (40.0, (290.0, 220.0, 130.0, 100.0)),
    "vein": (40.0, (30.0, 110.0, 125.0, 105.0)),
    "cava": (40.0, (5.0, 55.0, 95.0, 95.0)),
    "liver": (55.0, (5.0, 18.0, 55.0, 55.0)),
    "portal": (40.0, (8.0, 60.0, 125.0, 100.0)),
    "spleen": (45.0, (55.0, 80.0, 75.0, 65.0)),
    "bowel_wall": (35.0, (20.0, 50.0, 60.0, 50.0)),
    "muscle": (52.0, (3.0, 8.0, 14.0, 16.0)),
    "gland": (30.0, (30.0, 60.0, 50.0, 40.0)),
    "disc": (75.0, (0.0, 5.0, 10.0, 12.0)),
}


@dataclass(frozen=True)
class Contrast:
    """Mean HU of the enhancing tissues in one examination (values: our choice, usual in clinical CT)."""

    cortex: float
    medulla: float
    artery: float
    vein: float
    cava: float
    liver: float
    portal: float
    spleen: float
    bowel_wall: float
    muscle: float
    gland: float
    disc: float


def draw_phase(random: np.random.Generator) -> float:
    """Draw the time between early arterial (0) and nephrographic (1): mostly corticomedullary, as in the paper."""
    return float(np.clip(random.choice([0.32, 0.62], p=[0.6, 0.4]) + random.normal(0, 0.14), 0.0, 1.0))


def contrast_at(phase: float, random: np.random.Generator) -> Contrast:
    """Draw the HU of one patient at a phase: a dose common to all tissues, and each tissue's own deviation."""
    dose = random.uniform(0.4, 1.3)
    hu = {}
    for name, (native, gains) in _TISSUES.items():
        gain = float(np.interp(phase, _TIMES, gains))
        hu[name] = (
            native + random.normal(0, 4) + dose * gain * float(np.clip(random.normal(1, 0.08), 0.8, 1.2))
        )
    hu["medulla"] = min(hu["medulla"], hu["cortex"] - 4)
    return Contrast(**hu)
