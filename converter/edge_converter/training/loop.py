"""The training loop of every step: Adam, a rate with warm-up and decay, early stopping, and after
each epoch a checkpoint from which a killed build goes on.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from edge_converter.tf.setup import load_tensorflow
from edge_converter.training.batches import Feed
from edge_converter.training.checkpoints import Arrays, Checkpoints, State
from edge_converter.training.losses import Hard, Loss
from edge_converter.training.pace import Pace, Tally
from edge_sdk.errors import TrainingError
from edge_sdk.events import Event, Listener, ignore

Curves = dict[str, list[float]]


@dataclass(frozen=True)
class Plan:
    """The plan of one phase of training. name: in messages, and of its checkpoint.

    first_epoch: epochs trained before this phase, so that each has an order of its own. rate_key:
    what the rate is called in a recipe.
    patience: epochs without a lower val_loss after which it stops, and the best weights are kept;
    0: never, and the last are.
    """

    name: str
    epochs: int
    learning_rate: float
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_epochs: int = 0
    patience: int = 0
    first_epoch: int = 0
    rate_key: str = "train.learning_rate"


@dataclass(frozen=True)
class Task:
    """A network and the losses that it is trained by.

    model: its first output is the scores. loss: minimised on the training samples; val_loss: by
    which the best epoch is chosen. kept: the network that stays when all is done, `model` or a
    part of it. after_step: called after each step with the number of steps of the phase so far; it
    may change the weights, and must need nothing but them and that number, so that a phase that
    goes on from a checkpoint is the same. joined: the gradients of `model.trainable_variables` as
    the optimizer is to see them, as TensorFlow operations.
    """

    model: Any
    loss: Loss
    val_loss: Hard
    kept: Any
    after_step: Callable[[int], None] = lambda _: None
    joined: Callable[[list[Any]], list[Any]] = lambda gradients: gradients


def prepare(seed: int) -> str:
    """Load TensorFlow so that the same seed gives the same weights. Returns the GPU's name, ""
    where there is none; its memory is taken as it is needed, not all at once.
    """
    load_tensorflow()
    import keras
    import tensorflow as tf

    names = []
    for device in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # in use already: then it is as its user wants it
            tf.config.experimental.set_memory_growth(device, True)
        details = tf.config.experimental.get_device_details(device)
        names.append(str(details.get("device_name", device.name)))
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    return ", ".join(names)


def rate(plan: Plan, step: int, steps: int) -> float:
    """The learning rate of step `step` (from 0 on; `steps` an epoch).

    Warm-up: in equal parts up to the full rate (Goyal and others, arXiv:1706.02677). Cosine: from
    there half a cosine wave down to 0 (Loshchilov and Hutter, arXiv:1608.03983, without restarts).
    """
    warm, whole = plan.warmup_epochs * steps, plan.epochs * steps
    if step < warm:
        return plan.learning_rate * (step + 1) / warm
    if plan.schedule == "constant":
        return plan.learning_rate
    return plan.learning_rate * (1 + math.cos(math.pi * (step - warm) / (whole - warm))) / 2


def fit(
    task: Task,
    train: Feed,
    val: Feed,
    plan: Plan,
    checkpoints: Checkpoints,
    listen: Listener = ignore,
) -> Curves:
    """Train `task.model` in place. Returns its curves: {"loss", "accuracy", "val_loss",
    "val_accuracy"}, one value an epoch.

    listen: takes progress, and after the checkpoint of each epoch an event with these values as its
    metrics, and the epochs of this phase that are done. What it raises ends the training.

    Goes on from a checkpoint of the same key. Layers that are not trainable stay as they are, batch
    norm among them in inference mode. Raises TrainingError when the loss or a weight is no longer a
    number, the model of the last good epoch saved beside the checkpoints; FileError, ImageError.
    """
    return _Fit(task, train, val, plan, checkpoints, listen).run()


class _Fit:
    """One call of `fit`."""

    def __init__(
        self,
        task: Task,
        train: Feed,
        val: Feed,
        plan: Plan,
        checkpoints: Checkpoints,
        listen: Listener,
    ) -> None:
        import keras

        self.task, self.train, self.val, self.plan = task, train, val, plan
        self.checkpoints, self.listen = checkpoints, listen
        self.variables = task.model.variables
        self.optimizer = keras.optimizers.Adam(plan.learning_rate)
        self.optimizer.build(task.model.trainable_variables)
        self.step = training_step(task, self.optimizer, train)
        self.check = _checking(task, val)
        self.state = State(variables=_values(self.variables))
        self.pace = Pace(plan.epochs * train.steps, train.samples / train.steps)

    def run(self) -> Curves:
        """All epochs that are left."""
        plan, found = self.plan, self.checkpoints.load(self.plan.name)
        if found is not None:
            self._restore(found)
        while self.state.epochs < plan.epochs and not self._stops():
            loss, accuracy = self._train()
            val_loss, val_accuracy = self._validate()
            self._keep(
                {
                    "loss": loss,
                    "accuracy": accuracy,
                    "val_loss": val_loss,
                    "val_accuracy": val_accuracy,
                }
            )
        if self.state.best:
            _assign(self.variables, self.state.best)
        return self.state.curves

    def _stops(self) -> bool:
        return 0 < self.plan.patience <= self.state.waited

    def _restore(self, state: State) -> None:
        self.state = state
        _assign(self.variables, state.variables)
        _assign(self.optimizer.variables, state.optimizer)

    def _train(self) -> tuple[float, float]:
        """One epoch: its mean loss and accuracy."""
        tally, before = Tally(), self.state.epochs * self.train.steps
        batches = self.train.epoch(self.plan.first_epoch + self.state.epochs)
        for number, batch in enumerate(batches, start=1):
            now = rate(self.plan, before + number - 1, self.train.steps)
            self.optimizer.learning_rate.assign(now)
            tally.add(self.step(*batch))
            self.task.after_step(before + number)
            if self.pace.due() or number == self.train.steps:
                self._look(tally, number, before + number)
        return tally.means

    def _look(self, tally: Tally, number: int, done: int) -> None:
        """Fetch the losses up to step `number` of the epoch, and report them."""
        tally.fetch()
        steps = self.train.steps
        if bad := tally.first_bad:
            raise self._diverged(f"at step {bad} of {steps} the loss is not a number")
        loss, accuracy = tally.means
        message = (
            f"epoch {self.state.epochs + 1} of {self.plan.epochs}, batch {number} of {steps}, "
            f"loss {loss:.4f}, accuracy {accuracy:.4f}{self.pace.describe(done)}"
        )
        metrics = {"loss": loss, "accuracy": accuracy}
        self.listen(Event("progress", self.plan.name, message, metrics=metrics))

    def _validate(self) -> tuple[float, float]:
        tally = Tally()
        for batch in self.val.epoch():
            tally.add(self.check(*batch))
        tally.fetch()
        if tally.first_bad:
            raise self._diverged("the validation loss is not a number")
        return tally.means

    def _keep(self, epoch: dict[str, float]) -> None:
        """Note an epoch, and leave a checkpoint."""
        state, values = self.state, _values(self.variables)
        if not all(np.isfinite(value).all() for value in values):
            raise self._diverged("weights are not numbers")
        state.epochs, state.waited = state.epochs + 1, state.waited + 1
        state.variables, state.optimizer = values, _values(self.optimizer.variables)
        for name, value in epoch.items():
            state.curves.setdefault(name, []).append(value)
        if self.plan.patience and epoch["val_loss"] < state.best_loss:
            state.best, state.best_loss, state.waited = values, epoch["val_loss"], 0
        self.checkpoints.save(self.plan.name, state)
        done, total = state.epochs, self.plan.epochs
        message = f"val_loss {epoch['val_loss']:.4f}, val_accuracy {epoch['val_accuracy']:.4f}"
        self.listen(Event("epoch", self.plan.name, message, done, total, "epochs", epoch))

    def _diverged(self, what: str) -> TrainingError:
        """The error, with the last good epoch's model saved."""
        kept, trained = "", self.plan.first_epoch + self.state.epochs
        if trained:
            _assign(self.variables, self.state.variables)
            path = self.checkpoints.folder / "last-good.keras"
            self.checkpoints.folder.mkdir(parents=True, exist_ok=True)
            self.task.kept.save(path)
            kept = f"; the model of the last good epoch is kept: {path}"
        # Features have no [input].
        fed = "" if len(self.train.shape) == 2 else ", or check input.mean and input.std"
        return TrainingError(
            f"{self.plan.name}: it diverged in epoch {self.state.epochs + 1}: {what}{kept}",
            fix=f"lower {self.plan.rate_key}{fed}",
        )


