"""The audit of the references: those that networks which never saw them contradict most come first."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from kcseg.dataset.batch import Batch, training_batch, training_truth
from kcseg.errors import InputError
from kcseg.files import is_folder, write_csv
from kcseg.page.figures import reference_figure, save_figure, scores_figure
from kcseg.page.page import write_page
from kcseg.phantom.annotator import FAULTS
from kcseg.phantom.simulate import planted_faults
from kcseg.progress import Tell, silent
from kcseg.results import begin
from kcseg.study.held_out import held_out_soft_masks
from kcseg.study.scores import dice
from kcseg.study.statistics import mean_interval, roc_auc
from kcseg.training.run import Run

RESULTS = ("index.html", "table.csv", "figures/worst.png", "figures/scores.png")
_SHOWN = 16


@dataclass(frozen=True)
class Finding:
    """How far a reference is from the prediction of a network that never saw it; areas in mm² at 1 mm.

    Attributes:
        rank: 1 for the reference most contradicted.
        id: of the image, with its batch before it.
        batch: it was delivered in; empty where the id names none.
        score: 1 - `dice` + `surprise`. Our choice of some sixty, on a simulation with seed 77 of which nothing else is
            reported: its rank correlation with the references' true error was 0.61, that of Dice alone 0.50 and that of
            the mean log-loss 0.50, and its area under the ROC curve for planted faults 0.67, 0.57 and 0.59.
        dice: between reference and prediction.
        surprise: how much less the network believes in the reference than it doubts anyway: mean over the reference's
            pixels of the log-loss under the soft mask, less the entropy of the soft mask there; in nats.
        surplus_mm2, missing_mm2: reference without prediction, and prediction without reference.
        reference_mm2, prediction_mm2: their areas.
        reference_dice_truth, prediction_dice_truth: Dice of either against the truth; None where that is not known.
        faults: planted in the reference, names of `FaultRates`; None where not known.
    """

    rank: int
    id: str
    batch: str
    score: float
    dice: float
    surprise: float
    surplus_mm2: int
    missing_mm2: int
    reference_mm2: int
    prediction_mm2: int
    reference_dice_truth: float | None = None
    prediction_dice_truth: float | None = None
    faults: tuple[str, ...] | None = None


@dataclass(frozen=True)
class FaultsFound:
    """How well the ranking finds planted faults. Faulty is a reference with at least one planted fault; the straying
    rim, which all have, is none.

    Attributes:
        references, faulty: how many there are; their quotient is what a random order would reach as precision.
        top: how many of the ranking's head `precision` looks at: 20, or all where there are fewer.
        precision: share of these that are faulty.
        auc: area under the ROC curve, faulty against others; None where there are none of either.
        by_kind: for each kind of fault, how many references have it, and the area under the ROC curve of these
            against the references without any planted fault.
    """

    references: int
    faulty: int
    top: int
    precision: float
    auc: float | None
    by_kind: dict[str, tuple[int, float | None]]


@dataclass(frozen=True)
class AgainstTruth:
    """Which is closer to the truth, the reference or the prediction held out from it.

    Attributes:
        reference, prediction: mean Dice against the truth.
        difference: prediction - reference, with its 95 % bootstrap interval over images, paired.
        closer: share of images whose prediction is closer to the truth than their reference.
        top, closer_top: the same share among the `top` references most contradicted.
        rank_correlation: Spearman's, between the score and 1 - Dice of reference and truth; None where one is constant.
    """

    reference: float
    prediction: float
    difference: float
    interval: tuple[float, float]
    closer: float
    top: int
    closer_top: float
    rank_correlation: float | None


@dataclass(frozen=True)
class Audit:
    """All findings, worst first; `predictions` are bool (height, width) in the order of the batch."""

    findings: tuple[Finding, ...]
    predictions: tuple[np.ndarray, ...]
    faults_found: FaultsFound | None
    against_truth: AgainstTruth | None


def audit_run(
    run: Run,
    batch: Batch,
    truth: Sequence[np.ndarray] | None = None,
    faults: Sequence[tuple[str, ...]] | None = None,
    tell: Tell = silent,
) -> Audit:
    """Rank the references of a run's training images by how much the networks that held them out contradict them.

    Args:
        run: with trained fold members.
        batch: its training images.
        truth: exact masks, bool (height, width), in the order of the batch; only to say how well the audit did.
        faults: planted in each reference, in that order; only for that, too.
        tell: told of every image.

    Raises:
        InputError: other images than the run's, or fold members that are missing.
    """
    soft_masks = held_out_soft_masks(run, batch, tell)
    threshold = run.config.ensemble.mask_threshold
    predictions = tuple(soft_mask > threshold for soft_mask in soft_masks)
    findings = rank_references(batch, soft_masks, truth, faults, threshold=threshold)
    return Audit(findings, predictions, _faults_found(findings), _against_truth(findings))


def rank_references(
    batch: Batch,
    soft_masks: Sequence[np.ndarray],
    truth: Sequence[np.ndarray] | None = None,
    faults: Sequence[tuple[str, ...]] | None = None,
    *,
    threshold: float = 0.5,
) -> tuple[Finding, ...]:
    """Return a finding per reference, that with the highest score first; ties keep the order of the batch.

    Args:
        batch: images with references.
        soft_masks: of networks that never saw these, float (height, width) in [0, 1], in the order of the batch.
        truth: exact masks, bool (height, width), and
        faults: planted in each reference, both in that order; None where not known.
        threshold: the prediction is where a soft mask is above it.
    """
    assert batch.masks is not None
    rows: list[dict[str, Any]] = []
    for index, (name, reference, soft_mask) in enumerate(
        zip(batch.ids, batch.masks, soft_masks, strict=True)
    ):
        row = {"id": name, "batch": name.rpartition("/")[0], **_compare(reference, soft_mask, threshold)}
        if truth is not None:
            row["reference_dice_truth"] = dice(reference, truth[index])
            row["prediction_dice_truth"] = dice(soft_mask > threshold, truth[index])
        if faults is not None:
            row["faults"] = faults[index]
        rows.append(row)
    rows.sort(key=lambda row: -row["score"])
    return tuple(Finding(rank=rank, **row) for rank, row in enumerate(rows, start=1))


def read_audited(
    run: Run, data: Path | None = None
) -> tuple[Batch, tuple[np.ndarray, ...] | None, tuple[tuple[str, ...], ...] | None]:
    """Read what a run was trained on: its batch, and truth and planted faults where they are known.

    Args:
        run: the run.
        data: its challenge folder; by default the one simulated inside the run.

    Raises:
        InputError: no such folder, or one that cannot be read.
    """
    challenge = run.challenge(data)
    if not is_folder(challenge):
        raise InputError(
            f"there are no training images in {challenge}; name the challenge folder of its training"
        )
    batch = training_batch(challenge)
    return batch, training_truth(challenge), planted_faults(challenge, batch.ids)


def write_audit(out: Path, audit: Audit, batch: Batch) -> Path:
    """Write `table.csv`, `figures/worst.png`, `figures/scores.png` and, last, `index.html`; return the page.

    An earlier audit in `out` is replaced; call `refuse_taken(out, RESULTS)` before the work begins.
    """
    begin(out, RESULTS)
    write_csv(out / "table.csv", [_table_row(finding) for finding in audit.findings])
    worst, scores = out / "figures" / "worst.png", out / "figures" / "scores.png"
    shown = audit.findings[:_SHOWN]
    save_figure(worst, figure_of(shown, audit, batch))
    save_figure(scores, scores_figure(*_by_fault(audit.findings)))
    write_page(
        out / "index.html",
        "audit.html",
        findings=audit.findings,
        faults_found=audit.faults_found,
        against_truth=audit.against_truth,
        figures=[
            (
                worst,
                f"The {len(shown)} references most contradicted. Left of each pair the image, right prediction only "
                "(blue), reference only (red) and both (pink).",
            ),
            (scores, "Scores of all references."),
        ],
    )
    return out / "index.html"


def figure_of(findings: Sequence[Finding], audit: Audit, batch: Batch) -> Figure:
    """Draw findings as the paper's figure 6: prediction (blue), reference (red), both (pink)."""
    assert batch.masks is not None
    places = [batch.ids.index(finding.id) for finding in findings]
    return reference_figure(
        [batch.images[place] for place in places],
        [audit.predictions[place] for place in places],
        [batch.masks[place] for place in places],
        [
            f"{finding.rank}.  {finding.id}   Dice {finding.dice:.2f}, {finding.surplus_mm2} mm² more, "
            f"{finding.missing_mm2} mm² less"
            for finding in findings
        ],
    )


