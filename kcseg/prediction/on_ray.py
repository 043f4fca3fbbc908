"""Masks, overlays and a table for many images, shared out over a Ray cluster."""

import json
import logging
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from kcseg.errors import InputError
from kcseg.prediction.predict import make_room, parts, predict_part, write_table
from kcseg.prediction.result import Prediction
from kcseg.progress import Tell, counted, silent
from kcseg.ray import worker_share
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
    import pyarrow
    import ray.data

    model, out = find_model(model).absolute(), out.absolute()  # workers start in folders of their own
    make_room(images, out, hu_offset=hu_offset, force=force)
    share = worker_share()
    ray.data.DataContext.get_current().enable_progress_bars = False  # we draw our own
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    tables = [
        pyarrow.table({"id": list(part), "path": [str(path.absolute()) for path in part.values()]})
        for part in parts(images)
    ]
    predicted = ray.data.from_arrow(tables).map_batches(
        _Worker,
        fn_constructor_args=(model, out, hu_offset, any_contrast, fast),
        batch_size=None,  # a table as it is: the part that goes through the networks together
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=min(share.workers, len(tables))),
        num_cpus=share.num_cpus,
        num_gpus=share.num_gpus,
    )
    rows: dict[str, list[Prediction]] = {}
    one_more = counted(tell, "segmenting", len(images))
    # closed before the cluster is left: Ray ends the process of who still works on it then
    with closing(iter(predicted.iter_batches(batch_size=None, batch_format="pyarrow"))) as written:
        for row in chain.from_iterable(table.to_pylist() for table in written):
            refused = row.pop("refused")
            if refused:
                raise InputError(refused)
            rows[row["id"]] = [Prediction(**kidney) for kidney in json.loads(row["kidneys"])]
            if not (out / "masks" / f"{row['id']}.png").is_file():
                raise InputError(
                    f"a node wrote its masks to another {out}; choose a folder on a disk that all nodes share"
                )
            one_more()
    ordered = [row for name in images for row in rows[name]]
    write_table(out, ordered)
    return ordered


@dataclass
class _Worker:
    """A copy of the model on a node.

    An `InputError` becomes a row that says so: Ray wraps what a worker raises, and starts one that fails at its
    beginning four times, which is why the model is loaded with the first part.
    """

    model: Path
    out: Path
    hu_offset: int | None
    any_contrast: bool
    fast: bool

    @cached_property
    def _ensemble(self) -> Ensemble:
        return Ensemble.load(self.model, fast=self.fast)

    def __call__(self, table: Any) -> Any:
        import pyarrow

        images = {row["id"]: Path(row["path"]) for row in table.to_pylist()}
        try:
            predicted = predict_part(
                self._ensemble, images, self.out, hu_offset=self.hu_offset, any_contrast=self.any_contrast
            )
            # as text: tables of several nodes join only if no column is without values
            rows: list[dict[str, Any]] = [
                {"refused": "", "id": id, "kidneys": json.dumps([asdict(row) for row in kidneys])}
                for id, kidneys in zip(images, predicted, strict=True)
            ]
        except InputError as error:
            rows = [{"refused": str(error)}]
        return pyarrow.Table.from_pylist(rows)
