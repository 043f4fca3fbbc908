import signal
import socket
import time

import pytest
from click.testing import CliRunner

from kcseg.cli import main
from kcseg.config_json import from_json
from kcseg.files import read_csv, read_json
from tests.started import ended, start

OPTIONS = ("--trials", 2, "--folds", 1, "--epochs", 2, "--max-parameters", 8000)


def kcseg(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def finished(tmp_path_factory, ring_challenge, config_path):
    folder = tmp_path_factory.mktemp("searches") / "finished"
    result = kcseg("tune", "--data", ring_challenge, "--config", config_path, "--run", folder, *OPTIONS)
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_a_search_leaves_best_settings_table_figures_and_page(finished):
    folder, output = finished
    rows = read_csv(folder / "trials.csv")
    assert [row["trial"] for row in rows] == ["0", "1"]
    assert all(row["status"] == "finished" and int(row["parameters"]) <= 8000 for row in rows)
    best = max(rows, key=lambda row: float(row["dice"]))
    assert f"{float(best['dice']):.4f}" in output and "best.json" in output
    assert {path.name for path in (folder / "figures").iterdir()} == {"progress.png", "parameters.png"}
    assert "not a medical device" in (folder / "report.html").read_text()


def test_the_best_settings_train_as_they_are(tmp_path, finished, ring_challenge, tiny):
    best = finished[0] / "best.json"
    config = from_json(read_json(best), "best.json")
    assert config.training.maximum_epochs == tiny.training.maximum_epochs  # and not the trial's
    arguments = ("--data", ring_challenge, "--config", best, "--run", tmp_path, "--member", 3)
    result = kcseg("train", *arguments)
    assert result.exit_code == 0, result.output
    assert read_json(tmp_path / "config.json") == read_json(best)


def test_a_finished_search_is_refused_and_another_one_too(finished, ring_challenge, config_path):
    arguments = ("tune", "--data", ring_challenge, "--config", config_path, "--run", finished[0])
    result = kcseg(*arguments, *OPTIONS)
    assert result.exit_code == 2 and "finished search" in result.output
    result = kcseg(*arguments, *OPTIONS, "--trials", 9, "--epochs", 1)
    assert result.exit_code == 2 and "other settings or data" in " ".join(result.output.split())


def test_all_trials_failing_is_a_clear_error(tmp_path, ring_challenge, config_path):
    arguments = ("--data", ring_challenge, "--config", config_path, "--run", tmp_path / "run")
    result = kcseg("tune", *arguments, *OPTIONS, "--trials", 1, "--max-ms-per-image", 1e-6)
    assert result.exit_code == 2
    assert "none of the 1 trials" in " ".join(result.output.split()) and "1e-06 allowed" in result.output


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"KERASTUNER_TUNER_ID": "chief"}, "not KERASTUNER_ORACLE_IP"),
        ({"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": "1"}, "not KERASTUNER_TUNER_ID"),
    ],
)
def test_half_an_address_is_named(monkeypatch, tmp_path, ring_challenge, environment, message):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = kcseg("tune", "--data", ring_challenge, "--run", tmp_path)
    assert result.exit_code == 2 and message in " ".join(result.output.split())


def start_search(output, data, config, folder, **environment):
    arguments = ("--data", data, "--config", config, "--run", folder, *OPTIONS)
    return start(output, "tune", *arguments, **environment)


def kill_when_new(search, folder, pattern):
    """Kill the search with SIGKILL as soon as it has written a file of this kind that was not there."""
    known = set(folder.glob(pattern))
    while search.exitcode is None and not set(folder.glob(pattern)) - known:
        time.sleep(0.002)
    search.kill()
    assert ended(search) == -signal.SIGKILL


def test_killed_within_and_between_trials_it_ends_with_the_same_trials(
    tmp_path, finished, ring_challenge, config_path
):
    kept, run, output = {}, tmp_path / "run", tmp_path / "output"
    for pattern in ("proposals.json", "trials/*/fold-1/state.npz", "trials/*/result.json"):
        kill_when_new(start_search(output, ring_challenge, config_path, run), run, pattern)
        results = {path: path.stat().st_mtime_ns for path in run.glob("trials/*/result.json")}
        assert kept.items() <= results.items()  # no finished trial was done again
        kept = results
    assert ended(start_search(output, ring_challenge, config_path, run)) == 0, output.read_text()
    assert kept and all(path.stat().st_mtime_ns == written for path, written in kept.items())
    for name in ("trials.csv", "best.json"):
        assert (run / name).read_text() == (finished[0] / name).read_text()
    assert not list(run.rglob(".kcseg-*")) and not list(run.glob("trials/*/fold-1/state.npz"))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def test_a_chief_without_workers_and_one_without_a_port_say_so(
    monkeypatch, tmp_path, ring_challenge, config_path
):
    port = free_port()
    for name, value in {"TUNER_ID": "chief", "ORACLE_IP": "127.0.0.1", "ORACLE_PORT": port}.items():
        monkeypatch.setenv(f"KERASTUNER_{name}", value)
    arguments = ("tune", "--data", ring_challenge, "--config", config_path, *OPTIONS, "--timeout", 0.05)
    result = kcseg(*arguments, "--run", tmp_path / "waiting")
    assert result.exit_code == 2
    assert f"no worker has asked at 127.0.0.1:{port}" in " ".join(result.output.split())
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "192.0.2.1")  # reserved for documentation: nobody's
    result = kcseg(*arguments, "--run", tmp_path / "elsewhere")
    assert result.exit_code == 2 and "cannot serve at 192.0.2.1" in " ".join(result.output.split())


def test_a_chief_and_two_workers_one_of_them_killed_and_back_share_a_search(
    tmp_path, ring_challenge, config_path
):
    address = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": free_port()}
    arguments = (ring_challenge, config_path, tmp_path / "run")
    parts = {
        name: start_search(tmp_path / name, *arguments, KERASTUNER_TUNER_ID=name, **address)
        for name in ("chief", "worker1", "worker2")
    }
    kill_when_new(parts["worker1"], tmp_path / "run", "trials/*/fold-1")  # whose trial it is does not matter
    parts["worker1"] = start_search(
        tmp_path / "worker1", *arguments, KERASTUNER_TUNER_ID="worker1", **address
    )
    codes = [ended(part) for part in parts.values()]
    outputs = {name: (tmp_path / name).read_text() for name in parts}
    assert codes == [0, 0, 0], outputs
    assert len(read_csv(tmp_path / "run" / "trials.csv")) == 2
    assert "best.json" in outputs["chief"] and "the chief writes" in outputs["worker1"]
