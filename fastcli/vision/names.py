"""fastai's short names of what lies on a learner, as properties that can be read and written."""

from __future__ import annotations

from typing import Any

HYPERS = {"mom": "momentum", "sqr_mom": "beta2", "wd": "weight_decay"}
"""fastai's names of hyperparameters, and ours."""


def alias(name: str) -> property:
    """A property that reads and writes the attribute `name`."""

    def read(self: Any) -> Any:
        return getattr(self, name)

    def write(self: Any, value: Any) -> None:
        setattr(self, name, value)

    return property(read, write, doc=f"The same as `{name}`.")


class ShortNames:
    """fastai's names for the attributes of a learner."""

    xb, pred, opt, loss_func = alias("inputs"), alias("prediction"), alias("optimizer"), alias("loss_fn")
    n_epoch, n_iter, iter, train_iter = (
        alias("epochs"),
        alias("steps_per_epoch"),
        alias("batch_index"),
        alias("iteration"),
    )
    pct_train, cbs, loss_grad = alias("progress"), alias("callbacks"), alias("backward_loss")

    @property
    def dls(self: Any) -> Any:
        """The loaders; others may be given, for growing pictures."""
        return self.loaders

    @dls.setter
    def dls(self: Any, dls: Any) -> None:
        self.loaders = dls
        self.train_loader, self.valid_loader = dls.train, dls.valid
        self.n_inputs = getattr(dls, "n_inputs", self.n_inputs)

    @property
    def yb(self: Any) -> tuple[Any, ...]:
        """The targets of the batch, always a tuple."""
        return self.targets if isinstance(self.targets, tuple) else (self.targets,)

    @yb.setter
    def yb(self: Any, targets: tuple[Any, ...]) -> None:
        self.targets = targets[0] if len(targets) == 1 else targets

    @property
    def x(self: Any) -> Any:
        """The first input of the batch."""
        return self.inputs[0]

    @property
    def y(self: Any) -> Any:
        """The first target of the batch."""
        return self.yb[0]

    @property
    def dl(self: Any) -> Any:
        """The loader that is being run through."""
        return self.train_loader if self.training else self.valid_loader

    @property
    def smooth_loss(self: Any) -> float:
        """The mean of the losses so far, the newest counting most, as fastai's bar shows it."""
        return self.recorder.losses[-1]  # type: ignore[no-any-return]
