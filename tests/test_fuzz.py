import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

FUZZ = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"
CORPUS = Path(__file__).parent / "corpus.zip"
SLOW = ("packed weights", "packed card", "variables' objects", "loaded model")


def load_fuzz():
    spec = importlib.util.spec_from_file_location("fuzz", FUZZ)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


def read_corpus():
    """Return the contents of the files kept, by reader."""
    files = {}
    with zipfile.ZipFile(CORPUS) as archive:
        for name in archive.namelist():
            files.setdefault(name.partition("/")[0], []).append(archive.read(name))
    return files


fuzz = load_fuzz()
corpus = read_corpus()


def test_a_short_run_finds_nothing(tmp_path):
    command = [sys.executable, str(FUZZ), "--inputs", "200", "--seed", "1", "npy", "dicom"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("200 inputs") == 2


@pytest.mark.parametrize("name", fuzz.READERS)
def test_no_reader_fails_on_broken_files(tmp_path, name):
    """Shortly; the whole takes hours."""
    reader = fuzz.READERS[name]
    samples = fuzz.prepare(reader, tmp_path)
    for number in range(10 if name in SLOW else 150):
        content = reader.mutate(np.random.default_rng([2, number]), samples)
        fuzz.read_or_refuse(reader, tmp_path, content)


@pytest.mark.parametrize("name", corpus)
def test_no_reader_fails_on_files_that_reached_further_than_others(tmp_path, name):
    reader = fuzz.READERS[name]
    fuzz.prepare(reader, tmp_path)
    for content in corpus[name]:
        fuzz.read_or_refuse(reader, tmp_path, content)
