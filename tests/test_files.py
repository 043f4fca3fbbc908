import os
import socket
import subprocess
import sys

import pytest

from kcseg.errors import InputError
from kcseg.files import (
    atomic_folder,
    atomic_path,
    locked,
    read_csv,
    read_facts,
    read_json,
    remove_leftovers,
    rename,
    sha256,
    write,
    write_csv,
    write_json,
)


def test_writes_text_bytes_and_what_a_writer_writes(tmp_path):
    write(tmp_path / "deep" / "text", "größer")
    write(tmp_path / "bytes", b"\x00\x01")
    write(tmp_path / "called", lambda file: file.write(b"by hand"))
    assert (tmp_path / "deep" / "text").read_text(encoding="utf-8") == "größer"
    assert (tmp_path / "bytes").read_bytes() == b"\x00\x01"
    assert (tmp_path / "called").read_bytes() == b"by hand"


def test_a_failing_writer_leaves_the_file_before(tmp_path):
    write(tmp_path / "kept", "before")

    def fail(file):
        file.write(b"half of aft")
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"cannot write .*kept: No space left on device"):
        write(tmp_path / "kept", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_text() == "before"


def test_a_failing_folder_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "1") as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_the_temporary_name_keeps_suffixes_and_usual_permissions(tmp_path):
    with atomic_path(tmp_path / "member.weights.h5") as temporary:
        assert temporary.name.endswith(".weights.h5")
    (tmp_path / "usual").touch()
    assert (tmp_path / "member.weights.h5").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        write(tmp_path / "file" / "below", "x")
    with pytest.raises(InputError, match="cannot write"), locked(tmp_path / "file" / "below"):
        pass


def test_what_a_killed_process_left_is_removed(tmp_path):
    kill = "import os, sys, pathlib, kcseg.files as f\nwith f.atomic_path(pathlib.Path(sys.argv[1])): os._exit(9)"
    subprocess.run([sys.executable, "-c", kill, str(tmp_path / "never.npz")], check=False)
    assert [path.name for path in tmp_path.iterdir()] != []
    remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


def test_json_and_csv_come_back(tmp_path):
    write_json(tmp_path / "a.json", {"a": [1, 2.5, None]})
    assert read_json(tmp_path / "a.json") == {"a": [1, 2.5, None]}
    write_csv(tmp_path / "a.csv", [{"name": "a, b", "value": 1.5}, {"name": "c", "value": None}])
    assert read_csv(tmp_path / "a.csv") == [{"name": "a, b", "value": "1.5"}, {"name": "c", "value": ""}]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_broken_json_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.json is not valid JSON"):
        read_json(tmp_path / "a.json")


def test_the_mark_that_some_editors_put_first_is_no_part_of_the_text(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + b'{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfname,value\r\nb,2\r\n")
    assert read_csv(tmp_path / "a.csv") == [{"name": "b", "value": "2"}]


def test_json_that_is_no_file_too_large_or_of_endless_numbers_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")  # which would be waited for
    with pytest.raises(InputError, match="is not a file"):
        read_json(tmp_path / "pipe.json")
    (tmp_path / "a.json").write_text("9" * 5000)
    with pytest.raises(InputError, match="is not valid JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(InputError, match="at most 0 MiB"):
        read_json(tmp_path / "a.json", maximum_bytes=4999)


def test_a_locked_folder_names_the_process_that_holds_it(tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(InputError, match=f"in use by process {os.getpid()} on {socket.gethostname()};"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        pass


def test_sha256_runs_over_files_and_bytes_in_order(tmp_path):
    (tmp_path / "a").write_bytes(b"ab")
    assert sha256(tmp_path / "a", b"c") == sha256(b"abc") != sha256(b"c", tmp_path / "a")


def test_a_file_is_renamed_or_the_reason_is_given(tmp_path):
    (tmp_path / "a").write_text("new")
    (tmp_path / "b").write_text("old")
    rename(tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"] and (tmp_path / "b").read_text() == "new"
    with pytest.raises(InputError, match=r"cannot write .*/c: No such file"):
        rename(tmp_path / "a", tmp_path / "c")


def test_a_pipe_is_not_waited_for_to_be_hashed(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is not a file"):
        sha256(tmp_path / "pipe")


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"images": "3", "sha256": "a"}', '{"images": 3, "sha256": null}', "3"]
)
def test_facts_that_are_not_stated_or_of_another_type_are_named(tmp_path, content):
    (tmp_path / "data.json").write_text('{"images": 3, "sha256": "a", "more": 1}')
    assert read_facts(tmp_path / "data.json", images=int, sha256=str | None)["more"] == 1
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(InputError, match=r"data.json has no valid entry '(images|sha256)'"):
        read_facts(tmp_path / "data.json", images=int, sha256=str)
