"""The page of an audit, and what is known of how well it finds faulty references."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from kcseg.dataset.batch import Batch
from kcseg.files import write_csv
from kcseg.page.figures import reference_figure, save_figure, scores_figure
from kcseg.page.page import Section, number, write_sections
from kcseg.phantom.annotator import FAULTS
from kcseg.results import begin
from kcseg.study.audit import Audit, Finding
from kcseg.study.statistics import estimate, roc_auc

RESULTS = ("index.html", "table.csv", "figures/worst.png", "figures/scores.png")
_SHOWN = 16
_TOP = 20  # references at the head of the ranking, whose shares are stated
_INTRODUCTION = (
    "Each reference is held against the prediction of a network that never saw it. The most contradicted come first: "
    "either may be wrong."
)
_WORST = (
    "The {} references most contradicted. Left of each pair the image, right prediction only (blue), reference only "
    "(red) and both (pink)."
)
_STUDY = (
    "Every training reference was held against the prediction of the fold member that never saw it, and ranked by how "
    "much that contradicts it."
)
_STUDY_FIGURE = (
    "The references most contradicted, in the order of the ranking: prediction of the fold member that held them out "
    "only (blue), reference only (red), both (pink)."
)
_COLUMNS = (
    "Score = 1 − Dice + surprise. Surprise: how much less the network believes in the reference than it doubts anyway "
    "(mean over the reference's pixels of the log-loss under the soft mask, less its entropy). Surplus is reference "
    "without prediction, missing is prediction without reference."
)


def write_audit(out: Path, audit: Audit, batch: Batch) -> Path:
    """Write `table.csv`, `figures/worst.png`, `figures/scores.png` and, last, `index.html`; return the page.

    An earlier audit in `out` is replaced; call `refuse_taken(out, RESULTS)` before the work begins.
    """
    begin(out, RESULTS)
    rows = [_row(finding) for finding in audit.findings]
    write_csv(out / "table.csv", rows)
    worst = audit.findings[:_SHOWN]
    scores = scores_figure([finding.score for finding in audit.findings], _faulty(audit.findings))
    figures = [
        (save_figure(out / RESULTS[2], figure_of(worst, audit, batch)), _WORST.format(len(worst))),
        (save_figure(out / RESULTS[3], scores), "Scores of all references."),
    ]
    return write_sections(
        out / "index.html",
        f"Audit of {len(rows)} references",
        [
            Section(text=_INTRODUCTION, figures=figures),
            *measured(audit.findings),
            Section("All references", _COLUMNS, rows=[_shown(row) for row in rows]),
        ],
    )


def measured(findings: Sequence[Finding]) -> list[Section]:
    """Return how well the ranking finds planted faults, and whether references or predictions are closer to the truth.

    Each is left out where it is not known.
    """
    sections = []
    if rows := fault_rows(findings):
        sections.append(Section("Planted faults found", _faults_sentence(len(findings), rows[0]), rows))
    if findings[0].reference_dice_truth is not None:
        sections.append(Section("Reference or prediction?", _truth_sentence(findings)))
    return sections


def audit_section(out: Path, findings: Sequence[Finding]) -> Section:
    """Return the part of the study's report that states what the audit in the folder `out` found."""
    sections = measured(findings)
    return Section(
        "The audit of the references",
        "\n\n".join([_STUDY, *(section.text for section in sections)]),
        rows=fault_rows(findings),
        figures=[(out / RESULTS[2], _STUDY_FIGURE)],
    )


def figure_of(findings: Sequence[Finding], audit: Audit, batch: Batch) -> Figure:
    """Draw findings as the paper's figure 6: prediction (blue), reference (red), both (pink)."""
    assert batch.masks is not None
    places = [batch.ids.index(finding.id) for finding in findings]
    return reference_figure(
        [batch.images[place] for place in places],
        [audit.predictions[place] for place in places],
        [batch.masks[place] for place in places],
        [
            f"{finding.rank}.  {finding.id}   Dice {finding.dice:.2f}, {finding.surplus_mm2} mm² surplus, "
            f"{finding.missing_mm2} mm² missing"
            for finding in findings
        ],
    )


def fault_rows(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return a row for all kinds of planted faults together and for each; none where faults are not known.

    It counts the references with that fault, among all and at the head of the ranking, and holds the area under the
    ROC curve of these against the references without any planted fault. The straying rim, which all have, is none.
    """
    faulty = _faulty(findings)
    if faulty is None:
        return []
    scores = np.array([finding.score for finding in findings])
    rows = []
    for kind in ("any", *FAULTS):
        has = faulty if kind == "any" else np.array([kind in (one.faults or ()) for one in findings])
        either = has | ~faulty
        rows.append(
            {
                "planted fault": kind.replace("_", " "),
                "references": int(has.sum()),
                f"of the first {min(_TOP, len(has))}": int(has[:_TOP].sum()),
                "area under the ROC curve": number(roc_auc(scores[either], has[either]), 2),
            }
        )
    return rows


def _faults_sentence(count: int, any_fault: dict[str, Any]) -> str:
    _, faulty, first, area = any_fault.values()
    return (
        f"{faulty} of {count} references have planted faults, {faulty / count:.0%}; of the first "
        f"{min(_TOP, count)} in the ranking {first / min(_TOP, count):.0%} have. Area under the ROC curve, these "
        f"against the others: {area}, where chance is 0.5."
    )


def _truth_sentence(findings: Sequence[Finding]) -> str:
    """State whether the references or the predictions held out from them are closer to the truth."""
    reference = np.array([finding.reference_dice_truth for finding in findings], float)
    prediction = np.array([finding.prediction_dice_truth for finding in findings], float)
    scores = np.array([finding.score for finding in findings])
    closer = prediction > reference
    constant = np.ptp(scores) == 0 or np.ptp(reference) == 0
    correlation = None if constant else float(spearmanr(scores, 1 - reference).statistic)
    return (
        f"Mean Dice against the truth: references {reference.mean():.3f}, predictions {prediction.mean():.3f}, a "
        f"difference of {estimate(prediction - reference):+.3f}. The prediction is closer to the truth in "
        f"{closer.mean():.0%} of all images, and in {closer[:_TOP].mean():.0%} of the first {len(closer[:_TOP])} in "
        f"the ranking. Rank correlation of the score with 1 − Dice of reference and truth: {number(correlation, 2)}."
    )


def _faulty(findings: Sequence[Finding]) -> np.ndarray | None:
    """Return which references have planted faults, bool (findings,); None where that is not known."""
    known = all(finding.faults is not None for finding in findings)
    return np.array([bool(finding.faults) for finding in findings]) if known else None


def _row(finding: Finding) -> dict[str, Any]:
    """Return a finding as a row of `table.csv`."""
    row = {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in asdict(finding).items()
    }
    return {**row, "faults": None if finding.faults is None else " ".join(finding.faults)}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return such a row as the page shows it, without what is not known."""
    return {
        name.replace("_", " ").replace("mm2", "mm²"): f"{value:.3f}" if isinstance(value, float) else value
        for name, value in row.items()
        if value is not None and name != "batch"
    }
