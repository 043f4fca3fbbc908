"""The simulated challenge: batches of images, faulty references and exact truth in a challenge folder."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from kcseg.config import SimulationConfig
from kcseg.errors import InputError, reason_of
from kcseg.files import (
    holds_others,
    locked,
    read_facts,
    read_json,
    remove_leftovers,
    rename,
    write,
    write_json,
)
from kcseg.phantom.annotator import FaultRates, annotate
from kcseg.phantom.case import draw_case, draw_wide_case
from kcseg.processes import end_with_parent, left_to_parent
from kcseg.progress import Tell, counted, silent
from kcseg.results import remove_files

_STARTED, _COMPLETE = "simulation-started.json", "simulation.json"
_KINDS = ("images", "masks", "truth", "kidneys")


def simulate_challenge(
    folder: Path | str, config: SimulationConfig, *, tell: Tell = silent, workers: int = 1
) -> None:
    """Write `<batch>/{images,masks,truth}/<id>.npy` for all batches, and `simulation.json` when all are complete.

    Images are int16 HU (192, 192), masks (with the annotator's faults) and truth are bool. Of a wide simulation images
    have various sizes, masks are exact, and `kidneys/` stands in the place of `truth/`. A case depends on the seed,
    its batch and its number alone, so that other counts or workers never change it. A simulation that was cut off is
    made again to the same bytes; a complete one of the same configuration is left as it is. `workers` processes
    share the work.

    Raises:
        InputError: the folder holds another simulation or other files.
    """
    folder = Path(folder)
    facts = {**asdict(config), "train": list(config.train), "fault_rates": asdict(FaultRates())}
    if not config.wide:
        del facts["wide"]  # release 0.1.0 did not know it
    if _is_stated(folder / _COMPLETE, facts):
        return
    with locked(folder, wait=True):  # who shares the folder waits for the first to be done
        if _is_stated(folder / _COMPLETE, facts):
            return
        if not _is_stated(folder / _STARTED, facts) and holds_others(folder):
            raise InputError(
                f"{folder} is not empty; choose a new or empty folder for the simulated challenge"
            )
        remove_leftovers(folder)
        write_json(folder / _STARTED, facts)
        cases = _write_cases(folder, config, tell, workers)
        write_json(folder / _STARTED, {**facts, "cases": cases})
        rename(folder / _STARTED, folder / _COMPLETE)


def is_simulated(folder: Path) -> bool:
    """Whether a simulated challenge, complete or not, lies in the folder."""
    return (folder / _COMPLETE).exists() or (folder / _STARTED).exists()


def remove_challenge(folder: Path) -> None:
    """Remove the simulated challenge in a folder, complete or not: the files of its cases, and nothing else."""
    for path in (folder / _COMPLETE, folder / _STARTED):
        if path.exists():
            facts = read_facts(path, train=list, test=int, seed=int)
            config = SimulationConfig(tuple(facts["train"]), facts["test"], facts["seed"])
            remove_files(folder, (_file(name, kind) for name in _seeds(config) for kind in _KINDS))
            remove_files(folder, [path.name, ".lock"])


def planted_faults(folder: Path, ids: Sequence[str]) -> tuple[tuple[str, ...], ...] | None:
    """Return the faults planted in each reference, names of `FaultRates`; None where nothing was simulated.

    Ids are those of `training_batch`, e.g. train-1/0001.

    Raises:
        InputError: `simulation.json` does not tell of an id.
    """
    if not (folder / _COMPLETE).exists():
        return None
    found = read_json(folder / _COMPLETE)
    try:
        return tuple(tuple(found["cases"][name]["faults"]) for name in ids)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{folder / _COMPLETE} does not tell the faults of all references ({reason_of(error)}); "
            "simulate the challenge again"
        ) from error


def _seeds(config: SimulationConfig) -> dict[str, tuple[int, int, int]]:
    """Return what the generator of each case is seeded with, by batch and id, e.g. train-1/0001."""
    batches = [(f"train-{place + 1}", place, count) for place, count in enumerate(config.train)]
    # the test batch keeps its place, and with it its cases, however many training batches there are
    batches.append(("test", 1000, config.test))
    return {
        f"{batch}/{number:04}": (config.seed, place, number)
        for batch, place, count in batches
        for number in range(1, count + 1)
    }


def _file(case: str, kind: str) -> str:
    batch, name = case.split("/")
    return f"{batch}/{kind}/{name}.npy"


def _write_cases(
    folder: Path, config: SimulationConfig, tell: Tell, workers: int
) -> dict[str, dict[str, Any]]:
    """Write all cases and return what is worth knowing about each, by batch and id."""
    seeds = _seeds(config)
    for place in {(folder / _file(name, kind)).parent for name in seeds for kind in _KINDS}:
        remove_leftovers(place)
    cases, one_more = {}, counted(tell, "simulating", len(seeds))
    with _mapper(workers) as run:
        write_case = partial(_write_wide_case if config.wide else _write_case, folder)
        written = run(write_case, seeds, seeds.values())
        for name, case in zip(seeds, written, strict=True):
            cases[name] = case
            one_more()
    return cases


def _write_case(folder: Path, name: str, seeds: tuple[int, int, int]) -> dict[str, Any]:
    """Draw and write one case, and return what is worth knowing about it."""
    random = np.random.default_rng(seeds)
    case = draw_case(random)
    reference, faults = annotate(case.truth, case.vessels, random)
    _save(folder, name, images=case.hu, masks=reference, truth=case.truth)
    return {**case.facts, "faults": list(faults)}


def _write_wide_case(folder: Path, name: str, seeds: tuple[int, int, int]) -> dict[str, Any]:
    case = draw_wide_case(np.random.default_rng(seeds))
    _save(folder, name, images=case.hu, masks=case.truth, kidneys=case.kidney)
    return {**case.facts, "faults": []}


def _save(folder: Path, case: str, **arrays: np.ndarray) -> None:
    for kind, array in arrays.items():
        write(folder / _file(case, kind), partial(np.save, arr=array))


@contextmanager
def _mapper(workers: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """Yield `map`, or the map of a pool; its processes are spawned, as forks of TensorFlow's threads may hang."""
    if workers == 1:
        yield map
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_begin_worker) as pool:

        def run(*work: Any) -> Iterable[Any]:
            with left_to_parent():  # all start with the first work
                return pool.map(*work, chunksize=4)

        try:
            yield run
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _begin_worker() -> None:
    end_with_parent()
    threadpool_limits(1)  # with threads for every core in each, workers wait for each other most of the time


def _is_stated(path: Path, facts: dict[str, Any]) -> bool:
    """Whether a file tells of this very simulation; that it tells of another one is an error."""
    if not path.exists():
        return False
    if not facts.items() <= read_facts(path, train=list, test=int, seed=int).items():
        raise InputError(
            f"{path.parent} holds another simulation (see its {path.name}); choose another folder"
        )
    return True
