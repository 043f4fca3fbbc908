"""With --force, too, a command removes and replaces only what kcseg wrote."""

import numpy as np
import pytest
from click.testing import CliRunner

from kcseg.cli import main

# what commands write, and what a person may have put beside it
NAMES = [
    *("table.csv", "index.html", "files.json", "masks/0001.png", "overlays/0001.png", "masks/drawn.png"),
    *("figures/worst.png", "figures/mine.png", "README.md", "card.json", "config.json", "member-1.npz"),
    *(
        "member-1/notes.txt",
        "report.html",
        "scores.csv",
        "predictions/test/masks/0001.png",
        "audit/table.csv",
    ),
    *("challenge/train-1/images/0001.npy", "export/kcseg/1/saved_model.pb", "notes.txt"),
]


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("command", ["predict", "audit", "pack", "train"])
def test_files_of_others_stay(
    tmp_path, contents, command, seed, exported, challenge_run, ring_challenge, config_path
):
    out = tmp_path / "out"
    random = np.random.default_rng(seed)
    for name in random.choice(NAMES, random.integers(1, 6), replace=False):
        path = out / str(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    before = contents(out)
    arguments = {
        "predict": (ring_challenge / "test", "--model", exported, "--out", out),
        "audit": (challenge_run.folder, "--data", ring_challenge, "--out", out),
        "pack": (challenge_run.folder, "--data", ring_challenge, "--out", out),
        "train": ("--config", config_path, "--data", ring_challenge, "--run", out),
    }
    run(command, *arguments[command], "--force")
    after = contents(out)
    assert {name: after.get(name) for name in before} == before


def test_a_second_run_with_force_spares_what_was_put_beside_the_first(
    tmp_path, exported, challenge_run, ring_challenge
):
    asked = {
        "predict": (ring_challenge / "test", "--model", exported),
        "audit": (challenge_run.folder, "--data", ring_challenge),
    }
    for command, arguments in asked.items():
        out = tmp_path / command
        assert run(command, *arguments, "--out", out).exit_code == 0
        (out / "mine").mkdir()
        (out / "mine" / "notes.txt").write_text("mine")
        assert run(command, *arguments, "--out", out).exit_code == 2
        assert run(command, *arguments, "--out", out, "--force").exit_code == 0
        assert (out / "mine" / "notes.txt").read_text() == "mine"


def test_scores_replace_scores_alone(tmp_path, ring_challenge):
    masks, table = ring_challenge / "test" / "masks", tmp_path / "scores.csv"
    table.write_text("mine")
    assert run("score", masks, masks, "--csv", table, "--force").exit_code == 2
    assert table.read_text() == "mine"
    table.unlink()
    assert run("score", masks, masks, "--csv", table).exit_code == 0
    assert run("score", masks, masks, "--csv", table).exit_code == 2
    assert run("score", masks, masks, "--csv", table, "--force").exit_code == 0
