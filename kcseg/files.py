"""The only writer: a file appears complete under its name, or not at all."""

import csv
import fcntl
import hashlib
import io
import json
import os
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import UnionType
from typing import Any, BinaryIO

from kcseg.errors import InputError

LOG = "log.txt"  # how far long work had come when, in its folder
_TEMPORARY = ".kcseg-"
_TEXT_BYTES = 64 << 20


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed to `path`, else removed.

    The temporary name keeps the last two suffixes of `path`, which writers such as Keras and NiBabel look at. The
    parent folder is created.

    Raises:
        InputError: the folder cannot be written.
    """
    with _temporary_beside(path) as temporary:
        # not by mkstemp, so that the file gets the user's usual permissions
        temporary.open("xb").close()
        yield temporary
        _sync(temporary)
        temporary.replace(path)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it is renamed to `path`, else removed.

    Raises:
        InputError: the folder cannot be written, or `path` exists and is not empty.
    """
    with _temporary_beside(path) as temporary:
        temporary.mkdir()
        yield temporary
        for written in temporary.rglob("*"):
            _sync(written)
        temporary.replace(path)


@contextmanager
def _temporary_beside(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(4)}{''.join(path.suffixes[-2:])}")
    try:
        with _named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _sync(path.parent)
    finally:
        with suppress(OSError):  # what hindered the writing may hinder this too
            remove(temporary)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cannot write {path}: {reason}; free the place or choose another") from error


def rename(path: Path, target: Path) -> None:
    """Give a file in the same folder another name, atomically; an earlier file of that name is replaced.

    Raises:
        InputError: the folder cannot be written.
    """
    with _named(target):
        path.replace(target)
        _sync(target.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files that a killed process left in `folder`; call it only while holding the folder."""
    for path in folder.glob(f"{_TEMPORARY}*"):
        remove(path)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all it holds, if it is there; of a link, the link alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write(path: Path, content: bytes | str | Callable[[BinaryIO], None]) -> None:
    """Write bytes, UTF-8 text, or whatever a callable writes to an open binary file, atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        if callable(content):
            content(file)
        else:
            file.write(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write(path, json.dumps(value, indent=2) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV, atomically; the keys of the first are the columns, None becomes an empty cell."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write(path, text.getvalue())


def is_file(path: Path) -> bool:
    """Whether this is a file, or a link to one; False where that cannot be found out."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises over a link to a name that is too long


def is_folder(path: Path) -> bool:
    """Whether this is a folder, or a link to one; False where that cannot be found out."""
    return os.path.isdir(path)  # noqa: PTH112 - as above


def read_bytes(path: Path, *, maximum_bytes: int = 1 << 30) -> bytes:
    """Read a whole file.

    Raises:
        InputError: the file is missing, not a regular one (reading a pipe might never end), or larger than
            `maximum_bytes`.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a file; check the path")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > maximum_bytes:
                raise InputError(
                    f"expected at most {maximum_bytes >> 20} MiB in {path}; is it the right file?"
                )
            return file.read(size)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def read_text(path: Path) -> str:
    """Read a UTF-8 text file.

    Raises:
        InputError: as `read_bytes`, or it is no text.
    """
    try:
        content = io.BytesIO(read_bytes(path, maximum_bytes=_TEXT_BYTES))
        return io.TextIOWrapper(content, encoding="utf-8-sig").read()  # line ends become those of Python
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no UTF-8 text ({error})") from error


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read what `write_csv` wrote, every value as text.

    Raises:
        InputError: as `read_text`, or it is no table.
    """
    try:
        return list(csv.DictReader(io.StringIO(read_text(path))))
    except csv.Error as error:
        raise InputError(f"cannot read {path} ({error})") from error


def read_json(path: Path, *, maximum_bytes: int = _TEXT_BYTES) -> Any:
    """Read a JSON file.

    Raises:
        InputError: as `read_bytes`, or it is no JSON.
    """
    content = read_bytes(path, maximum_bytes=maximum_bytes)
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # ValueError alone for numbers of thousands of digits
        raise InputError(f"{path} is not valid JSON ({error}); mend or delete it") from error


def read_facts(path: Path, **kinds: type | UnionType) -> dict[str, Any]:
    """Read a JSON object that holds at least the entries that `kinds` names, with values of those types.

    Raises:
        InputError: as `read_json`, or an entry is missing or of another type.
    """
    facts = read_json(path)
    for name, kind in kinds.items():
        if not isinstance(facts, dict) or not isinstance(facts.get(name, ...), kind):
            raise InputError(f"{path} has no valid entry '{name}'; restore the file, or start anew")
    return facts


def sha256(*parts: Path | bytes) -> str:
    """Return the hexadecimal SHA-256 of files and bytes in the order given.

    Raises:
        InputError: as `read_bytes`.
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(read_bytes(part) if isinstance(part, Path) else part)
    return digest.hexdigest()


def holds_others(folder: Path, *ours: str) -> bool:
    """Whether a folder is there and holds more than hidden files, a log, and those that `ours` names."""
    return folder.is_dir() and any(
        path.name not in (LOG, *ours) and not path.name.startswith(".") for path in folder.iterdir()
    )


def require_own(settings: Path, facts: Mapping[str, Any], what: str, *ours: str) -> None:
    """Refuse a folder in which work, called `what`, was started with other facts, or that holds more than `ours`.

    `settings` is the file in that folder that states what the work was started with.

    Raises:
        InputError: either is so.
    """
    if settings.exists():
        if read_json(settings) != facts:
            raise InputError(
                f"the {what} in {settings.parent} was started with other settings or data, see {settings.name}; "
                "choose another folder"
            )
    elif holds_others(settings.parent, *ours):
        raise InputError(f"{settings.parent} holds files that are not a {what}; choose a new or empty folder")


@contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold `folder` for this process; the lock ends with the process, however it ends.

    Raises:
        InputError: another process holds it, unless we `wait` for that; or the folder cannot be written or locked.
    """
    with ExitStack() as stack:
        with _named(folder):
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((folder / ".lock").open("a+"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise InputError(
                    f"{folder} is in use by process {holder}; wait for it, or choose another"
                ) from error
        file.truncate(0)
        file.write(f"{os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def _sync(path: Path) -> None:
    """Force a file or folder to disk, so that a rename never outlives the content it names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
