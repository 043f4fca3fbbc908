import numpy as np
import pytest

from kcseg.phantom.annotator import FaultRates, annotate
from kcseg.phantom.case import draw_case
from kcseg.study.scores import dice

NONE = {
    "rim_px": 0.0,
    "vessels_included": 0.0,
    "columns_merged": 0.0,
    "sheets_joined": 0.0,
    "far_too_wide": 0.0,
}


@pytest.fixture(scope="module")
def cases():
    return [draw_case(np.random.default_rng([5, number])) for number in range(40)]


def test_references_err_as_much_as_the_challenges(cases):
    scores = [
        dice(annotate(case.truth, case.vessels, np.random.default_rng(number))[0], case.truth)
        for number, case in enumerate(cases)
    ]
    assert 0.90 <= np.mean(scores) <= 0.93


def test_without_faults_the_reference_is_the_truth(cases):
    reference, faults = annotate(
        cases[0].truth, cases[0].vessels, np.random.default_rng(0), FaultRates(**NONE)
    )
    np.testing.assert_array_equal(reference, cases[0].truth)
    assert faults == ()


@pytest.mark.parametrize("fault", ["vessels_included", "columns_merged", "sheets_joined", "far_too_wide"])
def test_each_fault_adds_and_is_named(cases, fault):
    changed = 0
    for number, case in enumerate(cases[:15]):
        rates = FaultRates(**{**NONE, fault: 1.0})
        reference, faults = annotate(case.truth, case.vessels, np.random.default_rng(number), rates)
        assert not (case.truth & ~reference).any()
        assert (faults == (fault,)) == (reference != case.truth).any()
        changed += faults == (fault,)
    assert changed >= 10


def test_the_rim_strays_both_ways(cases):
    rates = FaultRates(**{**NONE, "rim_px": 1.0})
    added = left_out = 0
    for number, case in enumerate(cases[:5]):
        reference, _ = annotate(case.truth, case.vessels, np.random.default_rng(number), rates)
        added += (reference & ~case.truth).sum()
        left_out += (case.truth & ~reference).sum()
    assert added > 150 and left_out > 150


def test_faults_come_at_their_rates(cases):
    truth = np.zeros((64, 64), bool)
    truth[10:54, 10:20] = truth[10:54, 24:34] = truth[10:54, 40:50] = True
    vessels = np.zeros_like(truth)
    vessels[30:33, 20:24] = True
    planted = [annotate(truth, vessels, np.random.default_rng(seed))[1] for seed in range(400)]
    for name in ("vessels_included", "columns_merged", "sheets_joined", "far_too_wide"):
        share = np.mean([name in faults for faults in planted])
        assert share == pytest.approx(getattr(FaultRates(), name), abs=0.07)


def test_the_truth_is_left_as_it_is(cases):
    before = cases[3].truth.copy()
    annotate(cases[3].truth, cases[3].vessels, np.random.default_rng(1), FaultRates(1.5, 1, 1, 1, 1))
    np.testing.assert_array_equal(cases[3].truth, before)


def test_an_empty_truth_stays_empty():
    empty = np.zeros((32, 32), bool)
    assert not annotate(empty, empty, np.random.default_rng(0), FaultRates(0.0, 1, 1, 1, 1))[0].any()
