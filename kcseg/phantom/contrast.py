"""How bright each tissue is, in HU, at a moment after the contrast medium."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

_TIMES = (0.0, 0.3, 0.65, 1.0, 1.6)  # from 0, early arterial, over 1, nephrographic, to the excretory phase


def _tissue(native_hu: float, *gains_hu: float) -> Any:
    """Return a field of `Contrast`: the HU without contrast, and the gain at each of the times."""
    return field(metadata={"native_hu": native_hu, "gains_hu": gains_hu})


@dataclass(frozen=True)
class Contrast:
    """Mean HU of the enhancing tissues in one examination (values: our choice, usual in clinical CT)."""

    cortex: float = _tissue(33.0, 85.0, 145.0, 140.0, 130.0, 85.0)
    medulla: float = _tissue(28.0, 12.0, 40.0, 85.0, 120.0, 95.0)
    artery: float = _tissue(40.0, 290.0, 220.0, 130.0, 100.0, 60.0)
    vein: float = _tissue(40.0, 30.0, 110.0, 125.0, 105.0, 60.0)
    cava: float = _tissue(40.0, 5.0, 55.0, 95.0, 95.0, 60.0)
    liver: float = _tissue(55.0, 5.0, 18.0, 55.0, 55.0, 40.0)
    portal: float = _tissue(40.0, 8.0, 60.0, 125.0, 100.0, 60.0)
    spleen: float = _tissue(45.0, 55.0, 80.0, 75.0, 65.0, 45.0)
    bowel_wall: float = _tissue(35.0, 20.0, 50.0, 60.0, 50.0, 30.0)
    muscle: float = _tissue(52.0, 3.0, 8.0, 14.0, 16.0, 12.0)
    gland: float = _tissue(30.0, 30.0, 60.0, 50.0, 40.0, 25.0)
    disc: float = _tissue(75.0, 0.0, 5.0, 10.0, 12.0, 10.0)


def draw_phase(random: np.random.Generator) -> float:
    """Draw the time between early arterial (0) and nephrographic (1): mostly corticomedullary, as in the paper."""
    return float(np.clip(random.choice([0.32, 0.62], p=[0.6, 0.4]) + random.normal(0, 0.14), 0.0, 1.0))


def draw_any_phase(random: np.random.Generator) -> tuple[float, float | None]:
    """Draw time and dose of an examination as hospitals make them, for `contrast_at` (shares: our choice).

    Two in three are as the challenge's, three in ten late up to the excretory phase, one in twenty without contrast.
    """
    kind = random.choice(3, p=[0.65, 0.3, 0.05])
    return (draw_phase(random), None) if kind == 0 else (random.uniform(0.8, 1.6), 0.0 if kind == 2 else None)


def vary_organs(contrast: Contrast, random: np.random.Generator) -> Contrast:
    """Return the contrast with spleen, liver and bowel wall brighter or darker beside the kidneys than on average.

    A spleen may be as bright as the cortex: where it always was darker, networks took brightness for a kidney.
    """
    hu = {}
    for name, least, most in (("spleen", 0.8, 1.9), ("liver", 0.8, 1.6), ("bowel_wall", 0.8, 1.6)):
        native = Contrast.__dataclass_fields__[name].metadata["native_hu"]
        hu[name] = native + (getattr(contrast, name) - native) * random.uniform(least, most)
    return replace(contrast, **hu)


def contrast_at(phase: float, random: np.random.Generator, dose: float | None = None) -> Contrast:
    """Draw the HU of one patient at a phase: a dose common to all tissues, and each tissue's own deviation.

    Until the nephrographic phase cortex is brighter than medulla; later, or at a `dose` of 0, it need not be.
    """
    early = phase <= 1 and dose is None
    dose = random.uniform(0.4, 1.3) if dose is None else dose
    hu = {}
    for tissue in fields(Contrast):
        native = tissue.metadata["native_hu"] + random.normal(0, 4)
        gain = float(np.interp(phase, _TIMES, tissue.metadata["gains_hu"]))
        hu[tissue.name] = native + dose * gain * float(np.clip(random.normal(1, 0.08), 0.8, 1.2))
    if early:
        hu["medulla"] = min(hu["medulla"], hu["cortex"] - 4)
    return Contrast(**hu)
