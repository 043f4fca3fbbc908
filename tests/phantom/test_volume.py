import numpy as np
import pytest

from kcseg.phantom.case import draw_patient
from kcseg.phantom.volume import PaintedBody, axial_grid


@pytest.fixture(scope="module")
def patient():
    return draw_patient(np.random.default_rng(3), absent_rate=0.0)[0]


@pytest.fixture(scope="module")
def painted(patient):
    return PaintedBody(patient)


@pytest.fixture(scope="module")
def scanned(patient, painted):
    grid = axial_grid(patient, 1.5, 3.0, -90, 110)
    return grid, *painted.scan(grid, 10.0, np.random.default_rng(0))


def test_kidneys_lie_on_their_sides_with_their_volumes(scanned):
    grid, _, exact = scanned
    voxel_ml = abs(np.linalg.det(grid.affine[:3, :3])) / 1000
    assert [one.side for one in exact] == ["right", "left"]
    for one in exact:
        x = grid.affine[0, 0] * np.argwhere(one.kidney)[:, 0] + grid.affine[0, 3]
        assert (x.mean() > 30) == (one.side == "right")
        assert one.kidney.sum() * voxel_ml == pytest.approx(one.kidney_ml, rel=0.03)
        assert one.cortex.sum() * voxel_ml == pytest.approx(one.cortex_ml, rel=0.06)
        assert 0.45 < one.cortex_ml / one.kidney_ml < 0.85 and 3 < one.thickness_mm < 12
        assert not (one.cortex & ~one.kidney).any()


def test_the_scan_shows_cortex_brighter_than_what_surrounds_it(scanned, patient):
    _, hu, exact = scanned
    for one in exact:
        assert np.median(hu[one.cortex]) == pytest.approx(patient.contrast.cortex, abs=30)
    assert hu.min() < -900 and hu.max() > 300


def test_a_tilted_grid_shows_the_same_kidneys(patient, painted):
    straight, tilted = (axial_grid(patient, 2.0, 4.0, -100, 120, tilt) for tilt in (0.0, 0.2))
    volumes = []
    for grid in (straight, tilted):
        _, exact = painted.scan(grid, 5.0, np.random.default_rng(0))
        voxel_ml = abs(np.linalg.det(grid.affine[:3, :3])) / 1000
        volumes.append([one.kidney.sum() * voxel_ml for one in exact])
    np.testing.assert_allclose(volumes[0], volumes[1], rtol=0.04)


def test_a_scan_may_end_within_a_kidney(patient, painted):
    grid = axial_grid(patient, 2.0, 4.0, 0, 110)
    _, exact = painted.scan(grid, 5.0, np.random.default_rng(0))
    voxel_ml = abs(np.linalg.det(grid.affine[:3, :3])) / 1000
    assert any(one.kidney.sum() * voxel_ml < 0.9 * one.kidney_ml for one in exact)
