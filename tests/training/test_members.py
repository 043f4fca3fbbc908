from dataclasses import replace

import pytest

from kcseg.errors import InputError
from kcseg.files import locked, read_json, sha256
from kcseg.training.fit import read_history
from kcseg.training.members import train_members
from kcseg.training.run import open_run


def test_members_alone_are_the_members_together(tmp_path, rings, tiny):
    together = open_run(tmp_path / "together", rings, tiny)
    train_members(together, rings, [1, 2, 3])
    apart = open_run(tmp_path / "apart", rings, tiny)
    train_members(apart, rings, [3])
    assert apart.missing_members() == [1, 2]
    train_members(apart, rings, [2, 1])
    for number in (1, 2, 3):
        assert sha256(together.weights_path(number)) == sha256(apart.weights_path(number))
        facts = read_json(apart.member_folder(number) / "member.json")
        assert facts["epochs"] == 3 and (facts["validation_dice"] is None) == (number == 3)
    assert not list(apart.folder.rglob("state.npz"))


def test_a_finished_member_is_passed_over(run_to_change, rings):
    run = run_to_change
    written = run.weights_path(3).stat().st_mtime_ns
    told = []
    train_members(
        run, rings, [3], tell=lambda stage, done, total, note="": told.append((stage, done / total))
    )
    assert told == [("members", 0), ("member 3", 1), ("members", 1)]
    assert run.weights_path(3).stat().st_mtime_ns == written


def test_a_member_in_training_elsewhere_is_refused(tmp_path, rings, tiny):
    run = open_run(tmp_path, rings, tiny)
    with locked(run.member_folder(1)), pytest.raises(InputError, match="in use by process"):
        train_members(run, rings, [1])


def test_members_go_on_from_a_shared_network_whoever_trains_it(tmp_path, rings, tiny):
    training = replace(tiny.training, maximum_epochs=1, shared_epochs=2)
    config = replace(tiny, training=training)
    together = open_run(tmp_path / "together", rings, config)
    train_members(together, rings, [1, 3])
    history = read_history(together.shared_folder)
    assert [row["epoch"] for row in history] == [1, 2]
    apart = open_run(tmp_path / "apart", rings, config)
    for number in (3, 1):
        train_members(apart, rings, [number])
    alone = open_run(tmp_path / "alone", rings, replace(config, training=replace(training, shared_epochs=0)))
    train_members(alone, rings, [1])
    for number in (1, 3):
        assert sha256(together.weights_path(number)) == sha256(apart.weights_path(number))
    assert not alone.shared_folder.exists()
    first = [read_history(run.member_folder(1))[0]["loss"] for run in (together, alone)]
    assert first[0] < first[1]
    assert not list(apart.folder.rglob("state.npz"))


def test_there_is_no_member_nine(tmp_path, rings, tiny):
    with pytest.raises(InputError, match="no member 9; this run has members 1 to 3"):
        train_members(open_run(tmp_path, rings, tiny), rings, [9])
