from dataclasses import dataclass, replace
from itertools import permutations, product

import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy.ndimage import minimum_filter

from kcseg.errors import InputError
from kcseg.image.contrast import LEAST_CONTRAST_HU
from kcseg.image.volume import resampled
from kcseg.scan.measure import contrast_of, measure
from kcseg.scan.result import LABELS, segment_scan
from kcseg.scan.scan import Scan
from kcseg.scan.segment import KidneyMasks
from kcseg.serving.contract import KIDNEY, OUTPUTS
from kcseg.serving.runner import Ensemble
from tests.scan.conftest import (
    CENTRES_MM,
    CORTEX_MM,
    HALF_AXES_MM,
    MEDULLA_HU,
    Body,
    Seeing,
    axial,
    in_ellipsoid,
)

# of the nearest points of the two ellipsoids, by 60,000 points on each; less than the difference of their half axes
THICKNESS_MM = 6.8
KIDNEY_ML = float(4 / 3 * np.pi * HALF_AXES_MM.prod()) / 1000
CORTEX_ML = KIDNEY_ML - float(4 / 3 * np.pi * (HALF_AXES_MM - CORTEX_MM).prod()) / 1000


def by_side(result):
    return {one.side: one for one in result.measures}


def around_right(affine, shape, half_axes_mm):
    """Which voxels lie in an ellipsoid around the right kidney's centre."""
    places = apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    return in_ellipsoid(np.moveaxis(places, -1, 0), CENTRES_MM["right"], half_axes_mm)


def exact_masks(scan):
    """The masks of the right kidney as the body has it."""
    kidney, medulla = (
        around_right(scan.affine, scan.hu.shape, HALF_AXES_MM - less) for less in (0, CORTEX_MM)
    )
    nothing = np.zeros(kidney.shape, np.float32)
    window = tuple(slice(0, size) for size in kidney.shape)
    return KidneyMasks("right", window, kidney, kidney, kidney & ~medulla, nothing, nothing)


@pytest.mark.parametrize("spacing_mm", [(2.0, 2.0, 3.0), (0.9, 0.9, 5.0)])
@pytest.mark.parametrize("medulla_hu", [80, 170])
def test_contrast_is_that_of_cortex_and_medulla(spacing_mm, medulla_hu):
    scan = Body(("right",), cortex_hu=180, medulla_hu=medulla_hu).scan(
        *axial(spacing_mm, low=-60.0, high=60.0)
    )
    assert contrast_of(scan, exact_masks(scan)) == pytest.approx(180 - medulla_hu, abs=12)


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_fat_blurred_by_thick_slices_is_no_medulla_even_after_resampling(share):
    affine, shape = axial((0.9, 0.9, 5.0), low=-60.0, high=60.0)
    thin, many = affine @ np.diag([1, 1, 0.2, 1]), (*shape[:2], 5 * shape[2])
    kidney, wide, sinus = (
        around_right(thin, many, axes) for axes in (HALF_AXES_MM, (17, 16, 38), (9, 8, 30))
    )
    sinus |= wide & (np.arange(many[2]) % 10 < 2)  # leaves of fat, thinner than a slice
    thick = np.where(sinus, -100.0, np.where(kidney, 130.0, -90.0)).reshape(*shape, 5).mean(axis=3)
    finer = affine @ np.diag([1, 1, share, 1])
    hu = resampled(thick, affine, finer, (*shape[:2], int(shape[2] / share)), fill=-90)
    scan = Scan(np.rint(hu).astype(np.int16), finer)
    assert contrast_of(scan, exact_masks(scan)) < LEAST_CONTRAST_HU


def test_an_analytic_shell_is_measured_as_it_is(body_scan, seeing):
    result = segment_scan(body_scan, seeing, any_contrast=True)
    assert [one.side for one in result.measures] == ["right", "left"]
    for one in result.measures:
        assert one.kidney_ml == pytest.approx(KIDNEY_ML, rel=0.02)
        assert one.cortex_ml == pytest.approx(CORTEX_ML, rel=0.06)  # voxels of 3 mm blur a rim of 7
        assert one.cortex_low_ml < CORTEX_ML < one.cortex_high_ml
        assert one.thickness_mm == pytest.approx(THICKNESS_MM, abs=0.8)
        assert one.length_mm == pytest.approx(2 * HALF_AXES_MM.max(), abs=3)
        assert one.contrast_hu < -25  # the medulla is brighter by 60, which the darkest quarter hardly shows
        assert one.split == pytest.approx(0.5, abs=0.01)
        assert one.note.startswith("cortex and medulla look alike (-")


