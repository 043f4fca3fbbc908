"""Searching the meta-parameters (paper: by Bayesian optimisation), with keras-tuner."""

from collections.abc import Sequence
from pathlib import Path

from kcseg.dataset.batch import Batch
from kcseg.errors import InputError
from kcseg.files import locked, remove_leftovers, require_own, write_json
from kcseg.progress import Tell, silent
from kcseg.training.oracle import MOST_DRAWS, Oracle
from kcseg.training.post import ALONE, Post, require_chief, serve
from kcseg.training.search import Search
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

    Several machines have the same folder on a shared disk, and each a `post`; keras-tuner reads the same environment
    variables by itself. After `timeout_s` seconds without a sign of life a worker, or the chief, counts as missing.

    Raises:
        InputError: the folder holds something else or another search; every trial failed; the chief or a worker is
            missing.
    """
    trials, settings = folder / _TRIALS, folder / _SETTINGS
    if post.is_worker and len(read_results(trials)) < search.trials:
        require_chief(post, timeout_s)
    facts = search.facts(batch)
    require_own(settings, facts, "search", "challenge")
    home = folder / "workers" / post.id if post.is_worker else folder
    with locked(home):
        remove_leftovers(home)
        if not post.is_worker:
            write_json(settings, facts)
        oracle = Oracle(search, folder / _PROPOSALS, timeout_s)
        tuner = Tuner(trials, batch, search, oracle, tell)
        tuner.report()
        results = read_results(trials)
        if len(results) < search.trials:
            if post.is_chief:
                oracle.restore({int(result.trial): result.dice or 0.0 for result in results})
                serve(tuner, post)
            else:
                tuner.search()
    results = read_results(trials)
    if post.is_worker:
        return results
    if not results:
        raise InputError(
            f"none of {MOST_DRAWS} settings drawn makes a network of at most {search.most_parameters} parameters; "
            f"the smallest has {oracle.smallest}; allow so many, or lower 'network.levels'"
        )
    if not any(result.status == FINISHED for result in results):
        raise InputError(
            f"none of the {len(results)} trials in {trials} could be trained; the last: {results[-1].reason}"
        )
    return results


def best_trial(results: Sequence[TrialResult]) -> TrialResult:
    """Return the finished trial with the highest Dice."""
    finished = [result for result in results if result.status == FINISHED]
    return max(finished, key=lambda result: result.dice or 0.0)
