"""Searching the meta-parameters (paper: by Bayesian optimisation), with keras-tuner."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kcseg.dataset.batch import Batch
from kcseg.errors import InputError
from kcseg.files import locked, remove_leftovers, require_own, write_json
from kcseg.network.unet import count_parameters
from kcseg.progress import Tell, silent
from kcseg.training.oracle import MOST_DRAWS, Limit, Oracle
from kcseg.training.post import ALONE, Post, require_chief, serve
from kcseg.training.search import Search
from kcseg.training.space import hyperparameters, values_of
from kcseg.training.trial import FINISHED, TrialResult, read_results
from kcseg.training.tuner import Tuner

_SETTINGS, _PROPOSALS, _TRIALS = "search.json", "proposals.json", "trials"


def tune(
    folder: Path,
    batch: Batch,
    search: Search,
    *,
    post: Post = ALONE,
    timeout_s: float = 1800.0,
    tell: Tell = silent,
) -> list[TrialResult]:
    """Run a search in a folder, or go on where an earlier call was cut off, and return its trials.

    Writes `search.json` (what was asked for), `proposals.json` (the values that were dealt) and `trials/trial-<n>/`.
    More trials than an earlier search had continue it.

    Args:
        folder: of the search; of several machines, the same folder on a shared disk.
        batch: the training images.
        search: what is searched.
        post: the part this process has. keras-tuner reads the same environment variables by itself.
        timeout_s: after so many seconds without a sign of life a worker, or the chief, counts as missing.
        tell: told of the trials that have ended, and of each training step.

    Raises:
        InputError: the folder holds something else or another search; every trial failed; the chief or a worker is
            missing.
    """
    facts, trials = search.facts(batch), folder / _TRIALS
    if post.is_worker:
        if len(read_results(trials)) < search.trials:
            require_chief(post, timeout_s)
            require_own(folder / _SETTINGS, facts, "search", "challenge")
            with locked(folder / "workers" / post.id):
                Tuner(trials, batch, search, _oracle(folder, search, timeout_s), tell).search()
        return read_results(trials)
    require_own(folder / _SETTINGS, facts, "search", "challenge")
    with locked(folder):
        remove_leftovers(folder)
        write_json(folder / _SETTINGS, facts)
        tuner = Tuner(trials, batch, search, _oracle(folder, search, timeout_s), tell)
        tuner.report()
        results = read_results(trials)
        if len(results) < search.trials:
            if post.is_chief:
                tuner.oracle.restore({int(result.trial): result.dice or 0.0 for result in results})
                serve(tuner, post)
            else:
                tuner.search()
    results = read_results(trials)
    if not results:
        raise InputError(_nothing_fits(tuner.oracle.limit))
    if not any(result.status == FINISHED for result in results):
        raise InputError(
            f"none of the {len(results)} trials in {trials} could be trained; the last: {results[-1].reason}"
        )
    return results


def best_trial(results: Sequence[TrialResult]) -> TrialResult:
    """Return the finished trial with the highest Dice."""
    finished = [result for result in results if result.status == FINISHED]
    return max(finished, key=lambda result: result.dice or 0.0)


def _oracle(folder: Path, search: Search, timeout_s: float) -> Oracle:
    return Oracle(
        hyperparameters(search.space),
        folder / _PROPOSALS,
        trials=search.trials,
        seed=search.config.seed if search.seed is None else search.seed,
        random=search.random,
        limit=_limit(search),
        first=values_of(search.config, search.space) if search.known_first else None,
        timeout_s=timeout_s,
    )


def _limit(search: Search) -> Limit | None:
    if search.budget.parameters is None:
        return None

    def count(values: Mapping[str, Any]) -> int:
        network = {name: value for name, value in values.items() if name.startswith("network.")}
        return count_parameters(search.settings(network).network)

    return Limit(count, search.budget.parameters)


def _nothing_fits(limit: Limit) -> str:
    return (
        f"none of {MOST_DRAWS} settings drawn makes a network of at most {limit.most} parameters; the smallest has "
        f"{limit.smallest}; allow so many, or lower 'network.levels'"
    )
