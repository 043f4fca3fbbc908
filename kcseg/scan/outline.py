"""The outline of a kidney at 1 mm: what the members call kidney, moved to the edge that the image shows near it."""

import numpy as np
from scipy.ndimage import (
    binary_fill_holes,
    distance_transform_edt,
    find_objects,
    gaussian_filter,
    gaussian_gradient_magnitude,
    label,
)
from skimage.segmentation import watershed

from kcseg.scan.locate import BONE_HU

# All our choice, from simulated scans (seed 5): the mean Dice of 27 kidneys rose from 0.947 to 0.964 with the outline
# moved, and that of 19 from 0.963 to 0.970 with bright neighbours left out.
_BALL_MM = 5.0  # half the width of a bridge to what is no kidney, at most
_WITHIN_MM, _BEYOND_MM = 6.0, 8.0  # deeper than the first is kidney, farther out than the second is not
_NEAR_MM = 5.0  # an edge farther from the members' outline counts less, as a Gaussian of this width
_AROUND_MM = 3.0  # so far from a bright part, up to twice that, it is seen what surrounds it
_OTHER_HU, _OTHER_MM = 40.0, 3.0  # so much darker than the kidney, yet no fat, and so far in all directions


def moved_to_edges(hu: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Return the kidney, bool, in a volume at 1 mm, from what the members call kidney; both of one shape.

    The outline is where a watershed on the image's gradient meets from within and from beyond. Where a kidney is of one
    brightness, members stray into liver and spleen, which are darker than it, and into bowel full of contrast medium,
    which is brighter: such parts are not taken for its inside.
    """
    rough = binary_fill_holes(without_appendages(called))
    if not rough.any():
        return rough
    margin = round(_BEYOND_MM) + 2
    (box,) = find_objects(rough.astype(np.uint8))
    box = tuple(slice(max(0, part.start - margin), part.stop + margin) for part in box)
    kidney = np.zeros_like(rough)
    kidney[box] = _within_edges(hu[box], rough[box])
    return kidney


def _within_edges(hu: np.ndarray, rough: np.ndarray) -> np.ndarray:
    depth, beyond = distance_transform_edt(rough), distance_transform_edt(~rough)
    smooth = gaussian_filter(hu, 1.5)
    other = _darker_parts(smooth, rough, depth)
    # every edge of these counts, however deep they reach
    away = np.where(distance_transform_edt(~other) > _OTHER_MM, np.maximum(depth, beyond), 0)
    edges = gaussian_gradient_magnitude(hu, 1.0) * np.exp(-0.5 * (away / _NEAR_MM) ** 2)
    begun = np.zeros(rough.shape, np.int8)
    begun[(depth > _WITHIN_MM) & ~other] = 2
    begun[(beyond > _BEYOND_MM) | _bright_neighbours(smooth, rough)] = 1
    return watershed(edges, begun) == 2


def _bright_neighbours(smooth: np.ndarray, rough: np.ndarray) -> np.ndarray:
    """Return what is as bright as bone and does not lie within the kidney, as urine full of contrast medium does."""
    parts, count = label(smooth > BONE_HU)
    if not count:
        return parts > 0
    away, nearest = distance_transform_edt(parts == 0, return_indices=True)
    around = (away > _AROUND_MM) & (away <= 2 * _AROUND_MM)
    part = parts[tuple(nearest)][around]
    kidney, all_around = (np.bincount(part, weights, count + 1) for weights in (rough[around], None))
    return (kidney < 0.5 * all_around)[parts]


def _darker_parts(smooth: np.ndarray, rough: np.ndarray, depth: np.ndarray) -> np.ndarray:
    inside = smooth[depth > _BALL_MM] if (depth > _BALL_MM).any() else smooth[rough]
    counts, edges = np.histogram(inside, np.arange(-200, 600, 4))
    usual_hu = edges[gaussian_filter(counts.astype(float), 2).argmax()]
    darker = rough & (smooth > _OTHER_HU) & (smooth < usual_hu - _OTHER_HU)
    cores = distance_transform_edt(darker) > _OTHER_MM
    return rough & (distance_transform_edt(~cores) <= _OTHER_MM) if cores.any() else cores


def without_appendages(mask: np.ndarray) -> np.ndarray:
    """Return the largest part of a mask at 1 mm without what hangs on it by less than a finger's width.

    Vessels leave the kidney, and bowel or muscle may touch it: what a ball of `_BALL_MM` cannot reach from within is
    cut off (our choice).
    """
    core = largest_part(distance_transform_edt(mask) > _BALL_MM)
    if not core.any():
        return largest_part(mask)
    return mask & (distance_transform_edt(~core) <= _BALL_MM + 1)


def largest_part(mask: np.ndarray) -> np.ndarray:
    """Return the largest 3D component, with 26 neighbours (our choice)."""
    parts, count = label(mask, np.ones((3, 3, 3)))
    if count < 2:
        return mask
    return parts == 1 + np.bincount(parts.ravel())[1:].argmax()
