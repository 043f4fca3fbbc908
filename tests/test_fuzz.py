import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"
CORPUS = Path(__file__).parent / "corpus.zip"
QUICK = (
    "npy",
    "png mask",
    "png 16-bit",
    "nii",
    "nii.gz",
    "dicom",
    "coco annotations",
    "coco picture",
    "configuration",
)


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz", FUZZ)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module  # where dataclasses look
    spec.loader.exec_module(module)
    yield module
    del sys.modules["fuzz"]


def test_no_reader_fails_on_broken_files(tmp_path):
    """The readers that need no TensorFlow, shortly; the whole takes hours."""
    command = [sys.executable, str(FUZZ), "--inputs", "400", "--seed", "1", *QUICK]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def corpus():
    """Return the contents of the files kept, by reader."""
    files = {}
    with zipfile.ZipFile(CORPUS) as archive:
        for name in archive.namelist():
            files.setdefault(name.partition("/")[0], []).append(archive.read(name))
    return files


@pytest.mark.parametrize(("name", "contents"), corpus().items(), ids=corpus().keys())
def test_no_reader_fails_on_files_that_reached_further_than_others(fuzz, tmp_path, name, contents):
    reader = fuzz.READERS[name]
    fuzz.prepare(reader, tmp_path)
    for content in contents:
        (tmp_path / reader.name).write_bytes(content)
        fuzz.read_or_refuse(reader, tmp_path)
