"""The page of an audit, and how well it finds faulty references where these are known."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from kcseg.files import write_csv
from kcseg.page.figures import reference_figure, save_figures, scores_figure
from kcseg.page.page import Section, table, write_sections
from kcseg.phantom.annotator import FAULTS
from kcseg.results import begin
from kcseg.study.audit import Audit, Row
from kcseg.study.statistics import estimate, roc_auc

RESULTS = ("index.html", "table.csv", "figures/worst.png", "figures/scores.png")
_TOP = 20  # references at the head of the ranking, whose shares are stated
_SHOWN = 16  # of these as pictures
_INTRODUCTION = (
    "Each reference is compared with the prediction of a network that never saw it. The most contradicted come first: "
    "either may be wrong."
)
WORST = (
    "The references most contradicted, in the order of the ranking. Left of each pair the image, right prediction only "
    "(blue), reference only (red) and both (pink)."
)
_TITLE = "{rank}.  {id}   Dice {dice:.2f}, {surplus_mm2} mm² surplus, {missing_mm2} mm² missing"
_COLUMNS = (
    "Score = 1 − Dice + surprise. Surprise: how much less the network believes in the reference than it doubts anyway "
    "(mean over the reference's pixels of the log-loss under the soft mask, less its entropy). Surplus is reference "
    "without prediction, missing is prediction without reference."
)


def write_audit(out: Path, audit: Audit) -> Path:
    """Write `table.csv`, `figures/worst.png`, `figures/scores.png` and, last, `index.html`; return the page.

    An earlier audit in `out` is replaced; call `refuse_taken(out, RESULTS)` before the work begins.
    """
    begin(out, RESULTS)
    write_csv(out / "table.csv", [_rounded(row) for row in audit.rows])
    scores = scores_figure([row["score"] for row in audit.rows], _faulty(audit.rows))
    drawn = {
        "worst": (figure_of(audit.rows[:_SHOWN], audit), WORST),
        "scores": (scores, "Scores of all references."),
    }
    return write_sections(
        out / "index.html",
        f"Audit of {len(audit.rows)} references",
        [
            Section(text=_INTRODUCTION, figures=save_figures(out / "figures", drawn)),
            *measured(audit.rows),
            Section("All references", _COLUMNS, table(audit.rows)),
        ],
    )


def measured(rows: Sequence[Row]) -> list[Section]:
    """Return how well the ranking finds planted faults, and whether references or predictions are closer to the truth.

    Each is left out where it is not known.
    """
    faulty = _faulty(rows)
    sections = [] if faulty is None else [_faults_found(rows, faulty)]
    if rows[0]["reference_dice_truth"] is not None:
        sections.append(Section("Reference or prediction?", _against_truth(rows)))
    return sections


def figure_of(rows: Sequence[Row], audit: Audit) -> Figure:
    """Draw some of the rows as the paper's figure 6: prediction (blue), reference (red), both (pink)."""
    batch = audit.known.batch
    places = [batch.ids.index(row["id"]) for row in rows]
    return reference_figure(
        [batch.images[place] for place in places],
        [audit.predictions[place] for place in places],
        [audit.known.references[place] for place in places],
        [_TITLE.format_map(row) for row in rows],
    )


def _faults_found(rows: Sequence[Row], faulty: np.ndarray) -> Section:
    """Count each kind of planted fault, and measure how the references that have it rank among those without any."""
    scores, top = np.array([row["score"] for row in rows]), min(_TOP, len(rows))
    kinds = {kind: np.array([kind in row["faults"].split() for row in rows]) for kind in FAULTS}
    counts = [
        {
            "planted fault": kind.replace("_", " "),
            "references": int(has.sum()),
            f"of the first {top}": int(has[:top].sum()),
            "area under the ROC curve": roc_auc(scores[has | ~faulty], has[has | ~faulty]),
        }
        for kind, has in {"any": faulty, **kinds}.items()
    ]
    text = (
        f"{faulty.sum()} of {len(rows)} references have planted faults, {faulty.mean():.0%}; of the first {top} in the "
        f"ranking {faulty[:top].mean():.0%} have. The straying rim, which all have, is not counted. The area under the "
        "ROC curve is that of references with the fault against those without any; chance is 0.5."
    )
    return Section("Planted faults found", text, table(counts))


def _against_truth(rows: Sequence[Row]) -> str:
    """State whether the references or the predictions held out from them are closer to the truth."""
    reference, prediction, score = (
        np.array([row[name] for row in rows])
        for name in ("reference_dice_truth", "prediction_dice_truth", "score")
    )
    closer, top = prediction > reference, min(_TOP, len(rows))
    return (
        f"Mean Dice against the truth: references {reference.mean():.3f}, predictions {prediction.mean():.3f}, a "
        f"difference of {estimate(prediction - reference):+.3f}. The prediction is closer to the truth in "
        f"{closer.mean():.0%} of all images, and in {closer[:top].mean():.0%} of the first {top} in the ranking. Rank "
        f"correlation of the score with 1 − Dice of reference and truth: {spearmanr(score, 1 - reference)[0]:.2f}."
    )


def _faulty(rows: Sequence[Row]) -> np.ndarray | None:
    """Return which references have planted faults, bool (rows,); None where that is not known."""
    return None if rows[0]["faults"] is None else np.array([row["faults"] != "" for row in rows])


def _rounded(row: Row) -> Row:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}
