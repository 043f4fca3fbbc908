import numpy as np
import pytest

from kcseg.study.comparison import PRETRAINED, RANDOM
from kcseg.study.comparison_report import (
    comparison_cells,
    comparison_figure,
    comparison_rows,
    comparison_sentence,
    steps_to_reach,
)


def history(*scores):
    return [
        {"step": 10.0 * place, "val_dice": score, "binary_crossentropy": 1 - score}
        for place, score in enumerate(scores, start=1)
    ]


@pytest.mark.parametrize(
    ("dice", "steps"), [(0.2, 5.0), (0.4, 10.0), (0.5, 15.0), (0.6, 20.0), (0.9, np.inf)]
)
def test_steps_are_read_off_the_straight_line(dice, steps):
    assert steps_to_reach(history(0.4, 0.6, 0.3, 0.8), dice) == pytest.approx(steps)


def test_both_starts_are_held_against_the_random_ones_final_dice():
    (row,) = comparison_rows({PRETRAINED: [history(0.76, 0.9)], RANDOM: [history(0.4, 0.8)]})
    assert row["steps_pretrained"] == pytest.approx(10)  # 0.95 * 0.8 = 0.76
    assert row["steps_random"] == pytest.approx(19)
    assert (row["final_dice_pretrained"], row["final_dice_random"]) == (0.9, 0.8)


def test_the_sentence_counts_the_seeds():
    histories = {PRETRAINED: [history(0.8, 0.8), history(0.1, 0.8)], RANDOM: [history(0.4, 0.8)] * 2}
    assert "sooner in 1 of 2 seeds" in comparison_sentence(comparison_rows(histories))


def test_what_is_never_reached_is_said_in_words():
    rows = comparison_rows(
        {PRETRAINED: [history(0.8, 0.8), history(0.1, 0.1)], RANDOM: [history(0.4, 0.8)] * 2}
    )
    assert "is reached after 10 steps (10 to 10; never in 1 of 2 seeds), from" in comparison_sentence(rows)
    assert comparison_cells(rows)[1]["steps pretrained"] == "never"
    assert "is reached in no seed, from" in comparison_sentence(rows[1:])


def test_the_figure_has_a_line_for_each_seed_and_one_for_the_mean_of_each_start():
    seeds = {PRETRAINED: [history(0.5, 0.8), history(0.7, 0.9)], RANDOM: [history(0.2, 0.8)] * 2}
    figure = comparison_figure(seeds)
    for axes in figure.axes:
        assert len(axes.lines) == 6
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert labels == ["pre-trained start", "random start"]
    ours = [line.get_ydata() for line in figure.axes[0].lines[:3]]
    np.testing.assert_allclose(ours, [[0.5, 0.8], [0.7, 0.9], [0.6, 0.85]])
