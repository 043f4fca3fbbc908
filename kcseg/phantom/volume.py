"""A whole simulated scan: a body with both kidneys on any grid, and the exact volumes and thickness of its cortex."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from kcseg.image.volume import coronal_affine, resampled, shifted, window_of
from kcseg.phantom.body import Body, PlacedKidney
from kcseg.phantom.section import Painting
from kcseg.phantom.shapes import Planes
from kcseg.phantom.solids import paint

_COARSE_MM, _FINE_MM = 2.0, 1.0  # in which the body is painted, and its kidneys
_PLANES_TOGETHER = 8
_REACH_MM = (78.0, 62.0, 48.0)  # of a kidney from its centre, with what is next to it: rows, columns, depths
_AIR_HU = -1000.0
_LOWEST_HU, _HIGHEST_HU = -1024, 3071


@dataclass(frozen=True, eq=False)
class VolumeGrid:
    """The voxels of a scan: their number, and where they lie in the body.

    `affine` float64 (4, 4) leads from the index of a voxel to mm in RAS+ (to the patient's right, to the front, up)
    from the middle of the second lumbar vertebra. `slice_mm` is the thickness that the last axis averages over.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    slice_mm: float


@dataclass(frozen=True, eq=False)
class ExactKidney:
    """What is known of a kidney in a simulated scan."""

    side: str
    cortex_ml: float
    kidney_ml: float
    thickness_mm: float  # median of the cortex' thickness at the capsule, away from the hilum
    cortex: np.ndarray  # bool, on the scan's grid
    kidney: np.ndarray


def axial_grid(
    body: Body, pixel_mm: float, slice_mm: float, low_mm: float, high_mm: float, tilt: float = 0.0
) -> VolumeGrid:
    """Return the grid of an axial series as scanners write it: from feet to head, between two heights.

    `tilt` is that of the gantry, in radians.
    """
    half = body.trunk.half_width_mm + 30
    size = int(np.ceil(2 * half / pixel_mm))
    slices = int((high_mm - low_mm) / slice_mm) + 1
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = (-pixel_mm, 0, 0), (0, -pixel_mm * np.cos(tilt), -pixel_mm * np.sin(tilt))
    affine[:3, 2] = 0, 0, slice_mm
    affine[:3, 3] = half, body.trunk.centre_depth_mm + half * np.cos(tilt), low_mm + half * np.sin(tilt)
    return VolumeGrid((size, size, slices), affine, slice_mm)


class PaintedBody:
    """A body in voxels, from which scans are taken: coarse ones of all of it, fine ones of its kidneys."""

    def __init__(self, body: Body):
        self._coarse, self._origin = _painted(body)
        self._fine = [_fine(kidney, self._coarse, self._origin) for kidney in body.kidneys]

    def scan(
        self, grid: VolumeGrid, noise_hu: float, random: np.random.Generator
    ) -> tuple[np.ndarray, list[ExactKidney]]:
        """Return int16 HU on a grid, and what is exactly known of the kidneys."""
        hu = np.zeros(grid.shape, np.float32)
        steps = max(1, round(grid.slice_mm))
        for offset in (np.arange(steps) + 0.5) / steps - 0.5:
            affine = grid.affine.copy()
            affine[:3, 3] += offset * affine[:3, 2]
            hu += _on_grid(self._coarse, self._origin, _COARSE_MM, affine, grid.shape, _AIR_HU) / steps
            for one in self._fine:
                one.add(hu, self._coarse, self._origin, affine, 1 / steps)
        hu = gaussian_filter(hu, (0.6, 0.6, 0))
        grain = gaussian_filter(random.standard_normal(grid.shape).astype(np.float32), (0.8, 0.8, 0))
        hu += noise_hu * grain / grain.std() * np.clip((hu + 300) / 200, 0.3, 1)
        exact = [one.exact(grid) for one in self._fine]
        return np.rint(np.clip(hu, _LOWEST_HU, _HIGHEST_HU)).astype(np.int16), exact


def _painted(body: Body) -> tuple[np.ndarray, np.ndarray]:
    """Return the body without kidneys in coarse voxels (depths, rows, columns), and the place of the first."""
    trunk = body.trunk
    deep = trunk.half_depth_mm + 15
    rows = np.arange(-260, 330, _COARSE_MM)
    columns = np.arange(-trunk.half_width_mm - 45, trunk.half_width_mm + 45, _COARSE_MM)
    depths = np.arange(trunk.centre_depth_mm - deep, trunk.centre_depth_mm + deep, _COARSE_MM)
    volume = np.full((len(depths), len(rows), len(columns)), _AIR_HU, np.float32)
    for first in range(0, len(depths), _PLANES_TOGETHER):
        part = slice(first, first + _PLANES_TOGETHER)
        paint(volume[part], Planes(rows, columns, depths[part]), body.parts)
    return volume, np.array([depths[0], rows[0], columns[0]])


@dataclass(frozen=True, eq=False)
class _Fine:
    """A kidney in fine voxels (depths, rows, columns) of the body's axes."""

    side: str
    origin: np.ndarray
    hu: np.ndarray
    cortex: np.ndarray
    kidney: np.ndarray

    def add(
        self, hu: np.ndarray, coarse: np.ndarray, origin: np.ndarray, affine: np.ndarray, share: float
    ) -> None:
        """Put the kidney in the place of what the coarse voxels hold there."""
        window, here = _window(self.origin, self.hu.shape, affine, hu.shape)
        shape = hu[window].shape
        inside = _on_grid(np.ones_like(self.hu), self.origin, _FINE_MM, here, shape, 0.0)
        within = np.maximum(inside, 1e-6)
        fine = _on_grid(self.hu, self.origin, _FINE_MM, here, shape, 0.0) / within
        before = _on_grid(coarse, origin, _COARSE_MM, here, shape, _AIR_HU)
        hu[window] += share * np.where(inside > 0.999, fine - before, 0)

    def exact(self, grid: VolumeGrid) -> ExactKidney:
        """Return what is known of it."""
        window, here = _window(self.origin, self.hu.shape, grid.affine, grid.shape)
        masks = []
        for mask in (self.cortex, self.kidney):
            on_grid = np.zeros(grid.shape, bool)
            part = on_grid[window]
            part |= _on_grid(mask.astype(np.float32), self.origin, _FINE_MM, here, part.shape, 0.0) > 0.5
            masks.append(on_grid)
        fine_ml = _FINE_MM**3 / 1000
        return ExactKidney(
            self.side,
            float(self.cortex.sum()) * fine_ml,
            float(self.kidney.sum()) * fine_ml,
            _thickness(self.cortex, self.kidney),
            *masks,
        )


def _fine(kidney: PlacedKidney, coarse: np.ndarray, origin: np.ndarray) -> _Fine:
    row, column, depth = kidney.centre_mm.tolist()
    reach_rows, reach_columns, reach_depths = _REACH_MM
    rows, columns, depths = (
        np.arange(-reach, reach, _FINE_MM) + 0.5 for reach in (reach_rows, reach_columns, reach_depths)
    )
    turn = 1 if kidney.side == "right" else -1
    corner = np.array([depth + depths[0], row + rows[0], column + columns[0]])
    affine = _body_affine(corner, _FINE_MM)
    background = _on_grid(coarse, origin, _COARSE_MM, affine, (len(depths), len(rows), len(columns)), _AIR_HU)
    painted, cortex, within = [], [], []
    for first in range(0, len(depths), _PLANES_TOGETHER):
        part = slice(first, first + _PLANES_TOGETHER)
        # a kidney's own columns rise from its convex side to the midline
        painting = Painting(
            kidney.organ,
            Planes(rows, columns, depths[part]),
            background[part, :, ::turn],
            (slice(0, len(rows)), slice(0, len(columns))),
        )
        tissues = painting.tissues
        free = (painting.vessels < 0.5) & (painting.lesions < 0.5)
        painted.append(painting.hu[:, :, ::turn])
        cortex.append((tissues.on_planes(tissues.cortex > 0) & free)[:, :, ::turn])
        within.append(tissues.on_planes(tissues.solid > 0)[:, :, ::turn])
    return _Fine(kidney.side, corner, *(np.concatenate(parts) for parts in (painted, cortex, within)))


def _thickness(cortex: np.ndarray, kidney: np.ndarray) -> float:
    """Return the median distance from the capsule to what is not cortex, away from the hilum."""
    inside = kidney & ~cortex
    depth = distance_transform_edt(kidney)
    surface = kidney & (depth <= 1)
    hilum = surface & inside
    far = distance_transform_edt(~hilum) > 6 if hilum.any() else ~hilum
    distances = distance_transform_edt(~inside)[surface & cortex & far]
    return float(np.median(distances)) * _FINE_MM


def _body_affine(corner: np.ndarray, step_mm: float) -> np.ndarray:
    """Return the affine of voxels (depth, row, column) of the body; rows run to the feet, columns to the left."""
    depth, row, column = corner.tolist()
    return coronal_affine(np.array([-column, depth, -row]), step_mm, step_mm)


def _on_grid(
    values: np.ndarray,
    corner: np.ndarray,
    step_mm: float,
    affine: np.ndarray,
    shape: Sequence[int],
    fill: float,
) -> np.ndarray:
    """Return values of the body's voxels at the centres of other voxels, linear."""
    return resampled(values, _body_affine(corner, step_mm), affine, shape, fill=fill)


def _window(
    corner: np.ndarray, shape: Sequence[int], affine: np.ndarray, size: Sequence[int]
) -> tuple[tuple[slice, slice, slice], np.ndarray]:
    """Return the window of a grid that holds the fine voxels, and the affine of that window."""
    window = window_of(_body_affine(corner, _FINE_MM), shape, affine, size)
    return window, shifted(affine, [part.start for part in window])
