"""keras-tuner's oracle for our searches: repeatable, resumable from one file, and aware of workers that fall silent."""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial, TrialStatus
from keras_tuner.oracles import BayesianOptimizationOracle
from sklearn.exceptions import ConvergenceWarning

from kcseg.files import read_json, write_json
from kcseg.network.unet import count_parameters
from kcseg.training.search import Search
from kcseg.training.space import hyperparameters, values_of

OBJECTIVE = keras_tuner.Objective("dice", direction="max")
# Our choices. keras-tuner would begin with three random trials per dimension, which is more than a search has; and
# takes scores for exact, where the Dice of small runs varies by a tenth of its spread.
RANDOM_FIRST = 8
_NOISE = 1e-2
MOST_DRAWS = 1000  # of settings, for one that is within the budget
_HOPELESS = 1e3  # keras-tuner minimises the negative Dice, which is never so high


class Oracle(keras_tuner.Oracle):
    """Deals the trials of a search; the first `RANDOM_FIRST` are random, the others learn from those before.

    A proposal depends on the seed and the trials so far alone. All proposals are kept in one file, which replaces
    keras-tuner's own: those are written in place, and a kill can break them. What the file at `path` holds is dealt
    first, in its order. A worker that is silent for `timeout_s` seconds loses its trial to the next that asks.
    """

    def __init__(self, search: Search, path: Path, timeout_s: float):
        space = hyperparameters(search.space)
        # keras-tuner takes a seed of 0 for none
        seed = 1 + (search.config.seed if search.seed is None else search.seed)
        super().__init__(OBJECTIVE, max_trials=search.trials, hyperparameters=space, seed=seed)
        self.verbose = 0
        self.timeout_s = timeout_s
        self.heard_last = time.monotonic()
        self.smallest: float = np.inf  # of the networks considered, in parameters
        self._heard: dict[str, float] = {}  # seconds of the monotonic clock, by worker
        self._search, self._path = search, path
        self._kept: list[dict[str, Any]] = []
        first = values_of(search.config, search.space) if search.known_first else None
        if path.exists():
            self._kept = read_json(path)
        elif first and self._allows(first):
            self._kept = [{"values": first, "worker": ""}]
        # fitted to the trials before a proposal, it also guesses how those will end that others still train
        self._process: Any = BayesianOptimizationOracle(OBJECTIVE, alpha=_NOISE, seed=seed).gpr
        if search.most_parameters is not None:
            self._process = _Within(self._process, self._allows, space)

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
        for number, proposal in enumerate(self._kept[: self.max_trials]):
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
        for worker, trial in list(self.ongoing_trials.items()):
            if trial.trial_id == trial_id:
                self._hear(worker)
        return super().get_trial(trial_id)

    def missing_workers(self) -> list[str]:
        """Workers that hold a trial and have been silent for too long."""
        now = time.monotonic()
        return [worker for worker in self.ongoing_trials if now - self._heard[worker] >= self.timeout_s]

    def is_over(self) -> bool:
        """Whether all trials have ended."""
        return not self.ongoing_trials and len(set(self.end_order)) >= self.max_trials

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Propose the values of a trial within the budget; none, which ends the search, where hardly any are."""
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
        random_first = self.max_trials if self._search.random else RANDOM_FIRST
        proposer = BayesianOptimizationOracle(
            OBJECTIVE, num_initial_points=random_first, alpha=_NOISE, seed=seed
        )
        proposer.trials = self.trials
        proposer.set_state({**proposer.get_state(), **self.get_state(), "seed": seed, "seed_state": seed})
        proposer.gpr = self._process
        return proposer

    def _allows(self, values: Mapping[str, Any]) -> bool:
        """Whether the network of these values has no more parameters than the budget allows."""
        most = self._search.most_parameters
        if most is None:
            return True
        parts = [(name.split("."), value) for name, value in values.items()]
        changes = {key: value for (section, key), value in parts if section == "network"}
        parameters = count_parameters(replace(self._search.config.network, **changes))
        self.smallest = min(parameters, self.smallest)
        return parameters <= most

    def _hear(self, worker: str) -> None:
        self._heard[worker] = self.heard_last = time.monotonic()


@dataclass
class _Within:
    """A Gaussian process that expects nothing of what is beyond the budget, so that its best is within it.

    Drawing again would not do: the best beyond the budget would be found again.
    """

    process: Any
    allows: Callable[[Mapping[str, Any]], bool]
    space: keras_tuner.HyperParameters

    def fit(self, x: np.ndarray, y: np.ndarray) -> None:
        """Learn from vectors in [0, 1], (trials, dimensions)."""
        self.process.fit(x, y)

    def predict(self, x: np.ndarray, return_std: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation for vectors in [0, 1], (count, dimensions)."""
        mean, deviation = self.process.predict(x, return_std=return_std)
        beyond = [not self.allows(self._values(vector)) for vector in x]
        return np.where(beyond, _HOPELESS, mean), np.where(beyond, 0.0, deviation)

    def _values(self, vector: np.ndarray) -> dict[str, Any]:
        return {
            dimension.name: dimension.prob_to_value(place)
            for dimension, place in zip(self.space.space, vector, strict=True)
        }
