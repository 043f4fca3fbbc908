"""keras-tuner's oracles, kept by one atomic file, and aware of workers that fall silent."""

import json
import reprlib
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.oracles import BayesianOptimizationOracle, RandomSearchOracle
from sklearn.exceptions import ConvergenceWarning

from kcseg.errors import InputError
from kcseg.files import read_json, write_json

OBJECTIVE = keras_tuner.Objective("dice", direction="max")
# Our choices. keras-tuner would begin with three random trials per dimension, which is more than a search has; and
# takes scores for exact, where the Dice of small runs varies by a tenth of its spread.
RANDOM_FIRST = 8
_NOISE = 1e-2
MOST_DRAWS = 1000  # of settings, for one that is within the limit
_HOPELESS = 1e3  # keras-tuner minimises; a Dice that none can be as bad as


@dataclass
class Limit:
    """What settings may cost: `cost` of their values at most `most`."""

    cost: Callable[[Mapping[str, Any]], int]
    most: int
    smallest: int | None = None  # cost met so far

    def allows(self, values: Mapping[str, Any]) -> bool:
        """Whether the settings are within the limit."""
        cost = self.cost(values)
        self.smallest = cost if self.smallest is None else min(cost, self.smallest)
        return cost <= self.most


class _Kept:
    """Replaces keras-tuner's own files, written in place, by one that is complete at any moment.

    Only public methods are overridden. The file holds the oracle's state and all trials.
    """

    path: Path
    limit: Limit | None = None
    first: Mapping[str, Any] | None = None  # values of the first trial; None draws them like any other
    # keras-tuner's, declared for the type checker
    trials: dict[str, Trial]
    ongoing_trials: dict[str, Trial]
    tuner_ids: set[str]
    end_order: list[str]
    max_trials: int
    seed: int
    single: type  # keras-tuner's own oracle of the kind

    def keep_in(self, path: Path, *, timeout_s: float) -> None:
        """Keep the state in `path`; who is silent for `timeout_s` seconds loses its trial to the next that asks."""
        self.path, self.timeout_s = path, timeout_s
        self.heard: dict[str, float] = {}  # seconds of the monotonic clock, by worker
        self.heard_last = time.monotonic()

    def save(self) -> None:
        """Keep the state."""
        trials = {number: trial.get_state() for number, trial in self.trials.items()}
        write_json(self.path, {"oracle": self.get_state(), "trials": trials})  # type: ignore[attr-defined]

    def restore(self, *, workers: bool) -> None:
        """Go on from the state kept, if there is one: half trials are dealt again.

        With `workers`, they stay with those who had them: these may still be at it, or come back by the same name.

        Raises:
            InputError: the file is damaged.
        """
        if not self.path.exists():
            return
        state = read_json(self.path)
        try:
            self._refuse_foreign(state)
            self.trials = {number: Trial.from_state(kept) for number, kept in state["trials"].items()}
            oracle = state["oracle"]
            # keras-tuner saves an ended trial before it takes it off this list
            half = {
                worker: number
                for worker, number in oracle["ongoing_trials"].items()
                if self.trials[number].status == TrialStatus.RUNNING
            }
            oracle["ongoing_trials"] = half if workers else {}
            oracle["retry_queue"] += [] if workers else list(half.values())
            self.set_state(oracle)  # type: ignore[attr-defined]
        except Exception as error:
            reason = reprlib.repr(error)
            raise InputError(
                f"{self.path} is no state of a search ({reason}); delete it: finished trials are found again"
            ) from error
        self.heard = dict.fromkeys(self.ongoing_trials, time.monotonic())

    def _refuse_foreign(self, state: Any) -> None:
        """Refuse a space that is not ours to the letter, as keras-tuner builds objects from what it reads there."""
        fresh = json.loads(json.dumps(self.get_state()))  # type: ignore[attr-defined]
        ours = fresh["hyperparameters"]["space"]
        oracle, trials = state["oracle"], state["trials"]
        if not _is_alike(oracle, fresh):
            raise ValueError("it has other parts")
        for kept in (oracle, *trials.values()):
            if kept["hyperparameters"]["space"] != ours:
                raise ValueError("its space is another")
        named = {*oracle["ongoing_trials"].values(), *oracle["retry_queue"], *oracle["end_order"]}
        if named - trials.keys() or any(kept["trial_id"] != number for number, kept in trials.items()):
            raise ValueError("its trials are not those it names")
        texts = (*oracle["id_to_hash"].values(), *oracle["tried_so_far"], *oracle["start_order"])
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("its lists are not of texts")
        if not all(type(count) is int for count in oracle["run_times"].values()):
            raise ValueError("its counts are not of numbers")
        if oracle["seed"] != self.seed:
            raise ValueError("its seed is another")

    def create_trial(self, tuner_id: str) -> Trial:
        """Deal a trial to a worker: its own if it comes back, else one whose worker is missing, else a new one."""
        self._hear(tuner_id)
        if tuner_id not in self.ongoing_trials and (missing := self.missing_workers()):
            self.ongoing_trials[tuner_id] = self.ongoing_trials.pop(missing[0])
            self.tuner_ids.discard(missing[0])
            self.tuner_ids.add(tuner_id)
            self.save()
        return super().create_trial(tuner_id)  # type: ignore[misc]

    def get_trial(self, trial_id: str) -> Trial:
        """Return a trial; asking for one's own is how a worker says that it lives."""
        self._hear_of(trial_id)
        return super().get_trial(trial_id)  # type: ignore[misc]

    def end_trial(self, trial: Trial) -> None:
        """Take a trial back."""
        self._hear_of(trial.trial_id)
        super().end_trial(trial)  # type: ignore[misc]

    def missing_workers(self) -> list[str]:
        """Workers that hold a trial and have not been heard of for the time allowed."""
        limit = time.monotonic() - self.timeout_s
        return [worker for worker in self.ongoing_trials if self.heard.get(worker, limit) <= limit]

    def is_over(self) -> bool:
        """Whether all trials have ended."""
        return not self.ongoing_trials and len(set(self.end_order)) >= self.max_trials

    def populate_space(self, trial_id: str) -> Mapping[str, Any]:
        """Propose the values of a trial within the limit; none, which ends the search, where hardly any are."""
        if (
            not self.trials
            and self.first is not None
            and (self.limit is None or self.limit.allows(self.first))
        ):
            return {"status": TrialStatus.RUNNING, "values": dict(self.first)}
        once = self.once()
        for _ in range(MOST_DRAWS):
            with warnings.catch_warnings():
                # of few trials the Gaussian process learns no length for each scale; it does not have to
                warnings.simplefilter("ignore", ConvergenceWarning)
                proposal = once.populate_space(trial_id)
            values = proposal["values"]
            if values is None or self.limit is None or self.limit.allows(values):
                return proposal
        return {"status": TrialStatus.STOPPED, "values": None}

    def once(self) -> Any:
        """Return an oracle for one proposal, which depends on the seed and the trials so far alone.

        keras-tuner's own generator begins anew with the process, so that a kill would change what is proposed.
        """
        seed = int(np.random.SeedSequence([self.seed, len(self.trials)]).generate_state(1)[0])
        once = self.single(objective=OBJECTIVE, max_trials=self.max_trials, seed=seed)
        once.trials = self.trials
        once.set_state({**self.get_state(), "seed": seed, "seed_state": seed})  # type: ignore[attr-defined]
        return once

    def _hear_of(self, trial_id: str) -> None:
        for worker, trial in list(self.ongoing_trials.items()):
            if trial.trial_id == trial_id:
                self._hear(worker)

    def _hear(self, worker: str) -> None:
        self.heard[worker] = self.heard_last = time.monotonic()


