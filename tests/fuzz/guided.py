"""Feeds one reader broken files, led by the code they reach: what reaches further is kept and broken again.

    pip install 'kcseg[fuzz]'
    python -m tests.fuzz.guided --corpus FOLDER [--inputs 100000] [--seed 1] READER

FOLDER/READER starts with sound files, and grows by what reaches further. An input that breaks the reader, or takes too
much time or memory, is kept in the folder this is called in, and the exit code is not 0. `tests/fuzz/corpus.zip`, which
the tests feed again, is such a FOLDER.
"""

import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("expected atheris, found none; pip install 'kcseg[fuzz]' (Linux, Python 3.11 to 3.13)")

with atheris.instrument_imports(
    include=["kcseg", "numpy", "json", "nibabel", "pydicom", "PIL", "keras_tuner"]
):
    import click
    import numpy as np

    from tests.fuzz.readers import READERS
    from tests.fuzz.run import MEMORY, SECONDS, resident_mib


@click.command()
@click.argument("name", metavar="READER", type=click.Choice(list(READERS)))
@click.option(
    "--corpus", type=click.Path(path_type=Path, file_okay=False), required=True, help="Where inputs are kept."
)
@click.option("--inputs", default=100_000, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(name: str, corpus: Path, inputs: int, seed: int) -> None:
    """Feed READER with broken files."""
    reader = READERS[name]
    place = tempfile.TemporaryDirectory(prefix="fuzz-")
    folder = Path(place.name)
    kept = corpus / name
    kept.mkdir(parents=True, exist_ok=True)
    samples = reader.prepare(folder)
    for number, content in enumerate(samples):
        (kept / f"sound-{number}").write_bytes(content)

    def read(content: bytes) -> None:
        reader.feed(folder, content)

    def mutate(content: bytes, most_bytes: int, seed: int) -> bytes:
        random = np.random.default_rng(seed)
        if random.random() < 0.5:
            return atheris.Mutate(content, most_bytes)
        try:
            return reader.mutate(random, [content])[:most_bytes]
        except Exception:  # no sound file any more, which the half above goes on with
            return reader.mutate(random, samples)[:most_bytes]

    most_bytes = 4 * max(map(len, samples))
    options = f"-atheris_runs={inputs} -seed={seed} -timeout={SECONDS} -max_len={most_bytes}".split()
    options.append(f"-rss_limit_mb={(MEMORY >> 20) + resident_mib()}")
    atheris.Setup([sys.argv[0], *options, str(kept)], read, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
