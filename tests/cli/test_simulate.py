import numpy as np
from click.testing import CliRunner

from kcseg.cli import main


def run(*arguments):
    return CliRunner().invoke(main, ["simulate", *map(str, arguments)])


def test_the_preview_shows_real_crops_and_names_what_is_none(tmp_path):
    real = tmp_path / "real"
    real.mkdir()
    np.save(real / "crop.npy", np.random.default_rng(0).normal(0, 15, (192, 192)).astype(np.int16))
    np.save(real / "outline.npy", np.zeros((192, 192), bool))
    (real / "manifest.csv").write_text("file\n")
    result = run(tmp_path / "sim", "--train", 2, "--test", 0, "--workers", 1, "--real", real)
    assert result.exit_code == 0, result.output
    assert "Passed over" in result.output and "outline.npy" in result.output
    assert "2 simulated and 1 real" in (tmp_path / "sim" / "preview.html").read_text()


def test_without_any_image_nothing_is_simulated(tmp_path):
    (tmp_path / "real").mkdir()
    result = run(tmp_path / "sim", "--train", 2, "--real", tmp_path / "real")
    assert result.exit_code == 2
    assert "no image in HU" in result.output
    assert not (tmp_path / "sim").exists()


def test_a_simulation_can_be_looked_at_afterwards(tmp_path):
    arguments = (tmp_path / "sim", "--train", 1, "--test", 0, "--workers", 1)
    assert run(*arguments).exit_code == 0
    assert not (tmp_path / "sim" / "preview.html").exists()
    assert run(*arguments, "--preview").exit_code == 0
    assert (tmp_path / "sim" / "preview.html").exists()
