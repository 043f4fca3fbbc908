import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.readers import READERS

SLOW = ("packed weights", "packed card", "variables' objects", "loaded model")


def read_corpus():
    """Return the contents of the files kept, by reader."""
    files = {}
    with zipfile.ZipFile(Path(__file__).parent / "corpus.zip") as archive:
        for name in archive.namelist():
            files.setdefault(name.partition("/")[0], []).append(archive.read(name))
    return files


CORPUS = read_corpus()


@pytest.mark.parametrize("name", READERS)
def test_no_reader_fails_on_broken_files(tmp_path, name):
    """Shortly; the whole takes hours."""
    reader = READERS[name]
    samples = reader.prepare(tmp_path)
    for number in range(10 if name in SLOW else 150):
        reader.feed(tmp_path, reader.mutate(np.random.default_rng([2, number]), samples))


@pytest.mark.parametrize("name", CORPUS)
def test_no_reader_fails_on_files_that_reached_further_than_others(tmp_path, name):
    for content in CORPUS[name]:
        READERS[name].feed(tmp_path, content)
