"""Searching the meta-parameters (paper: by Bayesian optimisation), with keras-tuner."""

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial
from keras_tuner.errors import FatalError, FatalRuntimeError

from kcseg.config import Config
from kcseg.config_json import to_json
from kcseg.dataset.batch import Batch
from kcseg.errors import InputError
from kcseg.files import locked, remove_leftovers, require_own, write_json
from kcseg.network.unet import count_parameters
from kcseg.progress import Tell, silent
from kcseg.training.fit import best_so_far
from kcseg.training.oracle import MOST_DRAWS, BayesianOracle, Limit, RandomOracle, build_oracle
from kcseg.training.post import ALONE, Post, require_chief
from kcseg.training.run import plan_members
from kcseg.training.space import SPACE, Between, OneOf, configure, hyperparameters, values_of
from kcseg.training.trial import FINISHED, Budget, TrialResult, read_result, run_trial_apart

_SETTINGS, _STATE, _TRIALS = "search.json", "state.json", "trials"
_HEARTBEAT_S = 5.0
# for workers that have yet to be told that all is done, and for those that are just starting
_FAREWELL_S, _LATE_S = 30.0, 3.0


@dataclass(frozen=True)
class Search:
    """What is searched, and how a trial is judged: by the mean best validation Dice over folds.

    Attributes:
        config: the settings the search starts from; whatever the space does not name stays as it is.
        trials: how many settings are tried.
        folds: how many of the `config.ensemble.folds` folds a trial is trained on.
        epochs: of a trial at most.
        budget: what a network may cost.
        random: draw the trials instead of learning from those before.
        seed: of the proposals; None takes the configuration's, which folds and weights have anyway.
        space: names and bounds.
        known_first: begin with the settings of `config`, where they lie in the space, so that what is found is no worse
            and the search learns from them.
    """

    config: Config
    trials: int = 30
    folds: int = 2
    epochs: int = 5
    budget: Budget = field(default_factory=Budget)
    random: bool = False
    seed: int | None = None
    space: Mapping[str, OneOf | Between] = field(default_factory=lambda: SPACE)
    known_first: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be searched."""
        for name, value in (("trials", self.trials), ("folds", self.folds), ("epochs", self.epochs)):
            if value < 1:
                raise InputError(f"{name} must be at least 1, got {value}")
        if self.folds > self.config.ensemble.folds:
            raise InputError(
                f"a trial cannot be trained on {self.folds} folds: 'ensemble.folds' is {self.config.ensemble.folds}"
            )

    def settings(self, values: Mapping[str, Any]) -> Config:
        """Return the configuration that a trial's values stand for, with all epochs: what kcseg train takes."""
        return configure(self.config, values)

    def trial_settings(self, values: Mapping[str, Any]) -> Config:
        """Return the configuration a trial is trained with."""
        config = self.settings(values)
        # no patience: a trial that is stopped sooner than others is not comparable
        training = replace(config.training, maximum_epochs=self.epochs, patience_epochs=self.epochs)
        return replace(config, training=training)


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

    Writes `search.json` (what was asked for), `state.json` (how far the search is) and `trials/trial_<n>/`. More
    trials than an earlier search had continue it.

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
    facts = _facts(batch, search)
    if post.is_worker:
        if len(read_results(folder)) < search.trials:
            require_chief(post, timeout_s)
            require_own(folder / _SETTINGS, facts, "search", "challenge")
            with locked(folder / "workers" / post.id):
                _search(_tuner(folder, batch, search, timeout_s, tell))
        return read_results(folder)
    require_own(folder / _SETTINGS, facts, "search", "challenge")
    with locked(folder):
        remove_leftovers(folder)
        write_json(folder / _SETTINGS, facts)
        tuner = _tuner(folder, batch, search, timeout_s, tell)
        tuner.oracle.restore(workers=post.is_chief)
        tuner.report()
        if not tuner.oracle.is_over():
            if post.is_chief:
                _serve(tuner, post)
            else:
                _search(tuner)
    results = read_results(folder)
    if not results:
        raise InputError(_nothing_fits(tuner.oracle.limit))
    if not any(result.status == FINISHED for result in results):
        raise InputError(
            f"none of the {len(results)} trials in {folder / _TRIALS} could be trained; the last: {results[-1].reason}"
        )
    return results


def read_results(folder: Path) -> list[TrialResult]:
    """Return the trials of a search that have ended, in the order they were dealt."""
    found = (folder / _TRIALS).glob("trial_*/result.json")
    return sorted((read_result(path.parent) for path in found), key=lambda result: int(result.trial))


def best_trial(results: list[TrialResult]) -> TrialResult:
    """Return the finished trial with the highest Dice."""
    finished = [result for result in results if result.status == FINISHED]
    return max(finished, key=lambda result: result.dice or 0.0)


