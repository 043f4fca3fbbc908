import shutil

import numpy as np
from click.testing import CliRunner

from kcseg.cli import main
from kcseg.files import read_csv
from kcseg.study.challenge import remove_run


def audit(*arguments):
    return CliRunner().invoke(main, ["audit", *map(str, arguments)])


def test_a_page_a_table_and_figures(tmp_path, trained_run, ring_challenge):
    out = tmp_path / "audit"
    result = audit(trained_run.folder, "--data", ring_challenge, "--out", out)
    assert result.exit_code == 0, result.output
    assert "Dice against the truth" in result.output and "Planted" not in result.output
    rows = read_csv(out / "table.csv")
    assert [int(row["rank"]) for row in rows] == list(range(1, 13))
    assert {row["batch"] for row in rows} == {"train-1"}
    assert rows[0]["id"] in (out / "index.html").read_text()
    assert all((out / "figures" / f"{name}.png").stat().st_size > 5000 for name in ("worst", "scores"))
    before = (out / "table.csv").stat().st_mtime_ns
    again = audit(trained_run.folder, "--data", ring_challenge, "--out", out)
    assert again.exit_code == 2 and "--force" in again.output
    assert (out / "table.csv").stat().st_mtime_ns == before
    assert audit(trained_run.folder, "--data", ring_challenge, "--out", out, "--force").exit_code == 0


def test_data_that_are_not_there_or_not_the_runs_are_refused(tmp_path, trained_run, ring_challenge):
    missing = audit(trained_run.folder, "--out", tmp_path / "audit")
    assert missing.exit_code == 2 and "name the challenge folder" in " ".join(missing.output.split())
    other = tmp_path / "other"
    shutil.copytree(ring_challenge, other)
    np.save(other / "train-1" / "masks" / "0003.npy", np.eye(32, dtype=bool))
    result = audit(trained_run.folder, "--data", other, "--out", tmp_path / "audit")
    assert result.exit_code == 2 and "name the challenge folder" in " ".join(result.output.split())
    assert audit(tmp_path, "--out", tmp_path / "audit").exit_code == 2
    assert not (tmp_path / "audit").exists()


def test_an_audit_goes_with_its_run(run_to_change, ring_challenge):
    copy = run_to_change.folder
    shutil.rmtree(copy / "member-3")  # the full member is not asked
    assert audit(copy, "--data", ring_challenge).exit_code == 0
    assert (copy / "audit" / "index.html").exists()
    remove_run(copy, keep_challenge=True)
    assert not (copy / "audit").exists()
