from datetime import date

import numpy as np
import pytest
from click.testing import CliRunner

from kcseg.cli import main
from kcseg.files import read_csv, read_json


def kcseg(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_every_command_explains_itself():
    overview = kcseg("--help").output
    for name in (
        "train",
        "reproduce",
        "predict",
        "serve",
        "score",
        "audit",
        "simulate",
        "check",
        "export",
        "pack",
    ):
        assert name in overview
        assert kcseg(name, "--help").exit_code == 0


def test_export_adds_a_version(tmp_path, trained_run):
    before = len(list((trained_run.folder / "export" / "kcseg").iterdir()))
    assert kcseg("export", trained_run.folder).exit_code == 0
    assert len(list((trained_run.folder / "export" / "kcseg").iterdir())) == before + 1
    assert kcseg("export", tmp_path).exit_code == 2
    newest = max((trained_run.folder / "export" / "kcseg").iterdir(), key=lambda path: int(path.name))
    assert read_json(newest / "assets.extra" / "manifest.json")["created"] == date.today().isoformat()
    reduced = kcseg("export", trained_run.folder, "--precision", "bfloat16", "--data", tmp_path)
    assert reduced.exit_code == 2 and "no batch in" in reduced.output


def test_score_tells_each_image_and_the_mean(tmp_path):
    for name, columns in {"predictions": 4, "references": 8}.items():
        (tmp_path / name).mkdir()
        mask = np.zeros((32, 32), bool)
        mask[:, :columns] = True
        np.save(tmp_path / name / "a.npy", mask)
        np.save(tmp_path / name / "b.npy", np.eye(32, dtype=bool))
    result = kcseg(
        "score", tmp_path / "predictions", tmp_path / "references", "--csv", tmp_path / "scores.csv"
    )
    assert result.exit_code == 0
    expected = [2 * 4 / 12, 1.0]
    assert [float(row["dice"]) for row in read_csv(tmp_path / "scores.csv")] == pytest.approx(
        expected, abs=1e-6
    )
    assert f"{np.mean(expected):.4f}" in result.output


def test_check_finds_nothing_in_a_simulated_challenge_and_names_a_lost_mask(tmp_path):
    folder = tmp_path / "challenge"
    result = kcseg("simulate", folder, "--train", 2, "--train", 3, "--test", 1, "--workers", 1)
    assert result.exit_code == 0, result.output
    result = kcseg("check", folder)
    assert result.exit_code == 0 and "0 to mend" in result.output, result.output
    (folder / "train-2" / "masks" / "0002.npy").unlink()
    result = kcseg("check", folder)
    assert result.exit_code == 2 and "0002.npy" in result.output.replace("\n", "")
