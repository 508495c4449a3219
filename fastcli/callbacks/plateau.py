"""ReduceOnPlateau: a lower learning rate when there is no more progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from torch import Tensor

from fastcli.callbacks.monitor import Mode, Tracker
from fastcli.registry import callbacks

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner


@callbacks(name="reduce_on_plateau")
class ReduceOnPlateau(Tracker):
    """Multiplies the learning rate by `factor` each time that `monitor` has not improved for `patience` epochs.

    Whatever the schedule sets is multiplied, and not taken below `min_lr`.
    """

    order = 60
    orders = {"before_batch": -30}

    def __init__(
        self,
        monitor: str = "valid_loss",
        patience: Annotated[int, Field(ge=1)] = 1,
        factor: Annotated[float, Field(gt=0, lt=1)] = 0.1,
        min_lr: Annotated[float, Field(ge=0)] = 0.0,
        min_delta: Annotated[float, Field(ge=0)] = 0.0,
        mode: Mode = "auto",
    ) -> None:
        super().__init__(monitor, min_delta, mode)
        self.patience, self.factor, self.min_lr = patience, factor, min_lr
        self.scale = 1.0
        """What the rates are multiplied by so far."""
        self._given: list[float] = []
        self._set: list[float | None] = []

    def before_fit(self, learner: Learner) -> None:
        self.scale = 1.0
        super().before_fit(learner)
        groups = learner.optimizer.param_groups
        self._given, self._set = [float(group["lr"]) for group in groups], [None] * len(groups)

    def before_batch(self, learner: Learner) -> None:
        if not learner.training or self.scale == 1:
            return
        for i, group in enumerate(learner.optimizer.param_groups):
            if float(group["lr"]) != self._set[i]:  # set anew by a schedule, and not by us
                self._given[i] = float(group["lr"])
            _set_rate(group, max(self._given[i] * self.scale, min(self._given[i], self.min_lr)))
            self._set[i] = float(group["lr"])

    def judge(self, learner: Learner, improved: bool) -> None:
        """Lower the scale where patience is over."""
        if self.waited >= self.patience:
            self.scale *= self.factor
            self.waited = 0

    def cleanup_fit(self, learner: Learner) -> None:
        for group, given, ours in zip(learner.optimizer.param_groups, self._given, self._set, strict=False):
            if ours is not None:
                _set_rate(group, given)
        self._set = []

    def state_dict(self) -> dict[str, Any]:
        """The best value and how long ago it was, what the rates are multiplied by, as they were given and set."""
        return {**super().state_dict(), "scale": self.scale, "given": list(self._given), "set": list(self._set)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave, in a fit that has begun."""
        super().load_state_dict(state)
        self.scale, self._given, self._set = state["scale"], list(state["given"]), list(state["set"])


def _set_rate(group: dict[str, Any], rate: float) -> None:
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate
