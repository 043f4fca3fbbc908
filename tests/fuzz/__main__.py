"""python -m tests.fuzz [--inputs 100000] [--seed 0] [READER ...]"""

import sys

import click

from tests.fuzz.readers import READERS
from tests.fuzz.run import run


@click.command()
@click.argument("readers", metavar="[READER ...]", nargs=-1, type=click.Choice(list(READERS)))
@click.option("--inputs", default=100_000, show_default=True, help="Files for each reader.")
@click.option("--seed", default=0, show_default=True, help="Equal seeds make equal inputs.")
def main(readers: tuple[str, ...], inputs: int, seed: int) -> None:
    """Feed each READER, or all, with broken files.

    An input that breaks a reader, or takes too much time or memory, is kept, and the exit code is 1.
    """
    sys.exit(not all([run(name, READERS[name], inputs, seed) for name in readers or READERS]))


if __name__ == "__main__":
    main()
