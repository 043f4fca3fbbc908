"""What a user may ask of a scan."""

from dataclasses import dataclass
from pathlib import Path

SIDES = ("right", "left")  # of the patient


@dataclass(frozen=True)
class ScanOptions:
    """How scans are read and measured: `series` chooses one of several, `kidneys` is a mask from another tool."""

    series: str | None = None
    kidneys: Path | None = None
    sides: tuple[str, ...] = SIDES
    any_contrast: bool = False


ALL = ScanOptions()
