"""What the commands share: their group, the screen, clear errors, a quiet TensorFlow."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table

import kcseg
from kcseg.errors import InputError
from kcseg.progress import Tell

if hasattr(sys.stdout, "reconfigure"):  # a terminal that knows ASCII alone shows '?' for '²'
    sys.stdout.reconfigure(errors="replace")
console = Console(highlight=False)
_MOST_BARS = 12
_LINES = 20  # of a stage, at most, where no bar can be drawn


class ClearErrorsCommand(click.Command):
    """A command with clear errors."""

    def make_context(self, *arguments: Any, **settings: Any) -> click.Context:
        """Let the help state the defaults of all options."""
        return super().make_context(*arguments, show_default=True, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Make a user's mistake, or a file's fault, one sentence and exit code 2; all else keeps its traceback.

        Ctrl-C ends with 130, as of any program that a signal ends.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print_line("Interrupted. Run the same command again to go on where it can.")
            ctx.exit(130)
        except InputError as error:
            # what the rooms below call 'force' is an option here
            raise click.UsageError(str(error).replace("'force'", "--force")) from error
        except OSError as error:
            if error.filename is None:
                raise
            raise click.UsageError(
                f"cannot use {error.filename}: {error.strerror or error}; check the path"
            ) from error


class ClearErrorsGroup(ClearErrorsCommand, click.Group):
    """A group of such commands."""

    command_class = ClearErrorsCommand


@click.group(cls=ClearErrorsGroup)
@click.version_option(kcseg.__version__)
def main() -> None:
    """Find the renal cortex in coronal CT and measure it. Research software, not a medical device."""


def print_line(text: str) -> None:
    """Print text as it is on one line, so that paths can be copied."""
    console.print(escape(text), soft_wrap=True)


def print_table(*parts: Sequence[Mapping[str, object]], strong: str = "") -> None:
    """Print rows as a table whose head is the keys, a line between its parts; the row named `strong` stands out."""
    table = Table(*(Column(escape(head), overflow="fold") for head in parts[0][0]))
    for part in parts:
        for row in part:
            cells = [escape(str(value)) for value in row.values()]
            table.add_row(*cells, style="bold" if cells[0] == strong else None)
        table.add_section()
    console.print(table)


@contextmanager
def progress_bars() -> Iterator[Tell]:
    """Yield a `Tell` that draws a bar for each stage, with count, elapsed time, time left and note.

    Where the output is no terminal, it prints a line as a stage begins, and after each twentieth of it.
    """
    if not console.is_terminal:
        yield _progress_lines()
        return
    clock = (TimeElapsedColumn(), "left", TimeRemainingColumn())
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), *clock, "{task.fields[note]}")
    tasks: dict[str, Any] = {}
    with Progress(*columns, console=console) as bars:

        def show(stage: str, done: int, total: int, note: str = "") -> None:
            if stage not in tasks:
                ended = [task.id for task in bars.tasks if task.finished]
                if ended and len(bars.tasks) >= _MOST_BARS:  # the screen would fill with bars
                    bars.remove_task(ended[0])
                tasks[stage] = bars.add_task(stage, note="")
            bars.update(tasks[stage], completed=done, total=total, note=note)

        yield show


def _progress_lines() -> Tell:
    begun, printed = time.monotonic(), dict[str, int]()

    def show(stage: str, done: int, total: int, note: str = "") -> None:
        share = done * _LINES // max(total, 1)
        if share > printed.get(stage, -1):
            printed[stage] = share
            seconds = timedelta(seconds=round(time.monotonic() - begun))
            print_line("  ".join(filter(None, (f"{seconds}  {stage}  {done}/{total}", note))))

    return show


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
