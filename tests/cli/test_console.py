import os
import re
import signal
import subprocess
import sys
import time

import click
import pytest
from click.testing import CliRunner

import kcseg
from kcseg.cli.console import (
    ClearErrorsGroup,
    console,
    device_option,
    main,
    print_line,
    progress_bars,
    quiet_import,
)
from kcseg.errors import InputError


def test_without_a_terminal_lines_tell_the_beginning_and_each_twentieth(capsys):
    with progress_bars() as tell:
        for done in range(101):
            tell("training", done, 100, "best Dice 0.812" if done else "")
        tell("scoring", 0, 3)
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"0:00:\d\d  training  0/100", lines[0]) and len(lines) == 22
    assert re.fullmatch(r"0:00:\d\d  training  5/100  best Dice 0.812", lines[1])
    assert lines[20].endswith("training  100/100  best Dice 0.812") and lines[21].endswith("scoring  0/3")


def test_an_interrupted_command_says_how_to_go_on():
    @main.command("wait-for-ever", cls=ClearErrorsGroup.command_class)
    def wait():
        raise KeyboardInterrupt

    try:
        result = CliRunner().invoke(main, ["wait-for-ever"])
    finally:
        del main.commands["wait-for-ever"]
    assert result.exit_code == 130
    assert "Run the same command again" in result.output and "Traceback" not in result.output


def test_ctrl_c_ends_a_simulation_with_130(tmp_path):
    command = [sys.executable, "-m", "kcseg", "simulate", "--train", "500", str(tmp_path / "challenge")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    while not list(tmp_path.rglob("*.npy")) and process.poll() is None:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it, too
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Run the same command again" in output and "Traceback" not in output


def test_the_same_lines_are_logged_in_the_folder_behind_what_was_there(tmp_path, capsys):
    for _ in range(2):
        with progress_bars(tmp_path / "run") as tell:
            tell("simulating", 0, 2)  # the folder is not there yet
            (tmp_path / "run").mkdir(exist_ok=True)
            tell("simulating", 2, 2)
    log = (tmp_path / "run" / "log.txt").read_text().splitlines()
    assert [line.split(" ")[0] for line in log if line.startswith("kcseg")] == ["kcseg", "kcseg"]
    assert [line.split("  ")[1:] for line in log if "simulating" in line] == [
        ["simulating", "2/2"],
        ["simulating", "0/2"],
        ["simulating", "2/2"],
    ]
    assert set(capsys.readouterr().out.splitlines()) >= {line for line in log if "simulating" in line}


def test_a_log_of_another_is_left_alone(tmp_path):
    (tmp_path / "log.txt").write_text("patients seen today\n")
    with progress_bars(tmp_path) as tell:
        tell("simulating", 0, 2)
    assert (tmp_path / "log.txt").read_text() == "patients seen today\n"


@pytest.fixture
def probe():
    """A command that imports nothing, and fails if told so."""

    @main.command("probe")
    @device_option
    @click.argument("word")
    def probe(word):
        with quiet_import():
            pass
        print_line(word)
        if word == "fail":
            raise InputError("this word cannot be used")

    yield lambda *arguments: CliRunner().invoke(main, ["probe", *arguments])
    del main.commands["probe"]
    console.quiet = False


def test_quiet_prints_errors_alone(probe):
    assert probe("hello").output == "hello\n" and not probe("hello", "--quiet").output
    failed = probe("fail", "-q")
    assert failed.exit_code == 2 and "cannot be used" in failed.output and "Traceback" not in failed.output


def test_a_notebook_may_import_quietly_too():
    with quiet_import():
        pass


def test_verbose_shows_where_an_error_arises(probe):
    failed = probe("fail", "-v")
    assert failed.exit_code == 2 and "Traceback" in failed.output and "in probe" in failed.output


def test_a_device_is_taken_or_refused(probe, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert probe("hello").exit_code == 0 and os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert probe("hello", "--device", "cpu").exit_code == 0 and os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
    monkeypatch.setattr("keras.distribution.list_devices", lambda kind: [])
    refused = probe("hello", "--device", "gpu")
    assert refused.exit_code == 2 and "no GPU" in refused.output
    monkeypatch.setattr("keras.distribution.list_devices", lambda kind: [f"{kind}:0"])
    assert probe("hello", "--device", "gpu").exit_code == 0


@pytest.mark.parametrize("name", main.commands)
def test_every_command_says_its_version(name):
    assert CliRunner().invoke(main, [name, "--version"]).output.endswith(f"version {kcseg.__version__}\n")
