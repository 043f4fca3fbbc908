"""The study's report: what the paper says, what we found, and whether it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from kcseg.config import Config
from kcseg.config_json import to_json
from kcseg.files import write, write_json
from kcseg.page.figures import save_figure
from kcseg.page.page import Section, flat, to_markdown, write_sections
from kcseg.study.audit import Audit
from kcseg.study.comparison import History
from kcseg.study.comparison_report import comparison_cells, comparison_rows, comparison_sentence
from kcseg.study.parts import Gain, Scores, gain, rows
from kcseg.study.statistics import mean_interval

_TITLE = "The paper's study, reproduced"
_INTRODUCTION = (
    "Couteaux et al. (Diagnostic and Interventional Imaging, 2019) won the renal-cortex challenge of 2018 with seven "
    "U-Nets, their largest components and the median. This is the same study on images of our own: what the paper "
    "says, what we measured, and whether it holds. The figures speak of these images and settings alone."
)
_CLAIMS = (
    "Gains are differences of the mean Dice over the same test images, with the 95 % interval of a paired bootstrap "
    "over images (10,000 resamples). A gain “holds” where the interval against the references lies above 0, “does not "
    "hold” where it lies below, and is “not shown” where it includes 0. That a score stays “as it is” holds where the "
    "interval lies within 0.003 of 0, and does not where it reaches further and excludes 0."
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

_NEAR = 0.003  # Dice within which scores count as equal: the paper's teams were that close
HOLDS, NOT_SHOWN, FAILS, UNTESTED = "holds", "not shown", "does not hold", "cannot be tested here"
PARTLY = "holds in part"
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

    A gain holds where its 95 % interval against the references lies above 0, does not where it lies below, and is not
    shown where the interval includes 0. A score stays as it is where the interval lies within 0.003 of 0.
    """
    every, arms = findings.ensemble, findings.arms
    members = {name: scores for name, scores in every.items() if name.startswith("member-")}
    best = max(members, key=lambda name: float(members[name].reference.mean()))
    folds = arms[ENSEMBLE]["median"]
    parts = [
        _gains(
            "Aggregation helps (median against the average network).", gain(every["median"], every["single"])
        ),
        _gains(
            "The largest component helps (median).", gain(every["median"], every["median without component"])
        ),
        _gains(
            "Augmentation helps (median of the fold members).", gain(folds, arms[NO_AUGMENTATION]["median"])
        ),
    ]
    start = gain(folds, arms[RANDOM_START]["median"])
    near, pixels = findings.edge_share
    significant = [claim for claim in parts if claim.verdict != NOT_SHOWN]
    return [
        Claim(
            "The ensemble scores 0.867 on 299 test images of the challenge.",
            f"{every['median'].reference.mean():.3f} on our test images; those of the challenge were never published.",
            UNTESTED,
        ),
        Claim(
            "The second team is less than 0.003 behind, all teams within 0.03.",
            "There are no other teams here.",
            UNTESTED,
        ),
        _gains(
            "The ensemble beats its best single network.",
            gain(every["median"], members[best]),
            f"{best} is the best on these very images, which favours it",
        ),
        _gains("The median is better than the mean.", gain(every["median"], every["mean"])),
        _gains(
            "The median is better than the mean, without largest components.",
            gain(every["median without component"], every["mean without component"]),
        ),
        *parts,
        _gains(
            "The largest component helps (average network).",
            gain(every["single"], every["single without component"]),
        ),
        Claim(
            "Pre-training leaves the final score as it is.",
            f"{_signed(start.reference, start.reference_interval)} (median of the fold members)",
            _unchanged(start.reference_interval),
        ),
        *_claims_of_comparison(comparison_rows(starts)),
        Claim(
            "Networks disagree on the inner part of the columns and on the outermost rim.",
            f"{near:.0%} of the fold members' disagreement lies within 2 px of the reference's edge, which is "
            f"{pixels:.0%} of the pixels; columns and rim were not told apart.",
            HOLDS if near > 0.5 else FAILS,
        ),
        Claim(
            "Each part alone is barely significant.",
            f"{len(significant)} of {len(parts)} gains are significant: aggregation, largest component (median) and "
            "augmentation above. Intensity scaling and the search of the settings were not left out in turn.",
            HOLDS if not significant else PARTLY if len(significant) < len(parts) else FAILS,
        ),
    ]


