import json

import pytest
from click.testing import CliRunner

from kcseg.cli import main
from kcseg.config_json import to_json
from kcseg.files import read_csv
from kcseg.phantom.persons import simulate_persons


def kcseg(*arguments):
    return CliRunner().invoke(main, ["compare-pretraining", *map(str, arguments)])


@pytest.fixture(scope="module")
def compared(tmp_path_factory, ring_challenge, tiny):
    """Pre-training on a handful of persons, and the comparison."""
    place = tmp_path_factory.mktemp("compare")
    simulate_persons(place / "coco", train=6, val=2)
    small = {"size_px": 32, "steps_per_epoch": 2, "maximum_epochs": 2, "validation_crops": 4}
    config = place / "config.json"
    config.write_text(json.dumps({**to_json(tiny), "pretraining": {**to_json(tiny)["pretraining"], **small}}))
    arguments = (
        "--data",
        ring_challenge,
        "--config",
        config,
        "--run",
        place / "run",
        "--steps",
        4,
        "--every",
        2,
    )
    return place, arguments, kcseg(*arguments, "--coco", place / "coco", "--seeds", 2)


def test_it_ends_with_figure_table_and_page(compared):
    place, _, result = compared
    assert result.exit_code == 0, result.output
    assert "2 seeds" in result.output
    assert [row["seed"] for row in read_csv(place / "run" / "comparison.csv")] == ["1", "2"]
    assert (place / "run" / "figures" / "comparison.png").stat().st_size > 10_000
    assert "pre-trained on coco" in (place / "run" / "report.html").read_text()


def test_more_seeds_continue_it(compared):
    place, arguments, _ = compared
    before = {path: path.stat().st_mtime_ns for path in (place / "run").rglob("history.csv")}
    result = kcseg(*arguments, "--coco", place / "coco", "--seeds", 3)
    assert result.exit_code == 0, result.output
    assert len(read_csv(place / "run" / "comparison.csv")) == 3
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_weights_and_data_to_make_them_from_exclude_each_other(tmp_path):
    result = kcseg("--coco", tmp_path, "--pretrained", tmp_path / "p.npz", "--run", tmp_path / "run")
    assert result.exit_code == 2 and "exclude each other" in result.output
    assert not (tmp_path / "run").exists()
