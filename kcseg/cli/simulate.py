"""kcseg simulate: a simulated challenge folder, and a page to look at it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kcseg.cli.console import main, print_line, progress_bars
from kcseg.cli.settings import PATH
from kcseg.config import SimulationConfig
from kcseg.errors import InputError
from kcseg.files import is_folder

if TYPE_CHECKING:
    import numpy as np

_SHOWN = 24


@main.command()
@click.argument("folder", type=PATH)
@click.option(
    "--train", multiple=True, type=click.IntRange(min=1), help="Images of a training batch; repeatable."
)
@click.option("--test", type=click.IntRange(min=0), default=299)
@click.option("--seed", type=click.IntRange(min=0), default=2018)
@click.option("--workers", type=click.IntRange(min=1), default=2)
@click.option("--preview", is_flag=True, help="Also write FOLDER/preview.html: images and their statistics.")
@click.option(
    "--real",
    multiple=True,
    type=PATH,
    help="Real coronal crops (files or folders) to show among them; repeatable, implies --preview.",
)
def simulate(
    folder: Path,
    train: tuple[int, ...],
    test: int,
    seed: int,
    workers: int,
    preview: bool,
    real: tuple[Path, ...],
) -> None:
    """Write a simulated challenge to FOLDER: images in HU, references with faults, and the exact truth.

    Without --train the challenge's two training batches are made, 250 and 247 images.
    """
    from kcseg.image.formats import read_image
    from kcseg.image.listing import list_images
    from kcseg.phantom.simulate import simulate_challenge

    real_hu = _read_real(real)
    sizes = SimulationConfig(train=train or SimulationConfig().train, test=test, seed=seed)
    with progress_bars() as tell:
        simulate_challenge(folder, sizes, tell=tell, workers=workers)
    print_line(f"Simulated {sum(sizes.train)} training and {sizes.test} test images in {folder}")
    if preview or real:
        shown = list(list_images(folder / "train-1").values())[:_SHOWN]
        from kcseg.study.preview import write_preview

        page = folder / "preview.html"
        write_preview(page, [read_image(path).hu for path in shown], real_hu, seed)
        print_line(f"Look at {page}")


def _read_real(paths: tuple[Path, ...]) -> "list[np.ndarray]":
    """Read real crops at 1 mm; what is no image in HU, such as a mask beside an image, is passed over and named."""
    from kcseg.image.formats import read_image
    from kcseg.image.image import resample
    from kcseg.image.listing import list_images, scan_images

    images = []
    for path in paths:
        files = scan_images(path).files if is_folder(path) else list_images(path)
        for file in files.values():
            try:
                images.append(resample(read_image(file)).hu)
            except InputError as error:
                print_line(f"Passed over: {error}")
    if paths and not images:
        raise InputError(f"there is no image in HU in {', '.join(map(str, paths))}; name coronal CT crops")
    return images
