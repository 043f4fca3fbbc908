"""What kcseg did not write is neither removed nor replaced, whatever the folder holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcseg.errors import InputError
from kcseg.results import LIST, begin, refuse_taken, remove_files, written

NAMES = ["table.csv", "masks/a.png", "masks/b.png", "overlays/a.png", "masks/deep/er/c.png"]
OTHERS = ["masks/drawn.png", "notes.txt", "overlays", "masks/deep/mine.txt"]


def fill(folder, names, content):
    for name in names:
        path = folder / name
        if path.exists() or any(parent.is_file() for parent in path.parents):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@given(
    ours=st.sets(st.sampled_from(NAMES)),
    foreign=st.sets(st.sampled_from(NAMES + OTHERS)),
    planned=st.sets(st.sampled_from(NAMES), min_size=1),
    force=st.booleans(),
)
def test_foreign_files_stay_as_they_are(tmp_path_factory, ours, foreign, planned, force):
    folder = tmp_path_factory.mktemp("results")
    fill(folder, foreign, "foreign")
    before = contents(folder)
    if not any((folder / name).exists() for name in ours):
        begin(folder, ours)
        fill(folder, ours, "ours")
    try:
        refuse_taken(folder, planned, force=force)
        begin(folder, planned)
    except InputError:
        pass
    after = contents(folder)
    assert {name: after.get(name) for name in before} == before


def test_earlier_results_are_replaced_with_force_alone(tmp_path):
    begin(tmp_path, ["a.txt", "in/b.txt"])
    fill(tmp_path, ["a.txt", "in/b.txt", "in/mine.txt"], "text")
    with pytest.raises(InputError, match="earlier results"):
        refuse_taken(tmp_path, ["a.txt"], force=False)
    refuse_taken(tmp_path, ["a.txt"], force=True)
    begin(tmp_path, ["a.txt"])
    assert contents(tmp_path).keys() == {LIST, "in/mine.txt"}
    assert written(tmp_path) == {LIST, "a.txt"}


def test_force_is_not_advised_against_foreign_files(tmp_path):
    fill(tmp_path, ["masks/a.png"], "drawn by hand")
    with pytest.raises(InputError, match="not written by kcseg") as refusal:
        refuse_taken(tmp_path, ["masks/a.png"], force=True)
    assert "'force'" not in str(refusal.value)


def test_an_input_is_no_place_for_results(tmp_path):
    begin(tmp_path, ["overlays/a.png"])
    fill(tmp_path, ["overlays/a.png"], "picture")
    with pytest.raises(InputError, match="would be replaced"):
        refuse_taken(tmp_path, ["table.csv"], force=True, inputs=[tmp_path / "overlays" / "a.png"])


@pytest.mark.parametrize("name", ["/etc/hostname", "../beside.txt", "a/../../beside.txt"])
def test_a_list_reaches_no_further_than_its_folder(tmp_path, name):
    (tmp_path / "beside.txt").write_text("mine")
    folder = tmp_path / "results"
    begin(folder, [name])
    assert written(folder) == {LIST}
    begin(folder, [])
    assert (tmp_path / "beside.txt").exists()


def test_only_folders_left_empty_go(tmp_path):
    fill(tmp_path, ["a/b/c.txt", "a/kept.txt"], "text")
    (tmp_path / "empty").mkdir()
    remove_files(tmp_path, ["a/b/c.txt", "not/there.txt", "empty"])
    assert contents(tmp_path).keys() == {"a/kept.txt"} and not (tmp_path / "a" / "b").exists()
    assert not (tmp_path / "empty").exists()
