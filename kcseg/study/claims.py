"""The paper's claims, compared with what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kcseg.study.comparison import History
from kcseg.study.comparison_report import comparison_rows, comparison_sentence
from kcseg.study.scores import Scores
from kcseg.study.statistics import Estimate, estimate

_NEAR = 0.003  # Dice within which scores count as equal: the paper's teams were that close
HOLDS, NOT_SHOWN, FAILS, UNTESTED = "holds", "not shown", "does not hold", "cannot be tested here"
PARTLY = "holds in part"
ENSEMBLE, RANDOM_START, NO_AUGMENTATION = "ensemble", "random-start", "no-augmentation"  # the arms


@dataclass(frozen=True)
class Findings:
    """What was measured on the test batch, by the functions of `parts`."""

    ensemble: Mapping[str, Scores]  # the members and every way to combine them
    # of fold members alone: the ensemble's, and what differs in one thing
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
    """Compare the paper's statements with the figures.

    A gain holds where its 95 % interval against the references lies above 0, does not where it lies below, and is not
    shown where the interval includes 0. A score stays as it is where the interval lies within 0.003 of 0.
    """
    every, arms = findings.ensemble, findings.arms
    members = {name: scores for name, scores in every.items() if name.startswith("member-")}
    best = max(members, key=lambda name: float(members[name].reference.mean()))
    folds = arms[ENSEMBLE]["median"]
    parts = [
        _gain("Aggregation helps (median against the average network).", every["median"] - every["single"]),
        _gain("The largest component helps (median).", every["median"] - every["median without component"]),
        _gain("Augmentation helps (median of the fold members).", folds - arms[NO_AUGMENTATION]["median"]),
    ]
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
        _gain(
            "The ensemble beats its best single network.",
            every["median"] - members[best],
            f"; {best} is the best on these very images, which favours it",
        ),
        _gain("The median is better than the mean.", every["median"] - every["mean"]),
        _gain(
            "The median is better than the mean, without largest components.",
            every["median without component"] - every["mean without component"],
        ),
        *parts,
        _gain(
            "The largest component helps (average network).",
            every["single"] - every["single without component"],
        ),
        _claim_of_final_score(folds - arms[RANDOM_START]["median"]),
        *_claims_of_comparison(comparison_rows(starts)),
        _claim_of_edge(*findings.edge_share),
        _claim_of_parts(sum(claim.verdict != NOT_SHOWN for claim in parts), len(parts)),
    ]


def _gain(statement: str, difference: Scores, remark: str = "") -> Claim:
    found = estimate(difference.reference)
    truth = "" if difference.truth is None else f"; truth {estimate(difference.truth):+.4f}"
    return Claim(statement, f"reference {found:+.4f}{truth}{remark}", _verdict(found))


def _verdict(found: Estimate) -> str:
    return HOLDS if found.low > 0 else FAILS if found.high < 0 else NOT_SHOWN


def _claim_of_final_score(difference: Scores) -> Claim:
    found = estimate(difference.reference)
    unchanged = found.low > -_NEAR and found.high < _NEAR
    return Claim(
        "Pre-training leaves the final score as it is.",
        f"{found:+.4f} (median of the fold members)",
        HOLDS if unchanged else NOT_SHOWN if _verdict(found) == NOT_SHOWN else FAILS,
    )


def _claims_of_comparison(seeds: Sequence[Mapping[str, float]]) -> list[Claim]:
    """Compare what the paper states about pre-training with the rows of `comparison_rows`."""
    sooner = np.array([row["steps_random"] - row["steps_pretrained"] for row in seeds])
    if np.isfinite(sooner).all():
        faster = _verdict(estimate(sooner))
    else:  # some never get there, and there is no mean
        faster = NOT_SHOWN if (sooner > 0).mean() > 0.5 else FAILS
    ours, theirs = (np.std([row[f"final_dice_{name}"] for row in seeds]) for name in ("pretrained", "random"))
    return [
        Claim("Pre-trained networks converge faster.", comparison_sentence(seeds), faster),
        Claim(
            "Pre-trained networks are more stable.",
            f"Standard deviation of the final Dice over {len(seeds)} seeds: {ours:.4f} pre-trained, {theirs:.4f} "
            "random. So few seeds settle it only where one is twice the other.",
            HOLDS if 2 * ours < theirs else FAILS if ours > 2 * theirs else NOT_SHOWN,
        ),
    ]


def _claim_of_edge(near: float, pixels: float) -> Claim:
    return Claim(
        "Networks disagree on the inner part of the columns and on the outermost rim.",
        f"{near:.0%} of the fold members' disagreement lies within 2 px of the reference's edge, which is "
        f"{pixels:.0%} of the pixels; columns and rim were not separated.",
        HOLDS if near > 0.5 else FAILS,
    )


def _claim_of_parts(significant: int, count: int) -> Claim:
    return Claim(
        "Each part alone is barely significant.",
        f"{significant} of {count} gains are significant: aggregation, largest component (median) and augmentation "
        "above. Intensity scaling and the search of the settings were not left out in turn.",
        HOLDS if not significant else PARTLY if significant < count else FAILS,
    )