def training_step(task: Task, optimizer: Any, feed: Feed) -> Any:
    """One step of training as a TensorFlow function of a batch: [sum of losses, right, samples]."""
    import tensorflow as tf

    weights = task.model.trainable_variables

    def step(fed: Any, one_hot: Any) -> Any:
        with tf.GradientTape() as tape:
            outputs = tf.nest.flatten(task.model(fed, training=True))
            losses = task.loss(fed, one_hot, outputs)
            whole = tf.reduce_mean(losses) + sum(task.model.losses)
        optimizer.apply(task.joined(tape.gradient(whole, weights)), weights)
        return _counted(losses, one_hot, outputs[0])

    # AutoGraph does not convert layers of Keras 3, but looks at every call: a third of the time to
    # the first step of MobileNet v2.
    return tf.function(step, input_signature=_signature(feed), autograph=False)


def _checking(task: Task, feed: Feed) -> Any:
    """The same without training."""
    import tensorflow as tf

    def check(fed: Any, one_hot: Any) -> Any:
        scores = tf.nest.flatten(task.model(fed, training=False))[0]
        return _counted(task.val_loss(one_hot, scores), one_hot, scores)

    return tf.function(check, input_signature=_signature(feed), autograph=False)


def _signature(feed: Feed) -> list[Any]:
    """Any number of samples: a smaller last batch is no new function."""
    import tensorflow as tf

    return [tf.TensorSpec((None, *feed.shape)), tf.TensorSpec((None, *feed.target_shape))]


def _counted(losses: Any, one_hot: Any, scores: Any) -> Any:
    import tensorflow as tf

    right = tf.equal(tf.argmax(one_hot, -1), tf.argmax(scores, -1))
    return tf.stack(
        [
            tf.reduce_sum(part)
            for part in (losses, tf.cast(right, losses.dtype), tf.ones_like(losses))
        ]
    )


def _values(variables: Sequence[Any]) -> Arrays:
    return [variable.numpy().copy() for variable in variables]


def _assign(variables: Sequence[Any], values: Arrays) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
