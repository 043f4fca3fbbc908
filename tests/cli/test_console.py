import os
import re
import signal
import subprocess
import sys
import time

from click.testing import CliRunner

from kcseg.cli.console import ClearErrorsGroup, main, progress_bars


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
