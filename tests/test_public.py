"""What `import kcseg` gives."""

import re
import subprocess
import sys
import textwrap

import kcseg


def test_every_public_name_is_there_and_in_the_help():
    for name in kcseg.__all__:
        assert getattr(kcseg, name) is not None
        assert f"`{name}`" in kcseg.__doc__ or name.endswith("Config")


def test_the_example_of_the_help_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    example = re.search(r"(?:^ {4}.*\n)+", kcseg.__doc__, re.MULTILINE)[0]
    exec(textwrap.dedent(example), {})
    assert 500 < int(capsys.readouterr().out.split(" mm²")[0]) < 6000


def test_paths_may_be_text(ring_challenge, trained_run, tmp_path):
    batch = str(ring_challenge / "test")
    images = kcseg.list_images(batch)
    assert len(kcseg.read_batch(batch)) == len(images) == len(kcseg.read_truth(batch, tuple(images)))
    assert len(kcseg.training_batch(str(ring_challenge))) == 12
    first = next(iter(images.values()))
    assert kcseg.read_image(str(first)).hu.shape == kcseg.read_image(first).hu.shape
    run = kcseg.load_run(str(trained_run.folder))
    assert kcseg.read_history(str(run.member_folder(1)))
    ensemble = kcseg.Ensemble.load(str(trained_run.folder))
    assert len(kcseg.predict_files(ensemble, images, str(tmp_path / "out"))) == len(images)


def test_importing_loads_nothing_large():
    command = "import kcseg, sys; sys.exit(bool({'numpy', 'tensorflow', 'matplotlib'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


def test_the_commands_are_listed_before_anything_large_is_loaded():
    command = "import kcseg.cli, sys; sys.exit(bool({'numpy', 'tensorflow', 'scipy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


def test_the_package_runs_as_the_command():
    listed = subprocess.run(
        [sys.executable, "-m", "kcseg", "--help"], check=True, capture_output=True, text=True
    )
    assert listed.stdout.startswith("Usage: kcseg ") and "predict" in listed.stdout