def test_the_table_states_what_the_labels_hold(body_scan, seeing):
    result = segment_scan(body_scan, seeing, any_contrast=True)
    labels = result.labels()
    for one in result.measures:
        cortex = np.count_nonzero(labels == LABELS[f"{one.side} cortex"]) * body_scan.voxel_ml
        kidney = np.isin(labels, [LABELS[f"{one.side} {part}"] for part in ("cortex", "medulla", "sinus")])
        assert one.cortex_ml == pytest.approx(cortex, abs=0.05)
        assert one.kidney_ml == pytest.approx(np.count_nonzero(kidney) * body_scan.voxel_ml, abs=0.05)


def test_every_order_of_axes_gives_the_same(seeing):
    scan = Body(("left",)).scan(*axial((3.0, 3.0, 4.0)))
    expected = by_side(segment_scan(scan, seeing, any_contrast=True))
    orders = list(product(permutations(range(3)), product((False, True), repeat=3)))
    for axes, flips in orders[5::8]:  # six of the forty-eight, each with another order of axes
        found = by_side(segment_scan(turned(scan, axes, flips), seeing, any_contrast=True))
        assert found.keys() == expected.keys()
        for side, one in found.items():
            assert one.cortex_ml == pytest.approx(expected[side].cortex_ml, rel=0.01)
            assert one.kidney_ml == pytest.approx(expected[side].kidney_ml, rel=0.01)


@pytest.mark.parametrize("sides", [("right",), ("left",), ()])
def test_a_kidney_that_is_not_there_is_not_invented(sides, seeing):
    result = segment_scan(Body(sides=sides).scan(*axial((3.0, 3.0, 4.0))), seeing)
    assert tuple(one.side for one in result.measures) == sides
    for side in {"right", "left"} - set(sides):
        assert f"no {side} kidney found" in result.notes


def test_a_kidney_that_is_not_seen_may_lie_beyond_the_end_of_a_scan_that_cuts_the_other(seeing):
    result = segment_scan(Body(("right",)).scan(*axial((3.0, 3.0, 4.0), low=-20.0)), seeing)
    assert "no left kidney found: it may lie beyond the end of the scan" in result.notes


@dataclass(frozen=True)
class Strange(Body):
    """Less than half of each kidney, its lower part, is brighter."""

    def hu_at(self, places):
        hu = super().hu_at(places)
        for side in self.sides:
            hu[(hu >= MEDULLA_HU) & (hu < 300) & (places[2] < CENTRES_MM[side][2] - 3)] = 250
        return hu


class Unsure(Seeing):
    """Members that are not sure of what is brighter than medulla."""

    def __call__(self, signature, images):
        found = super().__call__(signature, images)
        return found | {KIDNEY: np.where((images > 220) & (images < 300), 0.7, found[KIDNEY])}


def test_what_the_members_are_unsure_of_by_half_is_no_kidney():
    scan = Strange(("left",), cortex_hu=210).scan(*axial())
    result = segment_scan(scan, Ensemble(Unsure()))
    assert not result.measures and "no left kidney found" in result.notes


def test_an_outline_of_which_members_are_unsure_is_noted(body_scan, seeing):
    (masks,) = segment_scan(body_scan, seeing, sides=("left",)).masks
    places = np.argwhere(masks.sure)
    lowest = np.quantile(places[:, 2], 0.25)
    unsure = replace(masks, sure=masks.sure & (np.arange(masks.sure.shape[2]) > lowest))
    assert "outline" not in measure(body_scan, masks).note
    assert "% of the kidney: look at its outline" in measure(body_scan, unsure).note


def test_one_side_alone_can_be_asked_for(body_scan, seeing):
    result = segment_scan(body_scan, seeing, sides=("left",))
    assert [one.side for one in result.measures] == ["left"] and not result.notes


def test_where_cortex_and_medulla_look_alike_no_cortex_is_given_unless_asked_for(seeing):
    scan = Body(cortex_hu=140, medulla_hu=132).scan(*axial((3.0, 3.0, 4.0)))
    result = segment_scan(scan, seeing)
    for one in result.measures:
        assert one.cortex_ml is None and one.thickness_mm is None and one.cortex_share is None
        assert one.note.startswith("cortex and medulla look alike (") and one.kidney_ml > 100
    assert not np.isin(result.labels(), [LABELS["right cortex"], LABELS["left cortex"]]).any()
    asked = segment_scan(scan, seeing, any_contrast=True)
    assert all(one.cortex_ml > 0 and "look alike" in one.note for one in asked.measures)


def test_a_scan_that_ends_within_a_kidney_says_so(seeing):
    result = segment_scan(Body().scan(*axial((3.0, 3.0, 4.0), low=-20.0)), seeing)
    notes = {one.side: one.note for one in result.measures}
    assert "kidney cut by the end of the scan" in notes["right"]
    assert "kidney cut by the end of the scan" in notes["left"]