def _compare(reference: np.ndarray, soft_mask: np.ndarray, threshold: float) -> dict[str, Any]:
    prediction = soft_mask > threshold
    overlap, surprise = dice(prediction, reference), _surprise(reference, soft_mask)
    return {
        "score": 1 - overlap + surprise,
        "dice": overlap,
        "surprise": surprise,
        "surplus_mm2": int(np.count_nonzero(reference & ~prediction)),
        "missing_mm2": int(np.count_nonzero(prediction & ~reference)),
        "reference_mm2": int(np.count_nonzero(reference)),
        "prediction_mm2": int(np.count_nonzero(prediction)),
    }


def _surprise(reference: np.ndarray, soft_mask: np.ndarray) -> float:
    if not reference.any():
        return 0.0
    # a network is never surer than that: one pixel must not outweigh all others (our choice)
    belief = np.clip(soft_mask[reference].astype(float), 0.01, 0.99)
    entropy = -belief * np.log(belief) - (1 - belief) * np.log(1 - belief)
    return float((-np.log(belief) - entropy).mean())


def _faults_found(findings: Sequence[Finding]) -> FaultsFound | None:
    if any(finding.faults is None for finding in findings):
        return None
    scores = np.array([finding.score for finding in findings])
    faulty = np.array([bool(finding.faults) for finding in findings])
    top = min(20, len(findings))
    by_kind = {}
    for kind in FAULTS:
        has = np.array([kind in (finding.faults or ()) for finding in findings])
        either = has | ~faulty
        by_kind[kind] = (int(has.sum()), roc_auc(scores[either], has[either]))
    return FaultsFound(
        references=len(findings),
        faulty=int(faulty.sum()),
        top=top,
        precision=float(faulty[:top].mean()),
        auc=roc_auc(scores, faulty),
        by_kind=by_kind,
    )


