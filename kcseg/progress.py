"""How far long work has come, told in one way everywhere."""

from collections.abc import Callable
from typing import Protocol


class Tell(Protocol):
    """Whoever is told of progress: a stage by name, how much of it is done, of how much, and a short note."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Take note; must be quick."""


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """Tell nobody."""


def told_both(one: Tell, other: Tell) -> Tell:
    """Return what tells two of the same."""

    def tell(stage: str, done: int, total: int, note: str = "") -> None:
        one(stage, done, total, note)
        other(stage, done, total, note)

    return tell


def counted(tell: Tell, stage: str, total: int) -> Callable[[], None]:
    """Return a function that tells of one more done each time it is called."""
    done = iter(range(1, total + 1))
    return lambda: tell(stage, next(done), total)


def within(tell: Tell, part: str) -> Tell:
    """Return what tells of the stages of a part of larger work, its name before theirs."""
    return lambda stage, done, total, note="": tell(f"{part}, {stage}", done, total, note)


def share(tell: Tell, place: int, count: int) -> Tell:
    """Return what tells of the part at `place`, from 0, of `count` equal ones as of a share of them all."""
    return lambda stage, done, total, note="": tell(stage, place * total + done, count * total, note)
