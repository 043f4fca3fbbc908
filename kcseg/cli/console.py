"""What the commands share: their group, the screen, clear errors, a quiet TensorFlow."""

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table

import kcseg
from kcseg.errors import InputError
from kcseg.files import LOG, is_file
from kcseg.processes import held_back_stderr
from kcseg.progress import Tell, silent, told_both

if hasattr(sys.stdout, "reconfigure"):  # a terminal that knows ASCII alone shows '?' for '²'
    sys.stdout.reconfigure(errors="replace")
console = Console(highlight=False)
_MOST_BARS = 12
_LINES = 20  # of a stage, at most, in a log and where no bar can be drawn
_LOG_HEAD = "kcseg "  # how a log of ours begins; another's is left alone


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
            if ctx.meta.get(_VERBOSE):
                traceback.print_exc()
            # what the rooms below call 'force' is an option here
            raise click.UsageError(str(error).replace("'force'", "--force")) from error
        except OSError as error:
            if error.filename is None:
                raise
            raise click.UsageError(
                f"cannot use {error.filename}: {error.strerror or error}; check the path"
            ) from error


_VERBOSE, _DEVICE = "kcseg.verbose", "kcseg.device"
_version = click.version_option(kcseg.__version__)


def _set_quiet(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    console.quiet = value


def _remember(ctx: click.Context, option: click.Parameter, value: bool | str | None) -> None:
    ctx.meta[f"kcseg.{option.name}"] = value


_of_every_command = (
    click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_remember,
        help="Show what the libraries print, and where in the code an error arises.",
    ),
    click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_set_quiet,
        help="Print nothing but errors.",
    ),
    _version,
)


class OneCommand(ClearErrorsCommand):
    """A command with what all of them can be asked."""

    def __init__(self, *arguments: Any, **settings: Any):
        super().__init__(*arguments, **settings)
        for option in _of_every_command:
            option(self)


class ClearErrorsGroup(ClearErrorsCommand, click.Group):
    """A group of such commands."""

    command_class = OneCommand


@click.group(cls=ClearErrorsGroup)
@_version
def main() -> None:
    """Find the renal cortex in coronal CT and measure it. Research software, not a medical device."""


device_option = click.option(
    "--device",
    type=click.Choice(("cpu", "gpu")),
    expose_value=False,
    callback=_remember,
    help="Compute there.  [default: on a GPU where TensorFlow finds one]",
)


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
def progress_bars(folder: Path | None = None) -> Iterator[Tell]:
    """Yield a `Tell` that draws a bar for each stage, with count, elapsed time, time left and note.

    Where the output is no terminal, it prints a line as a stage begins, and after each twentieth of it. The log in
    `folder` gets these lines, too, as soon as the folder is there; what it held stays.
    """
    logged = _progress_lines(_appended_to(folder / LOG)) if folder else silent
    if not console.is_terminal:
        yield told_both(_progress_lines(print_line), logged)
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

        yield told_both(show, logged)


def _progress_lines(write: Callable[[str], None]) -> Tell:
    begun, printed = time.monotonic(), dict[str, int]()

    def show(stage: str, done: int, total: int, note: str = "") -> None:
        share = done * _LINES // max(total, 1)
        if share > printed.get(stage, -1):
            printed[stage] = share
            seconds = timedelta(seconds=round(time.monotonic() - begun))
            write("  ".join(filter(None, (f"{seconds}  {stage}  {done}/{total}", note))))

    return show


def _appended_to(log: Path) -> Callable[[str], None]:
    """Return what writes a line to a log, the first time with the day and the command before it."""
    head = [f"{_LOG_HEAD}{kcseg.__version__}, {datetime.now():%Y-%m-%d %H:%M}: {' '.join(sys.argv[1:])}"]

    def write(line: str) -> None:
        if not log.parent.is_dir():
            return
        if head and is_file(log) and not log.read_text().startswith(_LOG_HEAD):
            return
        with log.open("a") as file:
            file.write("\n".join((*head, line, "")))
        head.clear()

    return write


@contextmanager
def quiet_import() -> Iterator[None]:
    """Import TensorFlow for the device that was asked for, and hold back what its libraries print meanwhile.

    They write past Python to the file descriptor, and no setting silences them. It is shown if the import fails.

    Raises:
        InputError: a GPU is asked for, and TensorFlow finds none.
    """
    context = click.get_current_context(silent=True)  # none in a notebook
    asked = context.meta if context else {}
    if asked.get(_DEVICE) == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    if asked.get(_VERBOSE):
        yield
    else:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with held_back_stderr():
            yield
    if asked.get(_DEVICE) == "gpu":
        import keras

        if not keras.distribution.list_devices("gpu"):
            raise InputError(
                "TensorFlow finds no GPU on this machine; leave --device out to compute on the CPU"
            )
