import numpy as np
import pytest

from kcseg.study.audit import audit_run
from kcseg.study.comparison import PRETRAINED, RANDOM
from kcseg.study.known import Known
from kcseg.study.paper import choose_contradicted, choose_references, choose_results, paper_figures
from kcseg.study.parts import Members
from kcseg.study.soft_masks import soft_masks


@pytest.fixture
def ring():
    rows, columns = np.indices((40, 40)) - 20
    distance = np.hypot(rows, columns)
    return (distance < 14) & (distance > 8)


def test_results_show_what_they_are_called(ring):
    filled = ring.copy()
    filled[14:26, 14:26] = True
    wide = ring.copy()
    wide[:, :8] = True
    straying = ring.copy()
    straying[6:10] = False
    masks = [straying, wide, filled, ring]
    assert choose_results(masks, [ring] * 4) == {
        "correct": 3,
        "cluster of columns": 2,
        "over-extended": 1,
    }


def test_references_show_their_planted_fault_alone(ring):
    small, large = ring.copy(), ring.copy()
    small[18:20, 18:20] = True
    large[14:26, 14:26] = True
    solid = np.zeros_like(ring)
    solid[5:30, 5:30] = True
    references = (small, large, large, small, ring, solid)
    faults = (
        ("columns_merged",),
        ("columns_merged",),
        ("columns_merged", "vessels_included"),
        ("vessels_included",),
        (),
        (),
    )
    truth = [ring] * 5 + [solid]
    assert choose_references(references, truth, faults) == {
        "correct": 4,
        "columns merged": 1,
        "vessels included": 3,
    }
    assert "correct" not in choose_references(references, truth, (("columns_merged",),) * 6)


def test_figures_are_written_and_those_without_facts_left_out(tmp_path, trained_run, rings):
    found = soft_masks(trained_run, rings.images, trained_run.config.member_numbers)
    members = Members.of(found, trained_run.config.ensemble)
    looks = [{"step": 10.0, "val_dice": 0.5, "binary_crossentropy": 0.2}]
    starts = {PRETRAINED: [looks], RANDOM: [looks]}
    faults = (("columns_merged",), ("vessels_included",), *((),) * 10)

    def names(out, known):
        audit = audit_run(trained_run, known)
        written = paper_figures(out, trained_run, members, audit=audit, test=known, starts=starts)
        assert all(path.stat().st_size > 10_000 for path, _ in written)
        return [path.name for path, _ in written]

    # two folds only: no three members for figure 4
    expected = [f"figure-{number}.png" for number in (1, 2, 3, 5, 6)]
    assert names(tmp_path, Known(rings, rings.masks, faults)) == expected
    expected = [f"figure-{number}.png" for number in (2, 3, 6)]
    assert names(tmp_path / "real", Known(rings)) == expected


def test_the_prediction_that_gains_most_is_shown_first(trained_run, rings):
    truth = tuple(np.roll(mask, number, axis=1) for number, mask in enumerate(rings.masks))
    rows = audit_run(trained_run, Known(rings, truth)).rows
    gains = [row["prediction_dice_truth"] - row["reference_dice_truth"] for row in rows]
    shown = [row["prediction_dice_truth"] - row["reference_dice_truth"] for row in choose_contradicted(rows)]
    assert shown == sorted(gains, reverse=True)[:4]
    assert choose_contradicted(audit_run(trained_run, Known(rings)).rows)[0]["rank"] == 1
