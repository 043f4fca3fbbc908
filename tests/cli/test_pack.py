import numpy as np
import pytest
from click.testing import CliRunner

from kcseg.cli import main
from kcseg.files import read_csv
from kcseg.serving import bundle
from tests.started import ended, said, start


def kcseg(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def masks(folder):
    return {path.name: path.read_bytes() for path in (folder / "masks").iterdir()}


def test_packed_weights_segment_as_the_run_and_as_their_export(tmp_path, challenge_run, ring_challenge):
    weights, notes, test = tmp_path / "weights", tmp_path / "notes.md", ring_challenge / "test"
    notes.write_text("Seen.")
    result = kcseg("pack", challenge_run.folder, "--out", weights, "--data", ring_challenge, "--notes", notes)
    assert result.exit_code == 0, result.output
    assert "Seen." in (weights / "README.md").read_text()
    assert kcseg("export", weights, "--out", tmp_path / "export").exit_code == 0
    for name in ("weights", "export"):
        result = kcseg("predict", test, "--model", tmp_path / name, "--out", tmp_path / f"by-{name}")
        assert result.exit_code == 0, result.output
    assert masks(tmp_path / "by-weights") == masks(tmp_path / "by-export")


def test_predict_uses_the_weights_kcseg_comes_with(tmp_path, packed, ring_challenge, monkeypatch):
    asked = []
    monkeypatch.setattr(bundle, "shipped_weights", lambda: asked.append(1) or packed)
    result = kcseg("predict", ring_challenge / "test", "--out", tmp_path / "out")
    assert result.exit_code == 0 and asked, result.output
    assert len(read_csv(tmp_path / "out" / "table.csv")) == 4
    named = kcseg("predict", ring_challenge / "test", "--model", packed, "--out", tmp_path / "named")
    assert named.exit_code == 0 and masks(tmp_path / "out") == masks(tmp_path / "named")


def test_serve_takes_packed_weights(tmp_path, packed, ring_challenge):
    output = tmp_path / "output"
    server = start(output, "serve", packed, "--port", 0, "--grpc-port", 0)
    try:
        address = said(server, output, r"http://\S+").group()
        for name, model in {"served": address, "folder": packed}.items():
            result = kcseg("predict", ring_challenge / "test", "--model", model, "--out", tmp_path / name)
            assert result.exit_code == 0, result.output
        assert masks(tmp_path / "served") == masks(tmp_path / "folder")
        server.terminate()
        assert ended(server) == 0
    finally:
        server.kill()


@pytest.mark.parametrize("command", ["predict", "serve"])
def test_without_any_weights_a_model_is_asked_for(tmp_path, monkeypatch, command):
    monkeypatch.setattr(bundle.kcseg, "__file__", str(tmp_path / "kcseg" / "__init__.py"))
    np.save(tmp_path / "image.npy", np.random.default_rng(0).normal(0, 50, (32, 32)))
    arguments = [tmp_path / "image.npy", "--out", tmp_path / "out"] if command == "predict" else []
    result = kcseg(command, *arguments)
    assert result.exit_code == 2 and "no weights came with" in result.output
    assert "Traceback" not in result.output and not (tmp_path / "out").exists()


def test_notes_that_are_not_there_are_named_before_anything_is_done(tmp_path, challenge_run):
    result = kcseg("pack", challenge_run.folder, "--out", tmp_path / "out", "--notes", tmp_path / "notes.md")
    assert result.exit_code == 2 and "notes.md" in result.output and not (tmp_path / "out").exists()
