"""What a folder of results may replace: the files that it lists itself, and nothing else."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from kcseg.errors import InputError
from kcseg.files import is_file, is_folder, read_facts, remove_leftovers, write_json

LIST = "files.json"  # beside the results: which files are kcseg's


def refuse_taken(folder: Path, names: Collection[str], *, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse a folder in which results cannot be written without loss.

    Args:
        folder: for the results; need not be there.
        names: of the files to be written, relative to it.
        force: earlier results may be replaced.
        inputs: files the results are made from.

    Raises:
        InputError: a file of that name is there that kcseg did not write; earlier results without `force`; or results
            would replace an input.
    """
    earlier = written(folder)
    ends = {(folder / name).resolve() for name in {LIST, *names, *earlier}}
    for path in inputs:
        if path.resolve() in ends:
            raise InputError(
                f"{path} would be replaced by the results made of it; choose another folder for them"
            )
    for name in (LIST, *names):
        if name not in earlier and (is_file(folder / name) or is_folder(folder / name)):
            raise InputError(
                f"{folder / name} was not written by kcseg, and is left as it is; move it, or choose another folder"
            )
    if earlier and not force:
        raise InputError(
            f"{folder} holds earlier results; choose another folder, or replace them with 'force'"
        )


def begin(folder: Path, names: Collection[str]) -> None:
    """Remove the earlier results in a folder, and list those to come; all else stays."""
    earlier = written(folder)
    remove_files(folder, earlier - {LIST})
    for place in {(folder / name).parent for name in {LIST, *names, *earlier}}:
        remove_leftovers(place)
    write_json(folder / LIST, {"written_by_kcseg": sorted({LIST, *names})})


def written(folder: Path) -> set[str]:
    """Return the files that kcseg lists as its own in a folder, relative to it."""
    if not is_file(folder / LIST):
        return set()
    listed = read_facts(folder / LIST, written_by_kcseg=list)["written_by_kcseg"]
    return {
        name for name in map(str, listed) if not Path(name).is_absolute() and ".." not in Path(name).parts
    }


def remove_files(folder: Path, names: Iterable[str]) -> None:
    """Remove files, or empty folders, by their names in a folder, and the folders inside it that this leaves empty."""
    for name in names:
        path = folder / name
        if not path.is_dir() or path.is_symlink():
            with suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
            path = path.parent
        while path != folder and path.is_dir() and not any(path.iterdir()):
            path.rmdir()
            path = path.parent
