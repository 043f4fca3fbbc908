"""The figures of the paper on our data, the images in them chosen by stated rules."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from skimage.measure import label
from skimage.morphology import convex_hull_image

from kcseg.dataset.batch import Batch, evenly
from kcseg.network.unet import build_unet
from kcseg.page.architecture import architecture_figure
from kcseg.page.figures import disagreement_figure, overlay_figure, save_figures
from kcseg.study.audit import Audit, Row
from kcseg.study.audit_report import figure_of
from kcseg.study.comparison import History
from kcseg.study.comparison_report import CAPTION, comparison_figure
from kcseg.study.known import Known
from kcseg.study.parts import Members
from kcseg.study.scores import dice
from kcseg.training.run import Run

Chosen = dict[str, int]  # what an image shows, and its place in the batch
_NETWORK = (
    "The network. Green: residual blocks; blue: plain convolutions; the numbers are those of the filters."
)
_DISAGREEMENT = (
    "Soft masks of three fold members in red, green and blue: white where all find cortex, black where none does, a "
    "mixed colour where two do. From the least (left) to the most disagreement."
)
_CONTRADICTED = (
    "Training references where the prediction of the fold member that held them out seems better: prediction only "
    "(blue), reference only (red), both (pink)."
)


def paper_figures(
    out: Path,
    run: Run,
    members: Members,
    *,
    audit: Audit,
    test: Known,
    starts: Mapping[str, Sequence[History]],
) -> list[tuple[Path, str]]:
    """Write the paper's six figures to `out`, and return each with its caption.

    Figures 1 and 5 are left out where truth or planted faults are not known, figure 4 with fewer than three folds.

    Args:
        out: the folder for `figure-1.png` and so on.
        run, members: the trained run, and what its members find on the test images.
        audit, test: of its training images, and test images.
        starts: histories of pre-trained and random starts.
    """
    training, tested, masks = audit.known, test.batch, members.masks()
    drawn = {
        2: (architecture_figure(build_unet(run.config.network, seed=0)), _NETWORK),
        3: (comparison_figure(starts), CAPTION),
        6: (figure_of(choose_contradicted(audit.rows), audit), _CONTRADICTED),
    }
    if training.truth is not None and training.faults is not None:
        shown = choose_references(training.references, training.truth, training.faults)
        figure = _overlays(training.batch, training.references, shown)
        drawn[1] = figure, f"References in blue: {', '.join(shown)}."
    if run.config.ensemble.folds >= 3:
        places = choose_disagreement(members)
        images = [tested.images[place] for place in places]
        folds = [members.kept[place][:3] for place in places]
        titles = [tested.ids[place] for place in places]
        drawn[4] = disagreement_figure(images, folds, titles), _DISAGREEMENT
    if test.truth is not None:
        shown = choose_results(masks, test.truth)
        drawn[5] = _overlays(tested, masks, shown), f"The ensemble in blue: {', '.join(shown)}."
    return save_figures(out, {f"figure-{number}": drawn[number] for number in sorted(drawn)})


def choose_references(
    references: Sequence[np.ndarray], truth: Sequence[np.ndarray], faults: Sequence[tuple[str, ...]]
) -> Chosen:
    """Choose references for figure 1: a correct one, one with columns merged, one with vessels included.

    Correct: no planted fault, pyramids to be seen, and the highest Dice against the truth. The others: that fault
    planted alone, and the largest connected area beyond the truth. A kind that no reference shows is left out.

    Args:
        references, truth: bool (height, width) each.
        faults: planted in each reference, names of `FaultRates`, in the same order.
    """
    surplus = [_largest_part(mask & ~exact) for mask, exact in zip(references, truth, strict=True)]
    chosen = {}
    for name, wanted, values in (
        ("correct", (), _correctness(references, truth)),
        ("columns merged", ("columns_merged",), surplus),
        ("vessels included", ("vessels_included",), surplus),
    ):
        if places := [place for place, planted in enumerate(faults) if planted == wanted]:
            chosen[name] = max(places, key=values.__getitem__)
    return chosen


def choose_results(masks: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> Chosen:
    """Choose masks of the ensemble for figure 5: a correct one, a cluster of columns, an over-extended one.

    Correct: pyramids to be seen, and the highest Dice against the truth. Cluster: the largest connected area
    beyond the truth within the truth's convex hull. Over-extended: the most pixels beyond that hull. No image is
    chosen twice.

    Args:
        masks, truth: bool (height, width) each, in the same order.
    """
    pairs = [
        (mask & ~exact, convex_hull_image(exact) if exact.any() else exact)
        for mask, exact in zip(masks, truth, strict=True)
    ]
    chosen: Chosen = {}
    for name, values in (
        ("correct", _correctness(masks, truth)),
        ("over-extended", [np.count_nonzero(surplus & ~hull) for surplus, hull in pairs]),
        ("cluster of columns", [_largest_part(surplus & hull) for surplus, hull in pairs]),
    ):
        if left := set(range(len(masks))) - set(chosen.values()):
            chosen[name] = max(left, key=values.__getitem__)
    return {
        name: chosen[name] for name in ("correct", "cluster of columns", "over-extended") if name in chosen
    }


def choose_disagreement(members: Members, count: int = 4) -> list[int]:
    """Choose images for figure 4, evenly spaced from the least to the most mean disagreement within the mask.

    Disagreement is the standard deviation over the members.
    """
    pairs = zip(members.kept, members.masks(), strict=True)
    means = [kept.std(axis=0).mean(where=mask) if mask.any() else 0.0 for kept, mask in pairs]
    order = np.argsort(means, kind="stable")
    return [int(order[place]) for place in evenly(len(order), count)]


def choose_contradicted(rows: Sequence[Row], count: int = 4) -> list[Row]:
    """Choose rows of an audit for figure 6: predictions that gain most on their reference in Dice against the truth.

    Where that is not known, those most contradicted.
    """

    def gain(row: Row) -> float:
        return (row["prediction_dice_truth"] or 0.0) - (row["reference_dice_truth"] or 0.0)

    return sorted(rows, key=gain, reverse=True)[:count]


def _correctness(masks: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> list[float]:
    """Return the Dice against the truth, less 1 where hardly a pyramid is seen.

    That is where the truth fills more of its convex hull than half of the others do: a solid kidney is no example.
    """
    solid = np.array(
        [exact.sum() / convex_hull_image(exact).sum() if exact.any() else 1.0 for exact in truth]
    )
    usual = np.median(solid)
    return [
        dice(mask, exact) - float(fills > usual)
        for mask, exact, fills in zip(masks, truth, solid, strict=True)
    ]


def _overlays(batch: Batch, masks: Sequence[np.ndarray], chosen: Chosen) -> Figure:
    return overlay_figure(
        [batch.images[place] for place in chosen.values()],
        [masks[place] for place in chosen.values()],
        [f"{name} ({batch.ids[place]})" for name, place in chosen.items()],
    )


def _largest_part(mask: np.ndarray) -> int:
    """Pixels of the largest 8-connected component of a mask."""
    return int(np.bincount(label(mask, connectivity=2).ravel())[1:].max(initial=0))