def _claims_of_comparison(seeds: Sequence[Mapping[str, float]]) -> list[Claim]:
    """Hold what the paper says of pre-training against the rows of `comparison_rows`."""
    sooner = np.array([row["steps_random"] - row["steps_pretrained"] for row in seeds])
    spread = [np.std([row[f"final_dice_{name}"] for row in seeds]) for name in ("pretrained", "random")]
    if np.isfinite(sooner).all():
        faster = _verdict(mean_interval(sooner))
    else:  # some never get there: no mean can be told
        faster = NOT_SHOWN if (sooner > 0).mean() > 0.5 else FAILS
    return [
        Claim("Pre-trained networks converge faster.", comparison_sentence(seeds), faster),
        Claim(
            "Pre-trained networks are more stable.",
            f"Standard deviation of the final Dice over {len(seeds)} seeds: {spread[0]:.4f} pre-trained, "
            f"{spread[1]:.4f} random. So few seeds settle it only where one is twice the other.",
            HOLDS if 2 * spread[0] < spread[1] else FAILS if spread[0] > 2 * spread[1] else NOT_SHOWN,
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
    stated, quicker = claims(findings, starts), comparison_rows(starts)
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
                (
                    figures / "members.png",
                    "Median of every choice of so many members: mean, and band from the worst choice to the best. Of "
                    "an even number the median is the mean of the middle two.",
                )
            ],
        ),
        Section(
            "Pre-trained against random start",
            comparison_sentence(quicker),
            rows=comparison_cells(quicker),
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
            f"{name.replace('_', ' ')} {auc:.2f} ({count})"
            for name, (count, auc) in faults.by_kind.items()
            if auc is not None
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
    caption = (
        "The references most contradicted, in the order of the ranking: prediction of the fold member that held them "
        "out only (blue), reference only (red), both (pink)."
    )
    return Section("The audit of the references", text, figures=[(out / "figures" / "worst.png", caption)])


def counts_figure(by_count: Mapping[int, Sequence[Scores]]) -> Figure:
    """Draw the Dice of 1 to 7 members: the mean over all choices, a band from the worst choice to the best."""
    kinds = ["reference", "truth"] if by_count[1][0].truth is not None else ["reference"]
    figure = Figure(figsize=(5.5 * len(kinds), 4), layout="constrained")
    for place, kind in enumerate(kinds, start=1):
        axes = figure.add_subplot(1, len(kinds), place, xlabel="members", ylabel=f"mean Dice, {kind}")
        means = {count: [getattr(one, kind).mean() for one in chosen] for count, chosen in by_count.items()}
        counts = list(means)
        axes.plot(counts, [np.mean(means[count]) for count in counts], "o-", color="#1f5fff")
        low, high = ([end(means[count]) for count in counts] for end in (min, max))
        axes.fill_between(counts, low, high, color="#1f5fff", alpha=0.2, linewidth=0)
        axes.set_xticks(counts)
        axes.grid(alpha=0.3)
    return figure


def _gains(statement: str, found: Gain, remark: str = "") -> Claim:
    ours = f"reference {_signed(found.reference, found.reference_interval)}"
    if found.truth is not None and found.truth_interval is not None:
        ours += f"; truth {_signed(found.truth, found.truth_interval)}"
    return Claim(statement, f"{ours}; {remark}" if remark else ours, _verdict(found.reference_interval))


def _verdict(interval: tuple[float, float]) -> str:
    return HOLDS if interval[0] > 0 else FAILS if interval[1] < 0 else NOT_SHOWN


def _unchanged(interval: tuple[float, float]) -> str:
    low, high = interval
    if low > -_NEAR and high < _NEAR:
        return HOLDS
    return FAILS if low > 0 or high < 0 else NOT_SHOWN


def _signed(mean: float, interval: tuple[float, float]) -> str:
    return f"{mean:+.4f} ({interval[0]:+.4f} to {interval[1]:+.4f})"