class _Tuner(keras_tuner.Tuner):
    """Runs the trials it is dealt in folders of their own.

    Trials that fail or cost too much are handed back as finished with a Dice of 0: the oracle learns to keep away,
    where it would propose failed ones again; and failures in a row do not end a worker and leave the chief waiting.
    """

    def __init__(self, folder: Path, batch: Batch, search: Search, tell: Tell, oracle: Any):
        super().__init__(oracle, directory=str(folder), project_name=_TRIALS)
        self._place, self._batch, self._search, self._tell = folder, batch, search, tell
        self._members = plan_members(batch.ids, search.config)[: search.folds]
        self._alive = 0.0

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Train a trial's settings and return their Dice."""
        values = dict(trial.hyperparameters.values)
        try:
            result = run_trial_apart(
                self._place / _TRIALS / f"trial_{trial.trial_id}",
                values,
                self._batch,
                self._members,
                self._search.trial_settings(values),
                self._search.budget,
                partial(self._alive_and, trial.trial_id),
            )
        except Exception as error:  # keras-tuner would take a full disk, or a fault of ours, for a bad trial
            raise FatalRuntimeError(str(error)) from error
        return {"dice": result.dice or 0.0}

    def on_trial_end(self, trial: Trial) -> None:
        """Hand the trial back."""
        super().on_trial_end(trial)
        self.report()

    def save(self) -> None:
        """Do nothing: the oracle keeps its state by itself, and a tuner has none."""

    def reload(self) -> None:
        """Do nothing: `trials/<tuner>.json`, which makes keras-tuner read its own files back, is none of ours."""

    def report(self) -> None:
        """Tell how many trials have ended."""
        results = read_results(self._place)
        best = max((result.dice or 0.0 for result in results), default=0.0)
        self._tell("trials", len(results), self._search.trials, best_so_far(best))

    def _alive_and(self, trial_id: str, stage: str, done: int, total: int, note: str = "") -> None:
        """Tell of a training step, and the chief, where there is one, that this worker lives."""
        if time.monotonic() - self._alive > _HEARTBEAT_S:
            self.oracle.get_trial(trial_id)
            self._alive = time.monotonic()
        self._tell(stage, done, total, note)


def _tuner(folder: Path, batch: Batch, search: Search, timeout_s: float, tell: Tell) -> _Tuner:
    space = hyperparameters(search.space)
    seed = search.config.seed if search.seed is None else search.seed
    oracle = build_oracle(
        space,
        trials=search.trials,
        seed=seed + 1,  # keras-tuner takes 0 for none
        random=search.random,
        limit=_limit(search),
        first=values_of(search.config, search.space) if search.known_first else None,
    )
    oracle.keep_in(folder / _STATE, timeout_s=timeout_s)
    return _Tuner(folder, batch, search, tell, oracle)


def _limit(search: Search) -> Limit | None:
    if search.budget.parameters is None:
        return None

    def cost(values: Mapping[str, Any]) -> int:
        # dropout has no weights, and would make every network another one to the cache
        names = (name for name in values if name.startswith("network.") and name != "network.dropout")
        return count_parameters(search.settings({name: values[name] for name in names}).network)

    return Limit(cost, search.budget.parameters)


def _search(tuner: _Tuner) -> None:
    try:
        tuner.search(verbose=0)
    except FatalError as error:
        raise error.__cause__ or error from None


def _serve(tuner: _Tuner, post: Post) -> None:
    """Deal trials to workers until all have ended, or nobody is left to end them."""
    oracle: RandomOracle | BayesianOracle = tuner.oracle
    failures: list[Exception] = []

    def serve() -> None:
        try:
            tuner.search(verbose=0)
        except Exception as error:  # told by the thread that waits
            failures.append(error)

    server = threading.Thread(target=serve, daemon=True)  # keras-tuner's chief knows no end but its own
    server.start()
    while server.is_alive():
        server.join(1.0)
        tuner.report()
        silence = time.monotonic() - oracle.heard_last
        if oracle.is_over() and silence > (_FAREWELL_S if oracle.tuner_ids else _LATE_S):
            return
        if silence > oracle.timeout_s:
            raise InputError(_missing(oracle, post))
    if failures:
        raise InputError(
            f"the chief cannot serve at {post.address}: {failures[0]}; is it this machine's, and the port free?"
        ) from failures[0]


def _missing(oracle: RandomOracle | BayesianOracle, post: Post) -> str:
    held = ", ".join(f"{worker} (trial {trial.trial_id})" for worker, trial in oracle.ongoing_trials.items())
    what = f"worker {held} has not been heard of" if held else "no worker has asked"
    return (
        f"{what} at {post.address} for {oracle.timeout_s:g} s; start this command again, "
        "and each worker with its KERASTUNER_TUNER_ID"
    )


def _nothing_fits(limit: Limit) -> str:
    return (
        f"none of {MOST_DRAWS} settings drawn makes a network of at most {limit.most} parameters; the smallest has "
        f"{limit.smallest}; allow so many, or lower 'network.levels'"
    )


def _facts(batch: Batch, search: Search) -> dict[str, Any]:
    """Return what must not change between calls: all but the number of trials."""
    return {
        "config": to_json(search.config),
        "folds": search.folds,
        "epochs": search.epochs,
        "budget": asdict(search.budget),
        "random": search.random,
        "seed": search.seed,
        "known_first": search.known_first,
        "space": {name: repr(dimension) for name, dimension in search.space.items()},
        "data": {"images": len(batch), "sha256": batch.fingerprint()},
    }
