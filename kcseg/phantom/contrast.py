"""How bright each tissue is, in HU, at a moment after the contrast medium."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

_TIMES = (0.0, 0.3, 0.65, 1.0)  # from 0, early arterial, to 1, nephrographic


def _tissue(native_hu: float, *gains_hu: float) -> Any:
    """Return a field of `Contrast`: the HU without contrast, and the gain at each of the times."""
    return field(metadata={"native_hu": native_hu, "gains_hu": gains_hu})


@dataclass(frozen=True)
class Contrast:
    """Mean HU of the enhancing tissues in one examination (values: our choice, usual in clinical CT)."""

    cortex: float = _tissue(33.0, 85.0, 145.0, 140.0, 130.0)
    medulla: float = _tissue(28.0, 12.0, 40.0, 85.0, 120.0)
    artery: float = _tissue(40.0, 290.0, 220.0, 130.0, 100.0)
    vein: float = _tissue(40.0, 30.0, 110.0, 125.0, 105.0)
    cava: float = _tissue(40.0, 5.0, 55.0, 95.0, 95.0)
    liver: float = _tissue(55.0, 5.0, 18.0, 55.0, 55.0)
    portal: float = _tissue(40.0, 8.0, 60.0, 125.0, 100.0)
    spleen: float = _tissue(45.0, 55.0, 80.0, 75.0, 65.0)
    bowel_wall: float = _tissue(35.0, 20.0, 50.0, 60.0, 50.0)
    muscle: float = _tissue(52.0, 3.0, 8.0, 14.0, 16.0)
    gland: float = _tissue(30.0, 30.0, 60.0, 50.0, 40.0)
    disc: float = _tissue(75.0, 0.0, 5.0, 10.0, 12.0)


def draw_phase(random: np.random.Generator) -> float:
    """Draw the time between early arterial (0) and nephrographic (1): mostly corticomedullary, as in the paper."""
    return float(np.clip(random.choice([0.32, 0.62], p=[0.6, 0.4]) + random.normal(0, 0.14), 0.0, 1.0))


def contrast_at(phase: float, random: np.random.Generator) -> Contrast:
    """Draw the HU of one patient at a phase: a dose common to all tissues, and each tissue's own deviation."""
    dose = random.uniform(0.4, 1.3)
    hu = {}
    for tissue in fields(Contrast):
        native = tissue.metadata["native_hu"] + random.normal(0, 4)
        gain = float(np.interp(phase, _TIMES, tissue.metadata["gains_hu"]))
        hu[tissue.name] = native + dose * gain * float(np.clip(random.normal(1, 0.08), 0.8, 1.2))
    hu["medulla"] = min(hu["medulla"], hu["cortex"] - 4)
    return Contrast(**hu)
