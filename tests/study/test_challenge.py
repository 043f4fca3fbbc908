import pytest

from kcseg.errors import InputError
from kcseg.files import locked
from kcseg.study.challenge import remove_run
from kcseg.training.members import train_members
from kcseg.training.run import open_run


def test_a_folder_without_a_run_is_left_alone(tmp_path):
    (tmp_path / "thesis.docx").write_text("years of work")
    remove_run(tmp_path, keep_challenge=False)
    assert (tmp_path / "thesis.docx").read_text() == "years of work"


def test_removing_a_run_leaves_foreign_files(tmp_path, rings, tiny):
    run = open_run(tmp_path, rings, tiny)
    train_members(run, rings, [3])
    (tmp_path / "notes.txt").write_text("mine")
    remove_run(tmp_path, keep_challenge=False)
    assert {path.name for path in tmp_path.iterdir()} <= {"notes.txt", ".lock"}


def test_a_foreign_config_protects_its_folder(tmp_path):
    (tmp_path / "config.json").write_text('{"port": 8080}')
    (tmp_path / "figures").mkdir()
    with pytest.raises(InputError, match="unknown key 'port'"):
        remove_run(tmp_path, keep_challenge=False)
    assert (tmp_path / "figures").is_dir()


def test_a_run_in_training_is_not_removed(tmp_path, rings, tiny):
    run = open_run(tmp_path, rings, tiny)
    with locked(run.member_folder(2)), pytest.raises(InputError, match="in use by process"):
        remove_run(tmp_path, keep_challenge=False)
    assert (tmp_path / "config.json").exists()
