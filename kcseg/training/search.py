"""What a search tries, and how it judges a trial."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kcseg.config import Config
from kcseg.config_json import to_json
from kcseg.dataset.batch import Batch
from kcseg.errors import InputError
from kcseg.training.space import SPACE, Between, OneOf, configure


@dataclass(frozen=True)
class Search:
    """What is searched. A trial is judged by the mean of the best validation Dice over its folds."""

    config: Config  # the settings the search starts from; what the space does not name stays as it is
    trials: int = 30  # how many settings are tried
    folds: int = 2  # how many of the `config.ensemble.folds` folds a trial is trained on
    epochs: int = 5  # of a trial at most
    most_parameters: int | None = None  # what a network may cost; None is no limit
    most_ms_per_image: float | None = None  # to segment one image on this machine
    random: bool = False  # draw the trials instead of learning from those before
    seed: int | None = None  # of the proposals; None takes the configuration's, that of folds and weights
    space: Mapping[str, OneOf | Between] = field(default_factory=lambda: SPACE)
    # begin with the settings of `config`, where they lie in the space: the result is no worse, and the search learns
    known_first: bool = True

    def __post_init__(self) -> None:
        """Refuse a search that has nothing to do, or more folds than there are."""
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
        # no patience: trials that stop after different numbers of epochs cannot be compared
        training = replace(config.training, maximum_epochs=self.epochs, patience_epochs=self.epochs)
        return replace(config, training=training)

    def facts(self, batch: Batch) -> dict[str, Any]:
        """Return what must not change between calls: all but the number of trials."""
        return {
            "config": to_json(self.config),
            **{name: getattr(self, name) for name in ("folds", "epochs", "random", "seed", "known_first")},
            "budget": {"parameters": self.most_parameters, "ms_per_image": self.most_ms_per_image},
            "space": {name: repr(dimension) for name, dimension in self.space.items()},
            "data": {"images": len(batch), "sha256": batch.fingerprint()},
        }
