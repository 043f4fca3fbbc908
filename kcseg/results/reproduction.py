"""The study's report: what the paper says, what we found, and whether it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from kcseg.config import Config, to_json
from kcseg.files import write, write_json
from kcseg.results.audit import Audit
from kcseg.results.figures import save_figure
from kcseg.results.report import Section, flat, to_markdown, write_sections
from kcseg.results.starts import start_cells, start_rows, starts_sentence
from kcseg.results.statistics import mean_interval
from kcseg.results.study import Gain, Scores, gain, rows
from kcseg.training.starts import History

_TITLE = "The paper's study, reproduced"
_INTRODUCTION = (
    "Couteaux et al. (Diagnostic and Interventional Imaging, 2019) won the renal-cortex challenge of 2018 with seven "
    "U-Nets, their largest components and the median. This is the same study on images of our own: what the paper "
    "says, what we measured, and whether it holds. The figures speak of these images and settings alone."
)
_CLAIMS = (
    "Gains are differences of the mean Dice over the same test images, with the 95 % interval of a paired bootstrap "
    "over images (10,000 resamples). “Holds” means that the interval against the references lies above 0."
)
_SCORES = (
    "Mean Dice over the test images and its 95 % bootstrap interval: against the references, as the challenge "
    "ranked, and against the truth, which training never sees. “Single” is the average of the members. Majority and "
    "median of an odd number are the same mask by definition."
)
_ARMS = (
    "The fold members of the ensemble, of networks that start from random weights, and of networks trained without "
    "augmentation."
)

HOLDS, SMALL, FAILS, UNTESTED = "holds", "holds, not significant", "does not hold", "cannot be tested here"
ENSEMBLE, RANDOM_START, NO_AUGMENTATION = "ensemble", "random-start", "no-augmentation"  # the arms


@dataclass(frozen=True)
class Findings:
    """What was measured on the test batch.

    Attributes:
        ensemble: Dice of the members and of every way to combine them (`study.combine`).
        arms: the same of fold members alone, of the ensemble and of what differs from it in one thing, by name.
        by_count: Dice of the median of every choice of so many members.
        edge_share: of the disagreement, and of the pixels (`study.edge_share`).
    """

    ensemble: Mapping[str, Scores]
    arms: Mapping[str, Mapping[str, Scores]]
    by_count: Mapping[int, Sequence[Scores]]
    edge_share: tuple[float, float]


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, what we measured, and whether it holds."""

    statement: str
    ours: str
    verdict: str


def claims(findings: Findings, starts: Mapping[str, Sequence[History]]) -> list[Claim]:
    """Hold the paper's statements against the figures.

    A gain holds where its 95 % interval against the references lies above 0, is not significant where the interval
    holds 0, and does not hold where it lies below, or where the mean is negative.
    """
    every, arms = findings.ensemble, findings.arms
    members = [scores for name, scores in every.items() if name.startswith("member-")]
    best = max(members, key=lambda scores: float(scores.reference.mean()))
    ours, alone = arms[ENSEMBLE], arms[RANDOM_START]
    start = gain(ours["median"], alone["median"])
    quicker = start_rows(starts)
    sooner = np.array([row["steps_random"] - row["steps_pretrained"] for row in quicker])
    spread = [np.std([row[f"final_dice_{name}"] for row in quicker]) for name in ("pretrained", "random")]
    near, pixels = findings.edge_share
    median, mean = every["median"], every["mean"]
    found = [
        Claim(
            "The ensemble scores 0.867 on 299 test images of the challenge.",
            f"{median.reference.mean():.3f} on our test images; those of the challenge were never published.",
            UNTESTED,
        ),
        Claim(
            "The second team is less than 0.003 behind, all teams within 0.03.",
            "There are no other teams here.",
            UNTESTED,
        ),
        _gains("The ensemble beats its best single network.", gain(median, best)),
        _gains("The median is better than the mean.", gain(median, mean)),
        _gains("The largest component helps (median).", gain(median, every["median without component"])),
        _gains(
            "The largest component helps (single networks).",
            gain(every["single"], every["single without component"]),
        ),
        _gains(
            "Augmentation helps (median of the fold members).",
            gain(ours["median"], arms[NO_AUGMENTATION]["median"]),
        ),
        Claim(
            "Pre-training leaves the final score as it is.",
            f"{_signed(start.reference, start.reference_interval)} (median of the fold members)",
            HOLDS if _holds_zero(start.reference_interval) or abs(start.reference) < 0.003 else FAILS,
        ),
        Claim(
            "Pre-trained networks converge faster.",
            starts_sentence(quicker),
            _verdict(float(sooner.mean()), mean_interval(sooner)) if np.isfinite(sooner).all() else FAILS,
        ),
        Claim(
            "Pre-trained networks are more stable.",
            f"Standard deviation of the final Dice over {len(quicker)} seeds: {spread[0]:.4f} pre-trained, "
            f"{spread[1]:.4f} random. So few seeds settle it only where they lie far apart.",
            HOLDS if 2 * spread[0] < spread[1] else FAILS if spread[0] > 2 * spread[1] else "not settled",
        ),
        Claim(
            "Networks disagree on the inner part of the columns and on the outermost rim.",
            f"{near:.0%} of the fold members' disagreement lies within 2 px of the reference's edge, which is "
            f"{pixels:.0%} of the pixels.",
            HOLDS if near > 0.5 else FAILS,
        ),
    ]
    parts = [
        claim for claim in found if claim.verdict in (HOLDS, SMALL, FAILS) and "helps" in claim.statement
    ]
    significant = sum(claim.verdict == HOLDS for claim in parts)
    return [
        *found,
        Claim(
            "Each part alone is barely significant.",
            f"{significant} of the {len(parts)} gains of a part above are significant.",
            HOLDS if significant < len(parts) else FAILS,
        ),
    ]


def report_reproduction(
    folder: Path,
    config: Config,
    findings: Findings,
    starts: Mapping[str, Sequence[History]],
    facts: Mapping[str, str],
    paper: Sequence[tuple[Path, str]],
    audit: Section,
) -> Path:
    """Write `report.html`, `reproduction.md` (the same for a repository), `claims.json` and figures; return the page.

    Args:
        folder: of the study.
        config: of the ensemble.
        findings: on the test batch.
        starts: histories of pre-trained and random starts.
        facts: what was run, by name.
        paper: the paper's figures from our data, drawn: file in `figures/` and caption, in the paper's order.
        audit: what the audit of the references found.
    """
    stated, quicker = claims(findings, starts), start_rows(starts)
    figures = folder / "figures"
    save_figure(figures / "members.png", counts_figure(findings.by_count))
    sections = [
        Section(
            "", _INTRODUCTION, rows=[{"": name, "of this study": value} for name, value in facts.items()]
        ),
        Section(
            "The paper's claims",
            _CLAIMS,
            rows=[{"the paper": c.statement, "here": c.ours, "verdict": c.verdict} for c in stated],
        ),
        Section("The ensemble and its parts", _SCORES, rows=rows(findings.ensemble)),
        Section(
            "Fold members alone, and what differs in one thing",
            _ARMS,
            rows=rows(
                {
                    f"{name}: {way}": scores[way]
                    for name, scores in findings.arms.items()
                    for way in ("single", "mean", "median")
                }
            ),
        ),
        Section(
            "One to seven members",
            figures=[
                (figures / "members.png", "Median of every choice of members: mean, worst and best choice.")
            ],
        ),
        Section(
            "Pre-trained against random start",
            starts_sentence(quicker),
            rows=start_cells(quicker),
        ),
        audit,
        Section("The paper's figures, from our data", figures=paper),
        Section(
            "Settings",
            rows=[{"setting": name, "value": value} for name, value in flat(to_json(config)).items()],
        ),
    ]
    write_json(folder / "claims.json", [asdict(claim) for claim in stated])
    write(folder / "reproduction.md", to_markdown(_TITLE, sections, beside=folder))
    write_sections(folder / "report.html", _TITLE, sections)
    return folder / "report.html"


def audit_section(out: Path, found: Audit) -> Section:
    """Say what the audit in the folder `out` found."""
    text = (
        "Every training reference was held against the prediction of the fold member that never saw it, and ranked by "
        "how much that contradicts it."
    )
    if faults := found.faults_found:
        kinds = ", ".join(
            f"{name} {auc:.2f} ({count})" for name, (count, auc) in faults.by_kind.items() if auc is not None
        )
        text += (
            f" {faults.faulty} of {faults.references} references carry planted faults; of the first {faults.top} "
            f"in the ranking {faults.precision:.0%} do. Area under the ROC curve {faults.auc or 0:.2f}; by kind of "
            f"fault, with its number: {kinds}."
        )
    if against := found.against_truth:
        text += (
            f"\n\nThe held-out predictions score {against.prediction:.3f} against the truth, the references they are "
            f"trained on {against.reference:.3f}: {_signed(against.difference, against.interval)}. The prediction is "
            f"closer to the truth in {against.closer:.0%} of all images, and in {against.closer_top:.0%} of the first "
            f"{against.top}."
        )
    caption = "The references most contradicted: prediction only (blue), reference only (red), both (pink)."
    return Section("The audit of the references", text, figures=[(out / "figures" / "worst.png", caption)])


def counts_figure(by_count: Mapping[int, Sequence[Scores]]) -> Figure:
    """Draw the Dice of 1 to 7 members: the mean over all choices, a band from the worst choice to the best."""
    kinds = ["reference", "truth"] if by_count[1][0].truth is not None else ["reference"]
    figure = Figure(figsize=(5.5 * len(kinds), 4), layout="constrained")
    for place, kind in enumerate(kinds, start=1):
        axes = figure.add_subplot(1, len(kinds), place, title=f"Dice, {kind}", xlabel="members")
        means = {count: [getattr(one, kind).mean() for one in chosen] for count, chosen in by_count.items()}
        counts = list(means)
        axes.plot(counts, [np.mean(means[count]) for count in counts], "o-", color="#1f5fff")
        low, high = ([end(means[count]) for count in counts] for end in (min, max))
        axes.fill_between(counts, low, high, color="#1f5fff", alpha=0.2, linewidth=0)
        axes.set_xticks(counts)
        axes.grid(alpha=0.3)
    return figure


def _gains(statement: str, found: Gain) -> Claim:
    ours = f"reference {_signed(found.reference, found.reference_interval)}"
    if found.truth is not None and found.truth_interval is not None:
        ours += f"; truth {_signed(found.truth, found.truth_interval)}"
    return Claim(statement, ours, _verdict(found.reference, found.reference_interval))


def _verdict(mean: float, interval: tuple[float, float]) -> str:
    return HOLDS if interval[0] > 0 else FAILS if mean < 0 else SMALL


def _holds_zero(interval: tuple[float, float]) -> bool:
    return interval[0] <= 0 <= interval[1]


def _signed(mean: float, interval: tuple[float, float]) -> str:
    return f"{mean:+.4f} ({interval[0]:+.4f} to {interval[1]:+.4f})"