def test_a_mirrored_scan_is_noticed(seeing):
    scan = Body().scan(*axial((3.0, 3.0, 4.0)))
    mirrored = replace(scan, affine=np.diag([-1.0, 1.0, 1.0, 1.0]) @ scan.affine)
    assert any("is the scan mirrored?" in note for note in segment_scan(mirrored, seeing).notes)
    assert not any("mirrored" in note for note in segment_scan(scan, seeing).notes)


def test_a_mask_of_another_tool_takes_the_place_of_the_finder(body_scan, seeing):
    found = segment_scan(body_scan, seeing, any_contrast=True)
    kidneys = found.labels() > 0
    for mask in (kidneys.astype(np.uint8), total_segmentator(found)):
        told = by_side(segment_scan(body_scan, seeing, kidneys=mask, any_contrast=True))
        for side, one in by_side(found).items():
            assert told[side].kidney_ml == one.kidney_ml
            assert told[side].cortex_ml == pytest.approx(one.cortex_ml, rel=0.01)
    with pytest.raises(InputError, match="of shape"):
        segment_scan(body_scan, seeing, kidneys=kidneys[1:])


class Bright(Seeing):
    """Members that take anything for a kidney, however bright; but for the spine's HU."""

    def __call__(self, signature, images):
        return super().__call__(signature, np.where(images < 550, np.minimum(images, 200), -1000))


def test_what_is_as_bright_as_bone_is_no_kidney():
    body = Body(("right",), cortex_hu=420, medulla_hu=420)
    result = segment_scan(body.scan(*axial()), Ensemble(Bright()))
    assert not result.measures and "no right kidney found" in result.notes


@dataclass(frozen=True)
class WithContrastMedium(Body):
    """An ellipsoid of 450 HU: bowel next to the right kidney, or urine within it."""

    offset_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    half_axes_mm: tuple[float, float, float] = (12.0, 12.0, 20.0)

    def hu_at(self, places):
        hu = super().hu_at(places)
        centre = CENTRES_MM["right"] + np.array(self.offset_mm)
        hu[in_ellipsoid(places, centre, self.half_axes_mm) & (np.abs(hu) < 300)] = 450
        return hu


@pytest.mark.parametrize(
    ("offset_mm", "half_axes_mm"),
    [((35.0, 10.0, -20.0), (14.0, 14.0, 20.0)), ((-10.0, 0.0, 0.0), (14.0, 10.0, 20.0))],
    ids=["bowel", "urine"],
)
def test_what_is_full_of_contrast_medium_is_kidney_only_within_it(offset_mm, half_axes_mm):
    body = WithContrastMedium(("right",), offset_mm=offset_mm, half_axes_mm=half_axes_mm)
    (one,) = segment_scan(body.scan(*axial()), Ensemble(Bright()), any_contrast=True).measures
    assert one.kidney_ml == pytest.approx(KIDNEY_ML, rel=0.03)


class Cautious(Seeing):
    """Members that miss 3 mm of rim below the capsule."""

    def __call__(self, signature, images):
        found = super().__call__(signature, images)
        kidney = minimum_filter(found[KIDNEY], (1, 7, 7))
        return found | {KIDNEY: kidney, "probability": np.minimum(found["probability"], kidney)}


def test_a_rim_that_the_members_miss_is_found_by_its_edge(body_scan):
    for one in segment_scan(body_scan, Ensemble(Cautious()), any_contrast=True).measures:
        # 3 mm missed make a fifth of the kidney, and two fifths of its cortex
        assert one.kidney_ml == pytest.approx(KIDNEY_ML, rel=0.04)
        assert one.cortex_ml == pytest.approx(CORTEX_ML, rel=0.08)
        assert one.thickness_mm == pytest.approx(THICKNESS_MM, abs=0.8)


def test_members_that_do_not_find_kidneys_need_a_mask(body_scan):
    class Cortex:
        outputs = OUTPUTS

    with pytest.raises(InputError, match="name a mask of the kidneys"):
        segment_scan(body_scan, Ensemble(Cortex()))


def total_segmentator(result):
    """Labels as TotalSegmentator writes them, with other organs among them."""
    labels = np.where(result.labels() > 3, 3, np.where(result.labels() > 0, 2, 0)).astype(np.uint8)
    labels[:4] = 51
    return labels


def turned(scan, axes, flips):
    """The same scan with its voxels in another order."""
    hu, order = scan.hu.transpose(axes), np.eye(4)[:, [*axes, 3]]
    for axis, flip in enumerate(flips):
        if flip:
            turn = np.eye(4)
            turn[axis, axis], turn[axis, 3] = -1, hu.shape[axis] - 1
            hu, order = np.flip(hu, axis), order @ turn
    return Scan(np.ascontiguousarray(hu), scan.affine @ order)
