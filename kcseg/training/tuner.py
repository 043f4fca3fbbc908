"""keras-tuner's tuner for our searches: it trains the trials it is dealt, in folders of their own."""

import tempfile
import time
from pathlib import Path

import keras_tuner
from keras_tuner.engine.trial import Trial as Dealt
from keras_tuner.errors import FatalError, FatalRuntimeError

from kcseg.dataset.batch import Batch
from kcseg.progress import Tell
from kcseg.training.fit import best_so_far
from kcseg.training.oracle import OBJECTIVE, Oracle
from kcseg.training.search import Search
from kcseg.training.trial import Trial, read_results, run_trial

_HEARTBEAT_S = 5.0


class Tuner(keras_tuner.Tuner):
    """Trains trials, for itself or for a chief; as the chief it only deals them.

    Trials that fail or cost too much are handed back as finished with a Dice of 0: the oracle learns to keep away,
    where it would propose failed ones again; and failures in a row do not end a worker and leave the chief waiting.
    """

    def __init__(self, trials: Path, batch: Batch, search: Search, oracle: Oracle, tell: Tell):
        # for keras-tuner's own files, which nobody reads
        self._scratch = tempfile.TemporaryDirectory(prefix="kcseg-")
        super().__init__(oracle, directory=self._scratch.name)
        self._trials, self._batch, self._search, self._tell = trials, batch, search, tell
        self._last_sign = 0.0

    def search(self) -> None:
        """Train, or deal, until all trials have ended; what ended one by no fault of its settings is raised."""
        try:
            super().search()
        except FatalError as error:
            raise error.__cause__ or error from None

    def run_trial(self, trial: Dealt) -> dict[str, float]:
        """Train a trial's settings and return their Dice."""
        number, values = int(trial.trial_id), dict(trial.hyperparameters.values)

        def tell(stage: str, done: int, total: int, note: str = "") -> None:
            if time.monotonic() - self._last_sign > _HEARTBEAT_S:
                # tells the chief, where there is one, that this worker lives
                self.oracle.get_trial(trial.trial_id)
                self._last_sign = time.monotonic()
            self._tell(stage, done, total, note)

        ours = Trial(self._trials / f"trial-{number}", number, values, self._search, self._batch)
        try:
            return {OBJECTIVE.name: run_trial(ours, tell).dice or 0.0}
        except Exception as error:
            # else keras-tuner would blame the settings for a full disk, or for a fault of kcseg
            raise FatalRuntimeError(str(error)) from error

    def on_trial_end(self, trial: Dealt) -> None:
        """Hand the trial back."""
        super().on_trial_end(trial)
        self.report()

    def report(self) -> None:
        """Tell how many trials have ended."""
        results = read_results(self._trials)
        best = max((result.dice or 0.0 for result in results), default=0.0)
        self._tell("trials", len(results), self._search.trials, best_so_far(best))
