"""The loop. Read `fit` downwards: fit > epoch > train and validate > batch > backward and step.

Everything else (schedules, mixed precision, recording, checkpoints, early stopping) is a callback that hears these
phases begin and end, and may rewrite anything that lies on the learner.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from fastcli.callbacks.record import Recorder
from fastcli.callbacks.timing import Timer
from fastcli.data.seeding import own_random_state, seed_device, step_seeds
from fastcli.errors import ConfigError
from fastcli.events import Callback, Cancel, handlers
from fastcli.learner.phases import phase, wider
from fastcli.learner.state import Position, Resumable, ended
from fastcli.metrics import Metric
from fastcli.models.create import layer_groups
from fastcli.models.freezing import Norms, freeze_groups, set_modes
from fastcli.models.hooks import evaluating
from fastcli.optim.algorithms import adam
from fastcli.optim.groups import parameter_groups
from fastcli.types import TargetInfo

Found = TypeVar("Found", bound=Callback)
OF_A_PASS = ("valid_loader", "training", "batch_index", "batch", "inputs", "targets", "prediction", "loss")
"""What a pass over a loader writes on the learner besides `scores`."""
STEP, VALIDATION, FIT, EPOCH = 2, 6, 7, 8
"""The uses of the seed, so that what is drawn does not depend on what was drawn before."""


class Learner(Resumable):
    """Trains `model` on `loaders`: an object with `train` and `valid`, or a pair of lists of (inputs…, targets).

    `loss_fn(prediction, targets)` returns a scalar; `optimizer` makes an optimizer from parameter groups. The loop
    draws its random numbers from `seed` and leaves torch's global generators as they were. What callbacks write goes
    into `directory`, the working directory unless it is set.
    """

    def __init__(
        self,
        loaders: Any,
        model: nn.Module,
        loss_fn: Callable[..., Tensor],
        optimizer: Callable[[Any], torch.optim.Optimizer] = adam,
        *,
        metrics: Sequence[Metric] = (),
        callbacks: Sequence[Callback] = (),
        device: torch.device | str | None = None,
        seed: int = 0,
        n_inputs: int = 1,
    ) -> None:
        self.train_loader, self.valid_loader = _pair(loaders)
        self.loaders, self.n_inputs = loaders, getattr(loaders, "n_inputs", n_inputs)
        self.device = torch.device(device if device is not None else getattr(self.train_loader, "device", "cpu"))
        self.model = model.to(self.device)
        self.loss_fn = loss_fn.to(self.device) if isinstance(loss_fn, nn.Module) else loss_fn
        self.optimizer_fn, self.metrics, self.seed = optimizer, list(metrics), seed
        self.callbacks: list[Callback] = [Recorder(), Timer(), *callbacks]
        self.layer_groups: list[list[nn.Parameter]] = [list(group) for group in layer_groups(model)]
        self.optimizer: Any = None  # a torch.optim.Optimizer from the beginning of a fit on
        self.forward_context: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
        self.history: list[dict[str, Any]] = []
        self.scores: dict[str, float] = {}
        self.global_epoch = self.global_step = self.epoch = self.epochs = self.step = self.iteration = 0
        self.batch_index = 0
        self.training = self.epoch_done = False
        self.directory = Path()
        self.chosen, self.notes = {}, []
        self.position, self.resumed, self.done = Position(), None, []
        self._handlers: dict[str, list[Callable[[Learner], None]]] = handlers([])

    def __repr__(self) -> str:
        return f"Learner({type(self.model).__name__}, {len(self.layer_groups)} layer groups, {self.device})"

    # What a fit is made of, outermost first.

    def fit(self, epochs: int, *, callbacks: Sequence[Callback] = ()) -> list[dict[str, Any]]:
        """Train for `epochs` with these callbacks besides the learner's own; returns `history`, one dict per epoch."""
        if self.resumed is not None and self.resumed.passes(self, epochs):
            return self.history
        self.epochs, self.step, self.iteration, self.epoch, self.epoch_done = epochs, 0, 0, 0, False
        self.steps_per_epoch = len(self.train_loader)
        self.total_iterations = epochs * self.steps_per_epoch
        if self.optimizer is None:
            self.create_optimizer()
        with self._heard_by([*self.callbacks, *callbacks]), own_random_state(self.device), self._cleaned_up():
            self._seed(FIT, len(self.done))
            if self.resumed is not None:
                self.resumed.begin(self)
            try:
                self._fit()
            except Cancel as stray:
                raise RuntimeError(f"{type(stray).__name__} was raised where its phase was not running") from stray
        self.done.append(ended(self))
        return self.history

    @phase("fit")
    def _fit(self) -> None:
        first = self.resumed.first_epoch(self) if self.resumed is not None else 0
        self._resumed_in("epoch", "over")
        try:
            for self.epoch in range(first, self.epochs):
                self.epoch_done, self.iteration = False, self.epoch * self.steps_per_epoch
                self._seed(EPOCH)
                self._epoch()
                self._rest("epoch", self.epoch + 1)
        finally:
            self.position = Position(len(self.done), "over", self.epoch + self.epoch_done)

    @phase("epoch")
    def _epoch(self) -> None:
        if not self._resumed_in("validate"):
            self._set_modes(training=True)
            self._train()
            self._rest("validate", self.epoch)
        if self.valid_loader is not None:
            self._set_modes(training=False)
            self._validate()
        self.epoch_done = True
        self.global_epoch += 1

    @phase("train")
    def _train(self) -> None:
        first = self.position.batch if self._resumed_in("train") else 0
        seeds = step_seeds(self.seed, self.global_epoch, STEP, first)
        pairs = zip(self._batches(self.train_loader, first), seeds, strict=False)
        for self.batch_index, (batch, seed) in enumerate(pairs, first):
            seed_device(self.device, seed)
            self._take(batch)
            self._batch()
            self.iteration += 1
            self._rest("train", self.epoch, self.batch_index + 1)

    @phase("validate")
    def _validate(self) -> None:
        self._seed(VALIDATION)
        with torch.no_grad():
            for self.batch_index, batch in enumerate(self._batches(self.valid_loader)):
                self._take(batch)
                self._batch()

    @phase("batch")
    def _batch(self) -> None:
        with self.forward_context:
            self.prediction = self.model(*self.inputs)
            self.emit("after_predict")
            self.loss = self.loss_fn(self.prediction, self.targets)
            self.emit("after_loss")
        if self.training:
            self.backward_loss = self.loss
            self._backward()
            self.take_step()

    @phase("backward")
    def _backward(self) -> None:
        self.backward_loss.backward()

    @phase("step")
    def take_step(self) -> None:
        """Step the optimizer and clear the gradients, with the events of a step."""
        self.optimizer_step()
        self.optimizer.zero_grad()
        self.step += 1
        self.global_step += 1

    # What these phases use.

    def emit(self, event: str) -> None:
        """Let every callback hear `event`; a cancel raised by one travels when all have heard it."""
        cancel: Cancel | None = None
        for handler in self._handlers[event]:
            try:
                handler(self)
            except Cancel as raised:
                cancel = wider(cancel, raised)
        if cancel is not None:
            raise cancel

    def optimizer_step(self) -> None:
        """Step the optimizer; a callback that must step another way (a gradient scaler) replaces this."""
        self.optimizer.step()

    def weights(self) -> dict[str, Tensor]:
        """The tensors that a checkpoint of the best keeps; a callback that averages weights replaces this."""
        return dict(self.model.state_dict())

    @property
    def progress(self) -> float:
        """How much of the fit's training batches are done, from 0 to 1."""
        return self.iteration / max(1, self.total_iterations)

    @property
    def target_info(self) -> TargetInfo | None:
        """What the loaders say of the target; None where they do not know it."""
        try:
            return self.loaders.target  # type: ignore[no-any-return]
        except (AttributeError, ConfigError):
            return None

    def callback(self, kind: type[Found]) -> Found | None:
        """The first callback of this kind, or None."""
        return next((c for c in self.callbacks if isinstance(c, kind)), None)

    def create_optimizer(self) -> torch.optim.Optimizer:
        """A new optimizer over the model's layer groups; its state starts empty."""
        optimizer = self.optimizer_fn(parameter_groups(self.layer_groups))
        self.optimizer = optimizer
        return optimizer

    def _batches(self, loader: Any, first: int = 0) -> Iterable[Any]:
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(self.global_epoch)
        if first == 0:
            return loader  # type: ignore[no-any-return]
        return loader.starting_at(first) if hasattr(loader, "starting_at") else islice(loader, first, None)

    def _take(self, batch: Sequence[Tensor]) -> None:
        moved = tuple(part.to(self.device, non_blocking=True) for part in batch)
        self.batch, self.inputs = moved, moved[: self.n_inputs]
        targets = moved[self.n_inputs :]
        self.targets: Any = targets[0] if len(targets) == 1 else targets

    def _set_modes(self, *, training: bool) -> None:
        self.training = training
        set_modes(self.model, training)

    @contextlib.contextmanager
    def _heard_by(self, callbacks: Sequence[Callback]) -> Iterator[None]:
        """Exactly these callbacks hear the events, by call lists made once; then all is as before, also in a fit."""
        kept = self.callbacks, self._handlers, self.forward_context
        self.callbacks, self._handlers = list(callbacks), handlers(callbacks)
        try:
            yield
        finally:
            self.callbacks, self._handlers, self.forward_context = kept

    def _cleaned_up(self) -> contextlib.ExitStack:
        """Emits `cleanup_fit` at the end: one callback that fails there does not keep the others from cleaning up."""
        stack = contextlib.ExitStack()
        for handler in reversed(self._handlers["cleanup_fit"]):
            stack.callback(handler, self)
        return stack

    # What can be asked of a learner besides fitting.

    def freeze_to(self, n: int, *, norms: Norms = "follow") -> None:
        """Freeze the first `n` layer groups (negative: counted from the end) and train the others; see `freeze_groups`.

        The optimizer starts anew, so that a group that was frozen does not meet another group's history.
        """
        freeze_groups(self.model, self.layer_groups, n, norms)
        self.optimizer = None

    def freeze(self, *, norms: Norms = "follow") -> None:
        """Train the last layer group (the head) alone."""
        self.freeze_to(-1, norms=norms)

    def unfreeze(self, *, norms: Norms = "follow") -> None:
        """Train every layer group."""
        self.freeze_to(0, norms=norms)

    def validate(self, loader: Any = None, *, callbacks: Sequence[Callback] = ()) -> dict[str, float]:
        """Loss and metrics on `loader`, or else on the validation split, heard by these callbacks too."""
        self.pass_over(self.valid_loader if loader is None else loader, [*self.callbacks, *callbacks])
        return dict(self.scores)

    def pass_over(self, loader: Any, callbacks: Sequence[Callback]) -> None:
        """Run the phase of validation on `loader`, heard by exactly these callbacks.

        A callback may do so in the middle of a fit, which then goes on with its own batch. Raises ConfigError for None.
        """
        if loader is None:
            raise ConfigError("there is nothing to validate on", hint="give the learner a validation loader")
        kept = {name: value for name, value in vars(self).items() if name in OF_A_PASS}
        self.valid_loader, self.training = loader, False
        try:
            with self._heard_by(callbacks), own_random_state(self.device), evaluating(self.model):
                self._validate()
        finally:
            vars(self).update(kept)


def _pair(loaders: Any) -> tuple[Any, Any]:
    if hasattr(loaders, "train") and hasattr(loaders, "valid"):
        return loaders.train, loaders.valid
    train, valid = loaders
    return train, valid