def _against_truth(findings: Sequence[Finding]) -> AgainstTruth | None:
    if any(finding.reference_dice_truth is None for finding in findings):
        return None
    reference = np.array([finding.reference_dice_truth for finding in findings], float)
    prediction = np.array([finding.prediction_dice_truth for finding in findings], float)
    scores = np.array([finding.score for finding in findings])
    closer = prediction > reference
    top = min(20, len(findings))
    constant = np.ptp(scores) == 0 or np.ptp(reference) == 0
    return AgainstTruth(
        reference=float(reference.mean()),
        prediction=float(prediction.mean()),
        difference=float((prediction - reference).mean()),
        interval=mean_interval(prediction - reference),
        closer=float(closer.mean()),
        top=top,
        closer_top=float(closer[:top].mean()),
        rank_correlation=None if constant else float(spearmanr(scores, 1 - reference).statistic),
    )


def _by_fault(findings: Sequence[Finding]) -> tuple[list[float], list[float] | None]:
    """Return the scores of references without and with planted faults; all, and None, where that is not known."""
    if any(finding.faults is None for finding in findings):
        return [finding.score for finding in findings], None
    return (
        [finding.score for finding in findings if not finding.faults],
        [finding.score for finding in findings if finding.faults],
    )


def _table_row(finding: Finding) -> dict[str, Any]:
    row = {
        name: round(value, 4) if isinstance(value, float) else value
        for name, value in asdict(finding).items()
    }
    return {**row, "faults": None if finding.faults is None else " ".join(finding.faults)}
