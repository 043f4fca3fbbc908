"""Images and scans, shared out over a Ray cluster."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any

from kcseg.errors import InputError
from kcseg.prediction.predict import make_room, parts, predict_part, write_table
from kcseg.prediction.result import Prediction
from kcseg.prediction.scans import begin_scans, facts_path, predict_scan, write_tables
from kcseg.progress import Tell, counted, silent
from kcseg.ray import worker_share
from kcseg.scan.options import ALL, ScanOptions
from kcseg.serving.local import find_model
from kcseg.serving.runner import Ensemble


def predict_files_on_ray(
    model: Path,
    images: Mapping[str, Path],
    out: Path,
    *,
    hu_offset: int | None = None,
    any_contrast: bool = False,
    fast: bool = False,
    force: bool = False,
    tell: Tell = silent,
) -> list[Prediction]:
    """Do as `predict_files`, with a copy of the model on every node of the cluster that was `joined`.

    The same files with the same bytes, if the nodes are alike. What a lost node had not finished is done again
    elsewhere; files are written whole, so that nothing is lost and nothing doubled. `fast` is that of `Ensemble.load`.

    Raises:
        InputError: as `predict_files`; no model in `model`; a folder that not all nodes see.
    """
    model, out = find_model(model).absolute(), out.absolute()  # workers start in folders of their own
    make_room(images, out, hu_offset=hu_offset, force=force)
    work = partial(_predict_images, out=out, hu_offset=hu_offset, any_contrast=any_contrast)
    rows: dict[str, list[Prediction]] = {}
    one_more = counted(tell, "segmenting", len(images))
    for row in _shared_out(work, model, list(parts(images)), fast=fast):
        rows[row["id"]] = [Prediction(**kidney) for kidney in json.loads(row["kidneys"])]
        _refuse_elsewhere(out, out / "masks" / f"{row['id']}.png")
        one_more()
    ordered = [row for name in images for row in rows[name]]
    write_table(out, ordered)
    return ordered


def predict_scans_on_ray(
    model: Path,
    scans: Mapping[str, Path],
    out: Path,
    options: ScanOptions = ALL,
    *,
    fast: bool = False,
    force: bool = False,
    tell: Tell = silent,
) -> list[dict[str, Any]]:
    """Do as `predict_scans`, a scan at a time on each node of the cluster that was `joined`.

    What is said of `predict_files_on_ray` is true of scans, too.
    """
    model, out = find_model(model).absolute(), out.absolute()
    missing = begin_scans(scans, out, force=force)
    if options.kidneys:
        options = replace(options, kidneys=options.kidneys.absolute())
    one_more = counted(tell, "scans", len(missing))
    work = partial(_predict_scans, out=out, options=options)
    for row in _shared_out(work, model, [{id: path} for id, path in missing.items()], fast=fast):
        _refuse_elsewhere(out, facts_path(out, row["id"]))
        one_more()
    return write_tables(scans, out)


def _predict_images(
    ensemble: Ensemble, images: Mapping[str, Path], *, out: Path, hu_offset: int | None, any_contrast: bool
) -> list[dict[str, str]]:
    predicted = predict_part(ensemble, images, out, hu_offset=hu_offset, any_contrast=any_contrast)
    # as text: tables of several nodes join only if no column is without values
    return [
        {"id": id, "kidneys": json.dumps([asdict(row) for row in kidneys])}
        for id, kidneys in zip(images, predicted, strict=True)
    ]


def _predict_scans(
    ensemble: Ensemble, scans: Mapping[str, Path], *, out: Path, options: ScanOptions
) -> list[dict[str, str]]:
    for id, path in scans.items():
        predict_scan(ensemble, id, path, out, options)
    return [{"id": id} for id in scans]


def _shared_out(
    work: Callable[..., list[dict[str, str]]], model: Path, parts: Sequence[Mapping[str, Path]], *, fast: bool
) -> Iterator[dict[str, str]]:
    """Yield the rows that `work` returns for each part, in any order; a worker on each node does one part at a time."""
    import pyarrow
    import ray.data

    share = worker_share()
    ray.data.DataContext.get_current().enable_progress_bars = False  # we draw our own
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    tables = [
        pyarrow.table({"id": list(part), "path": [str(path.absolute()) for path in part.values()]})
        for part in parts
    ]
    if not tables:
        return
    predicted = ray.data.from_arrow(tables).map_batches(
        _Worker,
        fn_constructor_args=(work, model, fast),
        batch_size=None,  # a table as it is: the part that goes through the networks together
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=min(share.workers, len(tables))),
        num_cpus=share.num_cpus,
        num_gpus=share.num_gpus,
    )
    # closed before the cluster is left: Ray ends the process of who still works on it then
    with closing(iter(predicted.iter_batches(batch_size=None, batch_format="pyarrow"))) as written:
        for row in chain.from_iterable(table.to_pylist() for table in written):
            if row["refused"]:
                raise InputError(row["refused"])
            yield row


def _refuse_elsewhere(out: Path, written: Path) -> None:
    if not written.is_file():
        raise InputError(
            f"a node wrote its results to another {out}; choose a folder on a disk that all nodes share"
        )


@dataclass
class _Worker:
    """A copy of the model on a node.

    An `InputError` becomes a row that says so: Ray wraps what a worker raises, and starts one that fails at its
    beginning four times, which is why the model is loaded with the first part.
    """

    work: Callable[..., list[dict[str, str]]]
    model: Path
    fast: bool

    @cached_property
    def _ensemble(self) -> Ensemble:
        return Ensemble.load(self.model, fast=self.fast)

    def __call__(self, table: Any) -> Any:
        import pyarrow

        paths = {row["id"]: Path(row["path"]) for row in table.to_pylist()}
        try:
            rows = [{"refused": "", **row} for row in self.work(self._ensemble, paths)]
        except InputError as error:
            rows = [{"refused": str(error)}]
        return pyarrow.Table.from_pylist(rows)
