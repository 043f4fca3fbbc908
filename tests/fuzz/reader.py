"""A reader under test: how the files it is given are made, and what it may do with them."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kcseg.errors import InputError


@dataclass(frozen=True)
class Reader:
    """How sound files are made, broken, and read.

    Attributes:
        name: of the file.
        samples: contents of sound files, or what makes them where that takes long.
        mutate: breaks one of them.
        read: reads the file; if what it returns is unsound, an AssertionError.
    """

    name: str
    samples: Sequence[bytes] | Callable[[], Sequence[bytes]]
    mutate: Callable[[np.random.Generator, Sequence[bytes]], bytes]
    read: Callable[[Path], None]

    def prepare(self, folder: Path) -> Sequence[bytes]:
        """Return sound files, after each was read: what is loaded late is loaded now."""
        samples = self.samples() if callable(self.samples) else self.samples
        for content in samples:
            (folder / self.name).write_bytes(content)
            self.read(folder / self.name)
        return samples

    def feed(self, folder: Path, content: bytes) -> str:
        """Return what the reader does with a file; a refusal nobody can read, or with a name in it, is an error."""
        (folder / self.name).write_bytes(content)
        try:
            self.read(folder / self.name)
        except InputError as error:
            assert str(error).isprintable() and len(str(error)) < 600 and "Doe" not in str(error), error
            return "refused"
        return "read"


def saved(write: Callable[[Path], object], name: str) -> bytes:
    """Return what `write` writes to a file of this name."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()
