import os
import re
import signal
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from kcseg.errors import InputError
from tests.fuzz.__main__ import main
from tests.fuzz.mutate import broken
from tests.fuzz.reader import Reader
from tests.fuzz.run import run


def test_a_short_run_finds_nothing():
    done = CliRunner().invoke(main, ["--inputs", "200", "--seed", "1", "npy", "dicom"])
    assert done.exit_code == 0, done.output
    assert done.output.count("200 inputs") == 2


def fail(path):
    content = path.read_bytes()
    if len(content) % 2:
        raise InputError("refused")
    assert content == b"sound!", "broken"


@pytest.fixture(autouse=True)
def kept_below(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_what_breaks_a_reader_is_told_and_kept(capfd):
    assert not run("fragile", Reader("a", [b"sound!"], broken, fail), inputs=20, seed=1)
    output = capfd.readouterr().out
    assert "x AssertionError: broken" in output and "20 inputs" in output
    kept = Path(re.search(r"kept as (\S+)", output).group(1))
    assert kept.read_bytes() != b"sound!" and len(kept.read_bytes()) % 2 == 0


def end(path):
    if path.read_bytes() != b"sound!":
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_ends_the_process_is_told_and_kept(capfd):
    assert not run("fatal", Reader("a", [b"sound!"], broken, end), inputs=20, seed=1)
    output = capfd.readouterr().out
    assert "fatal: ended with -9" in output
    assert Path(output.split(" over ")[1].strip()).read_bytes() != b"sound!"