def _is_alike(kept: Any, fresh: Any) -> bool:
    """Whether a state has the keys and types of a fresh one; what a fresh one has not yet may be anything."""
    if type(kept) is not type(fresh):
        return False
    return not isinstance(fresh, dict) or all(
        name in kept and _is_alike(kept[name], value) for name, value in fresh.items() if name != "values"
    )


class RandomOracle(_Kept, RandomSearchOracle):
    """Random search."""

    single = RandomSearchOracle


class BayesianOracle(_Kept, BayesianOptimizationOracle):
    """Bayesian search, the first trials of which are those of a random search with the same seed."""

    single = BayesianOptimizationOracle
    gpr: Any  # keras-tuner's Gaussian process, declared for the type checker

    def once(self) -> Any:
        """Return an oracle for one proposal."""
        once = super().once()
        # fitted to the trials before, to guess how those will end that other workers are at
        once.gpr = self.gpr if self.limit is None else _Within(self.gpr, self.limit, self.hyperparameters)
        return once


@dataclass
class _Within:
    """A Gaussian process that thinks nothing of what is beyond the limit, so that its best is within it.

    Drawing again would not do: the best beyond the limit would be found again.
    """

    process: Any
    limit: Limit
    space: keras_tuner.HyperParameters

    def fit(self, x: np.ndarray, y: np.ndarray) -> None:
        """Learn from vectors in [0, 1], (trials, dimensions)."""
        self.process.fit(x, y)

    def predict(self, x: np.ndarray, return_std: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation for vectors in [0, 1], (count, dimensions)."""
        mean, deviation = self.process.predict(x, return_std=return_std)
        beyond = [not self.limit.allows(self._values(vector)) for vector in x]
        return np.where(beyond, _HOPELESS, mean), np.where(beyond, 0.0, deviation)

    def _values(self, vector: np.ndarray) -> dict[str, Any]:
        return {
            dimension.name: dimension.prob_to_value(place)
            for dimension, place in zip(self.space.space, vector, strict=True)
        }


def build_oracle(
    space: keras_tuner.HyperParameters,
    *,
    trials: int,
    seed: int,
    random: bool,
    limit: Limit | None = None,
    first: Mapping[str, Any] | None = None,
) -> "RandomOracle | BayesianOracle":
    """Return an oracle for the space, Bayesian unless `random`, that proposes nothing beyond the limit.

    The first trial has the values `first`, where they are given and within the limit.
    """
    common = {"max_trials": trials, "seed": seed, "hyperparameters": space}
    oracle: RandomOracle | BayesianOracle
    if random:
        oracle = RandomOracle(OBJECTIVE, **common)
    else:
        oracle = BayesianOracle(OBJECTIVE, num_initial_points=RANDOM_FIRST, alpha=_NOISE, **common)
    oracle.limit, oracle.first = limit, first
    return oracle
