"""What the commands share: the screen, clear errors, a quiet TensorFlow."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from kcseg.errors import InputError
from kcseg.progress import Tell

if hasattr(sys.stdout, "reconfigure"):  # a terminal that knows ASCII alone shows '?' for '²'
    sys.stdout.reconfigure(errors="replace")
console = Console(highlight=False)
_MOST_BARS = 12


class _ClearErrors(click.Command):
    """A user's mistake, or a file's fault, becomes one sentence and exit code 2; all else keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            # what the rooms below call 'force' is an option here
            raise click.UsageError(str(error).replace("'force'", "--force")) from error
        except OSError as error:
            if error.filename is None:
                raise
            raise click.UsageError(
                f"cannot use {error.filename}: {error.strerror or error}; check the path"
            ) from error


class ClearErrorsGroup(_ClearErrors, click.Group):
    """A group of commands with clear errors."""


class ClearErrorsCommand(_ClearErrors):
    """A command with clear errors that also stands outside the group."""


def print_path(text: str, path: Path) -> None:
    """Print where something lies, on one line so that it can be copied."""
    console.print(f"{text} {escape(str(path))}", soft_wrap=True)


@contextmanager
def progress_bars() -> Iterator[Tell]:
    """Yield a `Tell` that draws a bar for each stage, with count, elapsed time, time left and note."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console) as bars:

        def show(stage: str, done: int, total: int, note: str = "") -> None:
            if stage not in tasks:
                _make_room(bars)
                tasks[stage] = bars.add_task(stage, note="")
            bars.update(tasks[stage], completed=done, total=total, note=note)

        yield show


def _make_room(bars: Progress) -> None:
    """Take the oldest finished bar away where the screen would fill with them."""
    if len(bars.tasks) >= _MOST_BARS and (ended := [task for task in bars.tasks if task.finished]):
        bars.remove_task(ended[0].id)


@contextmanager
def quiet_import() -> Iterator[None]:
    """Hold back what TensorFlow's libraries print while they are imported; show it if the import fails.

    They write past Python to the file descriptor, and no setting silences them.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            held_back.seek(0)
            os.write(kept, held_back.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
