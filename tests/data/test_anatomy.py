import numpy as np
import pytest
from scipy.ndimage import label

from kcseg.data.anatomy import Cone, Tissue, draw_kidney, nearest


def middle_section(kidney, depth_mm=0.0):
    """The plane through the long axis and the hilum, at 1 mm."""
    axis = np.arange(-80.0, 80.0)
    u, v = np.meshgrid(axis, axis, indexing="ij")
    return kidney.section((u, v, np.full(u.shape, depth_mm)))


@pytest.fixture(scope="module")
def kidneys():
    return [draw_kidney(np.random.default_rng(seed)) for seed in range(30)]


def test_a_cone_is_a_ball_at_each_end_and_straight_between():
    cone = Cone(np.array([0.0, 0, 0]), np.array([10.0, 0, 0]), 1.0, 3.0)
    points = tuple(np.array(part, float) for part in ([-4, 14, 5, 5], [0, 0, 2, 0], [0, 0, 0, 7]))
    np.testing.assert_allclose(cone.distance(points), [3, 1, 0, 5])


def test_the_distance_from_no_shape_is_infinite():
    assert np.isinf(nearest((), (np.zeros(3),) * 3)).all()


def test_a_kidney_is_9_to_13_cm_long_and_about_half_as_wide(kidneys):
    for kidney in kidneys:
        rows, _ = np.nonzero(middle_section(kidney) > Tissue.OUTSIDE)
        assert 85 <= np.ptp(rows) <= 131
        inside = middle_section(kidney) == Tissue.CORTEX
        width = np.ptp(np.nonzero(inside)[1])
        assert 0.35 < width / np.ptp(rows) < 0.75


def test_the_rim_is_cortex_of_its_thickness(kidneys):
    for kidney in kidneys:
        lateral = middle_section(kidney)[80]  # from lateral to the hilum, half way along
        tissue = lateral[lateral > Tissue.OUTSIDE]
        if kidney.notches or kidney.cysts:
            continue
        assert (tissue[: int(kidney.cortex_mm)] == Tissue.CORTEX).all()


def test_cortex_is_connected_around_the_pyramids(kidneys):
    for kidney in kidneys:
        section = middle_section(kidney)
        islands, count = label(section == Tissue.CORTEX)
        largest = max(np.sum(islands == number) for number in range(1, count + 1))
        assert largest > 0.6 * np.sum(section == Tissue.CORTEX)


def test_central_sections_show_pyramids(kidneys):
    sections = [middle_section(kidney) for kidney in kidneys]
    assert np.median([label(section == Tissue.MEDULLA)[1] for section in sections]) >= 4
    for section in sections:
        assert 0.05 < np.mean(section[section > Tissue.OUTSIDE] == Tissue.MEDULLA) < 0.65


def test_in_central_sections_the_sinus_is_open_at_the_hilum(kidneys):
    for kidney in kidneys:
        middle = middle_section(kidney)[60:100]
        most_medial = [row[np.flatnonzero(row)[-1]] for row in middle if row.any()]
        open_rows = np.isin(most_medial, (Tissue.SINUS_FAT, Tissue.URINE, Tissue.VESSEL)).sum()
        assert open_rows >= 10


def test_away_from_the_middle_the_sinus_closes(kidneys):
    near = sum(np.sum(middle_section(kidney) == Tissue.SINUS_FAT) for kidney in kidneys)
    far = sum(
        np.sum(middle_section(kidney, 0.75 * kidney.half_axes[2]) == Tissue.SINUS_FAT) for kidney in kidneys
    )
    assert far < 0.15 * near


def test_pyramids_number_as_in_a_kidney_and_point_to_the_sinus(kidneys):
    for kidney in kidneys:
        assert 12 <= len(kidney.pyramids) <= 32
        for pyramid in kidney.pyramids:
            assert pyramid.start_radius < pyramid.end_radius
        outward = [np.linalg.norm(one.end) > np.linalg.norm(one.start) for one in kidney.pyramids]
        assert np.mean(outward) > 0.7
