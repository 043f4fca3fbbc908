"""keras-tuner's oracle for our searches: repeatable, resumable from one file, and aware of workers that fall silent."""

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

from kcseg.files import read_json, write_json

OBJECTIVE = keras_tuner.Objective("dice", direction="max")
# Our choices. keras-tuner would begin with three random trials per dimension, which is more than a search has; and
# takes scores for exact, where the Dice of small runs varies by a tenth of its spread.
RANDOM_FIRST = 8
_NOISE = 1e-2
MOST_DRAWS = 1000  # of settings, for one that is within the limit
_HOPELESS = 1e3  # keras-tuner minimises the negative Dice, which is never so high


@dataclass
class Limit:
    """How many parameters a network may have: `count` of a trial's values is at most `most`."""

    count: Callable[[Mapping[str, Any]], int]
    most: int
    smallest: float = np.inf  # count met so far

    def allows(self, values: Mapping[str, Any]) -> bool:
        """Whether the network is within the limit."""
        count = self.count(values)
        self.smallest = min(count, self.smallest)
        return count <= self.most


class Oracle(keras_tuner.Oracle):
    """Deals the trials of a search; the first `RANDOM_FIRST` are random, the others learn from those before.

    A proposal depends on the seed and the trials so far alone. All proposals are kept in one file, which replaces
    keras-tuner's own: those are written in place, and a kill can break them.

    Args:
        space: names and bounds of the values.
        path: the file; if there is one, its proposals are dealt first, in their order.
        trials: how many are dealt.
        seed: of the proposals.
        random: never learn.
        limit: on the networks that are proposed.
        first: values of the first trial, unless they are beyond the limit; None draws them like any other.
        timeout_s: a worker that is silent for so long loses its trial to the next that asks.
    """

    def __init__(
        self,
        space: keras_tuner.HyperParameters,
        path: Path,
        *,
        trials: int,
        seed: int,
        random: bool,
        limit: Limit | None = None,
        first: Mapping[str, Any] | None = None,
        timeout_s: float = np.inf,
    ):
        # keras-tuner takes a seed of 0 for none
        super().__init__(OBJECTIVE, max_trials=trials, hyperparameters=space, seed=seed + 1)
        self.verbose = 0
        self.timeout_s = timeout_s
        self.heard_last = time.monotonic()
        self._heard: dict[str, float] = {}  # seconds of the monotonic clock, by worker
        self.limit = limit
        self._path, self._random = path, random
        self._kept: list[dict[str, Any]] = []
        if path.exists():
            self._kept = read_json(path)
        elif first and self._allows(first):
            self._kept = [{"values": dict(first), "worker": ""}]
        # fitted to the trials before a proposal, it also guesses how those will end that others still train
        self._process: Any = BayesianOptimizationOracle(OBJECTIVE, alpha=_NOISE, seed=self.seed).gpr
        if limit:
            self._process = _Within(self._process, limit, space)

    def save(self) -> None:
        """Keep all proposals, and who trains those that have not ended."""
        workers = {trial.trial_id: worker for worker, trial in self.ongoing_trials.items()}
        if len(self.trials) >= len(self._kept):  # else some of those kept have yet to be dealt again
            proposals = [
                {"values": trial.hyperparameters.values, "worker": workers.get(name, "")}
                for name, trial in self.trials.items()
            ]
            write_json(self._path, proposals)

    def restore(self, scores: Mapping[int, float]) -> None:
        """Deal the trials that were kept to the same workers, who may still train them, and end those with a score."""
        for number, proposal in enumerate(self._kept):
            if number not in scores and not proposal["worker"]:
                break  # this one, and those after it, are for the next that asks
            trial = self.create_trial(proposal["worker"])
            if number in scores:
                self.update_trial(trial.trial_id, {OBJECTIVE.name: scores[number]})
                trial.status = TrialStatus.COMPLETED
                self.end_trial(trial)
        self.tuner_ids.clear()

    def create_trial(self, tuner_id: str) -> Trial:
        """Deal a trial to a worker: its own if it comes back, else one whose worker is missing, else a new one."""
        self._hear(tuner_id)
        if tuner_id not in self.ongoing_trials and (missing := self.missing_workers()):
            self.ongoing_trials[tuner_id] = self.ongoing_trials.pop(missing[0])
            self.tuner_ids.discard(missing[0])
            self.tuner_ids.add(tuner_id)
            self.save()
        return super().create_trial(tuner_id)

    def get_trial(self, trial_id: str) -> Trial:
        """Return a trial; a worker asks for its own to say that it lives."""
        self._hear_of(trial_id)
        return super().get_trial(trial_id)

    def end_trial(self, trial: Trial) -> None:
        """Take a trial back."""
        self._hear_of(trial.trial_id)
        super().end_trial(trial)

    def missing_workers(self) -> list[str]:
        """Workers that hold a trial and have been silent for too long."""
        now = time.monotonic()
        return [worker for worker in self.ongoing_trials if now - self._heard[worker] >= self.timeout_s]

    def is_over(self) -> bool:
        """Whether all trials have ended."""
        return not self.ongoing_trials and len(set(self.end_order)) >= self.max_trials

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Propose the values of a trial within the limit; none, which ends the search, where hardly any are."""
        number = len(self.trials)
        values = self._kept[number]["values"] if number < len(self._kept) else self._draw(trial_id)
        return {"status": TrialStatus.RUNNING if values else TrialStatus.STOPPED, "values": values}

    def _draw(self, trial_id: str) -> Mapping[str, Any] | None:
        proposer = self._proposer()
        with warnings.catch_warnings():
            # few trials do not determine a length for each scale, and do not have to
            warnings.simplefilter("ignore", ConvergenceWarning)
            for _ in range(MOST_DRAWS):
                values = proposer.populate_space(trial_id)["values"]
                if values is None or self._allows(values):
                    return values
        return None

    def _proposer(self) -> keras_tuner.Oracle:
        """Return an oracle for one proposal.

        keras-tuner's own generators begin anew with the process, so that a kill would change what is proposed.
        """
        seed = int(np.random.SeedSequence([self.seed, len(self.trials)]).generate_state(1)[0])
        proposer = (
            RandomSearchOracle(OBJECTIVE, seed=seed)
            if self._random
            else BayesianOptimizationOracle(
                OBJECTIVE, num_initial_points=RANDOM_FIRST, alpha=_NOISE, seed=seed
            )
        )
        proposer.trials = self.trials
        proposer.set_state({**proposer.get_state(), **self.get_state(), "seed": seed, "seed_state": seed})
        proposer.gpr = self._process
        return proposer

    def _allows(self, values: Mapping[str, Any]) -> bool:
        return self.limit is None or self.limit.allows(values)

    def _hear_of(self, trial_id: str) -> None:
        for worker, trial in list(self.ongoing_trials.items()):
            if trial.trial_id == trial_id:
                self._hear(worker)

    def _hear(self, worker: str) -> None:
        self._heard[worker] = self.heard_last = time.monotonic()


@dataclass
class _Within:
    """A Gaussian process that expects nothing of what is beyond the limit, so that its best is within it.

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
