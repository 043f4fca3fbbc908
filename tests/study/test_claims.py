from dataclasses import replace

import numpy as np
import pytest

from kcseg.study.claims import FAILS, HOLDS, NOT_SHOWN, PARTLY, UNTESTED, Findings, claims
from kcseg.study.comparison import PRETRAINED, RANDOM
from kcseg.study.reproduction_report import counts_figure
from kcseg.study.scores import Scores

HARD = np.random.default_rng(0).uniform(0.7, 0.9, 100)


def scored(shift, spread=0.0):
    values = HARD + shift + np.random.default_rng(1).normal(0, spread, 100)
    return Scores(values, values + 0.05)


def ways(median=0.03):
    return {
        "member-1": scored(0.0),
        "member-2": scored(0.01),
        "single": scored(0.005),
        "median": scored(median),
        "mean": scored(median - 0.001, spread=0.02),
        "majority": scored(median),
        "single without component": scored(0.0),
        "median without component": scored(median),
        "mean without component": scored(median),
    }


@pytest.fixture
def findings():
    return Findings(
        ensemble=ways(),
        arms={"ensemble": ways(), "random-start": ways(), "no-augmentation": ways(0.02)},
        by_count={1: [scored(0.0), scored(0.01)], 2: [scored(0.03)]},
        edge_share=(0.8, 0.1),
    )


def history(*scores):
    return [
        {"step": 10.0 * n, "val_dice": score, "binary_crossentropy": 0.1} for n, score in enumerate(scores, 1)
    ]


STARTS = {
    PRETRAINED: [history(0.7, 0.8), history(0.72, 0.8)],
    RANDOM: [history(0.2, 0.8), history(0.1, 0.8)],
}


def verdicts(findings, starts=STARTS):
    return {claim.statement: claim.verdict for claim in claims(findings, starts)}


def verdict(findings, words, starts=STARTS):
    (found,) = [value for statement, value in verdicts(findings, starts).items() if words in statement]
    return found


def test_every_claim_has_a_verdict(findings):
    assert set(verdicts(findings).values()) <= {HOLDS, NOT_SHOWN, PARTLY, FAILS, UNTESTED}
    assert verdict(findings, "0.867") == UNTESTED


def test_a_sure_gain_holds_and_an_unsure_one_is_not_shown(findings):
    found = verdicts(findings)
    expected = {
        "The ensemble beats its best single network.": HOLDS,
        "The largest component helps (average network).": HOLDS,
        "Augmentation helps (median of the fold members).": HOLDS,
        "The median is better than the mean.": NOT_SHOWN,
        "The largest component helps (median).": NOT_SHOWN,
        "Aggregation helps (median against the average network).": HOLDS,
        "Each part alone is barely significant.": PARTLY,
    }
    assert {statement: found[statement] for statement in expected} == expected


def test_a_loss_does_not_hold(findings):
    worse = replace(findings, ensemble=ways(0.005))
    assert verdict(worse, "best single network") == FAILS  # 0.005 is below member 2


@pytest.mark.parametrize(
    ("shift", "spread", "expected"),
    [
        (0.0, 0.0, HOLDS),
        (0.002, 0.0, HOLDS),
        (0.004, 0.0, FAILS),
        (0.0, 0.2, NOT_SHOWN),  # so wide an interval tells nothing
    ],
)
def test_a_score_is_unchanged_where_its_whole_interval_says_so(findings, shift, spread, expected):
    arms = {**findings.arms, "random-start": {**ways(), "median": scored(0.03 + shift, spread)}}
    assert verdict(replace(findings, arms=arms), "leaves the final score") == expected


def test_faster_is_told_from_slower(findings):
    assert verdict(findings, "converge faster") == HOLDS
    slower = {PRETRAINED: STARTS[RANDOM], RANDOM: STARTS[PRETRAINED]}
    assert verdict(findings, "converge faster", slower) == FAILS


def test_a_seed_that_never_gets_there_leaves_it_open(findings):
    mostly = {
        PRETRAINED: [*STARTS[PRETRAINED], history(0.1, 0.2)],
        RANDOM: [*STARTS[RANDOM], history(0.1, 0.8)],
    }
    assert verdict(findings, "converge faster", mostly) == NOT_SHOWN
    never = {PRETRAINED: [history(0.1, 0.2)] * 2, RANDOM: STARTS[RANDOM]}
    assert verdict(findings, "converge faster", never) == FAILS


def test_where_networks_disagree(findings):
    assert verdict(findings, "Networks disagree") == HOLDS
    assert verdict(replace(findings, edge_share=(0.3, 0.1)), "Networks disagree") == FAILS


def test_the_figure_has_a_point_for_each_number_of_members(findings):
    figure = counts_figure(findings.by_count)
    line = figure.axes[0].lines[0]
    np.testing.assert_array_equal(line.get_xdata(), [1, 2])
    np.testing.assert_allclose(line.get_ydata(), [HARD.mean() + 0.005, HARD.mean() + 0.03])
