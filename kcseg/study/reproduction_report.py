"""The study's report: what the paper says, what we found, and whether it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from kcseg.config import Config
from kcseg.files import write, write_json
from kcseg.page.figures import save_figures
from kcseg.page.page import Section, settings_section, to_markdown, write_sections
from kcseg.study.audit import Audit
from kcseg.study.audit_report import WORST, measured
from kcseg.study.claims import Findings, claims
from kcseg.study.comparison import History
from kcseg.study.comparison_report import comparison_cells, comparison_rows, comparison_sentence
from kcseg.study.scores import Scores
from kcseg.study.statistics import estimate

_TITLE = "The paper's study, reproduced"
_INTRODUCTION = (
    "Couteaux et al. (Diagnostic and Interventional Imaging, 2019) won the renal-cortex challenge of 2018 with seven "
    "U-Nets, their largest components and the median. This is the same study on images of our own: what the paper "
    "says, what we measured, and whether it holds. The figures speak of these images and settings alone."
)
_CLAIMS = (
    "Gains are differences of the mean Dice over the same test images, with the 95 % interval of a paired bootstrap "
    "over images (9,999 resamples). A gain “holds” where the interval against the references lies above 0, “does not "
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
_COUNTS = (
    "Median of every choice of so many members: mean, and band from the worst choice to the best. Of an even number "
    "the median is the mean of the middle two."
)
_AUDIT = (
    "Every training reference was compared with the prediction of the fold member that never saw it, and ranked by how "
    "much that contradicts it."
)


def report_reproduction(
    folder: Path,
    config: Config,
    findings: Findings,
    starts: Mapping[str, Sequence[History]],
    facts: Mapping[str, object],
    paper: Sequence[tuple[Path, str]],
    audit: Audit,
) -> Path:
    """Write `report.html`, `reproduction.md` (the same for a repository), `claims.json` and figures; return the page.

    `facts` state what was run. `paper` are the paper's figures from our data: file in `figures/` and caption each. The
    pictures of the audit are in `audit/`.
    """
    stated, seeds = claims(findings, starts), comparison_rows(starts)
    counts = {"members": (counts_figure(findings.by_count), _COUNTS)}
    arms = {
        f"{name}: {way}": scores[way]
        for name, scores in findings.arms.items()
        for way in ("single", "mean", "median")
    }
    sections = [
        Section(
            text=_INTRODUCTION, rows=[{"": name, "of this study": value} for name, value in facts.items()]
        ),
        Section(
            "The paper's claims",
            _CLAIMS,
            rows=[{"the paper": c.statement, "here": c.ours, "verdict": c.verdict} for c in stated],
        ),
        Section("The ensemble and its parts", _SCORES, rows=_rows(findings.ensemble)),
        Section("Fold members alone, and what differs in one thing", _ARMS, rows=_rows(arms)),
        Section("One to seven members", figures=save_figures(folder / "figures", counts)),
        Section("Pre-trained against random start", comparison_sentence(seeds), rows=comparison_cells(seeds)),
        Section(
            "The audit of the references",
            _AUDIT,
            figures=[(folder / "audit" / "figures" / "worst.png", WORST)],
        ),
        *measured(audit.rows),
        Section("The paper's figures, from our data", figures=paper),
        settings_section(config),
    ]
    write_json(folder / "claims.json", [asdict(claim) for claim in stated])
    write(folder / "reproduction.md", to_markdown(_TITLE, sections, beside=folder))
    return write_sections(folder / "report.html", _TITLE, sections)


def counts_figure(by_count: Mapping[int, Sequence[Scores]]) -> Figure:
    """Draw the Dice of 1 to 7 members: the mean over all choices, a band from the worst choice to the best."""
    kinds = ["reference"] if by_count[1][0].truth is None else ["reference", "truth"]
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


def _rows(scores: Mapping[str, Scores]) -> list[dict[str, str]]:
    """Return mean Dice with its interval, a row per way of segmenting."""
    return [
        {"": name}
        | {
            f"Dice, {kind}": f"{estimate(values):.4f}"
            for kind, values in (("reference", one.reference), ("truth", one.truth))
            if values is not None
        }
        for name, one in scores.items()
    ]
