from types import SimpleNamespace

import numpy as np
import pytest

from kcseg.phantom.case import draw_patient
from kcseg.phantom.contrast import Contrast, contrast_at
from kcseg.phantom.fields import Waves
from kcseg.phantom.growth import grow_kidney
from kcseg.phantom.lesions import Lesion, draw_lesions
from kcseg.phantom.section import Organ, Painting, render
from kcseg.phantom.shapes import Planes
from kcseg.phantom.vessels import Tubes

AXIS = np.arange(-70.0, 70.0)
GRID = Planes(AXIS, AXIS, np.zeros(1))
NO_TUBES = Tubes(np.empty(0, str), np.empty((0, 3)), np.empty((0, 3)), np.empty(0), np.empty(0))
CONTRAST = contrast_at(0.3, np.random.default_rng(0))


def dense(tissues):
    """The depths of tissues on their one plane, far outside where nothing is stated."""

    def spread(values):
        plane = np.full(tissues.shape, -99.0)
        plane.ravel()[tissues.places] = values
        return plane[0]

    names = ("solid", "sinus", "medulla", "cortex")
    return SimpleNamespace(**{name: spread(getattr(tissues, name)) for name in names})


def section(
    *, tubes: Tubes = NO_TUBES, lesions: tuple[Lesion, ...] = (), contrast: Contrast = CONTRAST
) -> SimpleNamespace:
    random = np.random.default_rng(4)
    organ = Organ(grow_kidney(random), tubes, lesions, contrast, 2.0, Waves.draw(random, 9), 0.3)
    solid_mm = organ.kidney.depth(GRID)[0]
    hu, masks = render(organ, GRID, solid_mm, 2.0, np.full((140, 140), -100.0))
    assert masks.shape == (4, *hu.shape) and masks.dtype == bool
    return SimpleNamespace(hu=hu, cortex=masks[0], vessels=masks[2])


def test_cortex_outshines_pyramids_and_pyramids_outshine_the_sinus():
    plain = section()
    kidney = dense(grow_kidney(np.random.default_rng(4)).cut(GRID))
    cortex, medulla, sinus = (
        plain.hu[(depth > 2) & (kidney.solid > 2)].mean()
        for depth in (kidney.cortex, kidney.medulla, kidney.sinus)
    )
    assert cortex == pytest.approx(CONTRAST.cortex, abs=20)
    assert cortex > medulla + 30
    assert medulla > sinus + 30


def test_the_surroundings_stay():
    plain = section()
    np.testing.assert_array_equal(plain.hu[:5], -100.0)


def test_the_cortex_is_that_of_the_middle_plane():
    expected = dense(grow_kidney(np.random.default_rng(4)).cut(GRID)).cortex
    cortex = section().cortex
    assert cortex[expected > 1].all()
    assert not cortex[expected < -1].any()


def test_a_cyst_is_left_out_of_the_cortex_and_filled_with_water():
    plain = section()
    centre = np.argwhere(plain.cortex)[len(np.argwhere(plain.cortex)) // 2]
    point = np.array([AXIS[centre[0]], AXIS[centre[1]], 0.0])
    cystic = section(lesions=(Lesion("cyst", point, 5.0, 10.0),))
    assert not cystic.cortex[tuple(centre)]
    assert cystic.hu[tuple(centre)] == pytest.approx(10, abs=1)
    assert (plain.cortex & ~cystic.cortex).sum() > 10


def test_a_vessel_in_the_cortex_is_left_out_and_noted():
    plain = section()
    centre = np.argwhere(plain.cortex)[len(np.argwhere(plain.cortex)) // 2]
    point = np.array([AXIS[centre[0]], AXIS[centre[1]], 0.0])
    ends = (point + np.array([[way, 0, 0]]) for way in (-4, 4))
    crossed = section(tubes=Tubes(np.array(["artery"]), *ends, np.array([2.0]), np.array([2.0])))
    assert crossed.vessels[tuple(centre)] and not crossed.cortex[tuple(centre)]
    assert crossed.hu[tuple(centre)] == pytest.approx(CONTRAST.artery, abs=1)
    assert not (crossed.vessels & crossed.cortex).any()


def test_one_kidney_in_five_has_cysts_and_few_have_stones():
    found = []
    for seed in range(300):
        random = np.random.default_rng(seed)
        found.append([lesion.name for lesion in draw_lesions(grow_kidney(random), random)])
    assert np.mean(["cyst" in names for names in found]) == pytest.approx(0.2, abs=0.07)
    assert 0.005 < np.mean(["stone" in names for names in found]) < 0.1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_capsule_lies_halfway_between_cortex_and_what_is_around(seed):
    body, _, _ = draw_patient(np.random.default_rng(seed))
    kidney = body.kidneys[0]
    planes = Planes(np.arange(-70, 70, 0.5), np.arange(-60, 60, 0.5), np.array([-3.0, 0.0, 3.0]))
    around_hu = -100.0
    background = np.full((3, 280, 240), around_hu)
    painting = Painting(kidney.organ, planes, background, (slice(0, 280), slice(0, 240)))
    depth = painting.tissues.on_planes(painting.tissues.solid)
    share = (painting.hu - around_hu) / (kidney.organ.contrast.cortex - around_hu)
    for low, high, expected in ((-0.9, -0.4, 0.0), (-0.1, 0.1, 0.5), (0.4, 0.9, 1.0)):
        here = (depth != 0) & (depth > low) & (depth < high)
        # of most points: vessels, cysts and the hilum lie at others
        assert np.median(share[here]) == pytest.approx(expected, abs=0.06)
