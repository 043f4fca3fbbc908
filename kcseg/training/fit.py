"""Training one network: resumable after every epoch, ending with the same bytes however often it was killed."""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kcseg.config import Config, TrainingConfig
from kcseg.dataset.pipeline import Steps
from kcseg.errors import InputError, reason_of
from kcseg.files import read_csv, write_csv
from kcseg.network.losses import LOSSES, binary_crossentropy, dice, where_known
from kcseg.network.unet import build_unet
from kcseg.progress import Tell, silent
from kcseg.training.checkpoint import TrainingState, load_state, save_state


def fit_network(
    folder: Path,
    steps: Steps,
    validation: tf.data.Dataset | None,
    config: Config,
    *,
    seed: int,
    start: Mapping[str, np.ndarray] | None = None,
    tell: Tell = silent,
    stage: str = "training",
) -> tuple[keras.Model, TrainingState]:
    """Train a network, or go on where an earlier call was cut off, and return it with its best weights.

    Writes `state.npz`, `history.csv` and a TensorBoard log to `folder`. The watched score is the Dice of
    `validation`, or of the training batches where there is none. Source: Adam, rate and batch size are the paper's;
    see `TrainingConfig` for our choices.

    `validation` holds images and references, float32 (batch, height, width, 1). `seed` is that of the random weights
    and of all that is drawn; `start`, pre-trained weights by variable path (`load_pretrained`), replaces those weights.

    Raises:
        InputError: the loss stopped being a number, or the resume state is damaged.
    """
    tf.config.experimental.enable_op_determinism()  # kernels that may sum in any order would change the bytes
    epochs = config.training.maximum_epochs
    # without optimiser and metrics, which would be saved with it
    trained = build_unet(config.network, seed=seed)
    network = _begun_as(trained, config, steps.per_epoch)
    for variable in network.variables:
        if start and variable.path in start:
            variable.assign(start[variable.path])
    watched = "dice" if validation is None else "val_dice"
    keeper = Keeper(folder, config.training, watched, partial(tell, stage))
    keeper.set_model(network)
    state = keeper.restore()
    if not keeper.converged():
        network.fit(
            steps.dataset(state.epoch * steps.per_epoch, epochs * steps.per_epoch),
            steps_per_epoch=steps.per_epoch,
            initial_epoch=state.epoch,
            epochs=epochs,
            validation_data=validation,
            callbacks=[keeper, keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False)],
            shuffle=False,
            verbose=0,
        )
    write_csv(folder / "history.csv", state.history)  # a kill between state and history leaves it a row short
    trained.set_weights(state.best_weights)
    return trained, state


def best_so_far(dice: float) -> str:
    """Return the note that goes with the progress of a training; empty before the first epoch has ended."""
    return f"best Dice {dice:.3f}" if dice > 0 else ""


def read_history(folder: Path | str) -> list[dict[str, float]]:
    """Return the rows of logs, one per finished epoch, that `fit_network` wrote to `history.csv`.

    Raises:
        InputError: the file is missing, or holds anything but numbers.
    """
    path = Path(folder) / "history.csv"
    rows = read_csv(path)
    try:
        return [{name: float(value) for name, value in row.items()} for row in rows]
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path} is no table of numbers ({reason_of(error)}); restore it, or train anew"
        ) from error


def compiled_network(config: Config, steps_per_epoch: int, seed: int) -> keras.Model:
    """Build a network with the optimiser (paper: Adam), loss and Dice metric that train it."""
    rate: float | keras.optimizers.schedules.LearningRateSchedule = config.training.learning_rate
    if config.training.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, config.training.maximum_epochs * steps_per_epoch)
    network = build_unet(config.network, seed=seed)
    # compiling with XLA is slower than oneDNN's kernels on CPUs
    network.compile(
        keras.optimizers.Adam(rate),
        where_known(LOSSES[config.training.loss]),
        # cross-entropy whatever the loss: the paper's training curve
        metrics=[where_known(dice), where_known(binary_crossentropy)],
        jit_compile=False,
    )
    network.optimizer.build(network.trainable_variables)
    # the variables of the metrics, too: Keras would make them in the first step, and trace it a second time
    pixel = keras.ops.zeros((1, 1, 1, len(config.network.structures)))
    network.compute_metrics(pixel, pixel, pixel, None)
    network.reset_metrics()
    return network


def _begun_as(untrained: keras.Model, config: Config, steps_per_epoch: int) -> keras.Model:
    """Return the network to train, with the values of `untrained`; for all members of one shape it is the same."""
    network, optimizer = _traced_once(config, steps_per_epoch)
    values = [*untrained.variables, *optimizer]
    for variable, value in zip([*network.variables, *network.optimizer.variables], values, strict=True):
        variable.assign(value)
    return network


@lru_cache(maxsize=2)  # fold members and full members take another number of steps
def _traced_once(config: Config, steps_per_epoch: int) -> tuple[keras.Model, list[np.ndarray]]:
    """Return a network, whose first step takes seconds to trace, and how its optimiser begins."""
    network = compiled_network(config, steps_per_epoch, seed=0)
    return network, [keras.ops.convert_to_numpy(variable) for variable in network.optimizer.variables]


class Keeper(keras.callbacks.Callback):
    """Keeps the state after every epoch and ends the training when it has converged.

    Keras' own callbacks for this overwrite their files in place, so that a kill at the wrong moment loses everything.
    """

    def __init__(self, folder: Path, config: TrainingConfig, watched: str, tell: Callable[..., None]):
        super().__init__()
        self._folder, self._config, self._watched, self._tell = folder, config, watched, tell
        self._state = TrainingState()

    def restore(self) -> TrainingState:
        """Bring network and optimiser to the state last kept, if there is one."""
        path = self._folder / "state.npz"
        if path.exists():
            self._state = load_state(path)
            for variable, value in zip(self._variables(), self._state.variables, strict=True):
                variable.assign(value)
        return self._state

    def converged(self) -> bool:
        """Whether the watched score has not risen for long enough, or all epochs are done."""
        state = self._state
        patience_over = state.epoch - 1 - state.best_epoch >= self._config.patience_epochs
        return patience_over or state.epoch >= self._config.maximum_epochs

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Tell of the step."""
        steps = self.params["steps"]
        done = self._state.epoch * steps + batch + 1
        self._tell(done, self._config.maximum_epochs * steps, best_so_far(self._state.best_score))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Add the epoch to the state and keep it."""
        row = {name: float(value) for name, value in (logs or {}).items()}
        if not all(math.isfinite(value) for value in row.values()):
            raise InputError(
                f"the loss of {self._folder.name} stopped being a number in epoch {epoch + 1}; "
                f"lower 'training.learning_rate' ({self._config.learning_rate})"
            )
        state = self._state
        state.history.append({"epoch": epoch + 1, "step": (epoch + 1) * self.params["steps"], **row})
        if row[self._watched] > state.best_score:
            state.best_score, state.best_epoch = row[self._watched], epoch
            state.best_weights = self.model.get_weights()
        state.variables = [keras.ops.convert_to_numpy(variable) for variable in self._variables()]
        save_state(self._folder / "state.npz", state)
        write_csv(self._folder / "history.csv", state.history)
        self.model.stop_training = self.converged()

    def _variables(self) -> list[keras.Variable]:
        return [*self.model.variables, *self.model.optimizer.variables]
