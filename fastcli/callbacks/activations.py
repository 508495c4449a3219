"""ActivationStats: what goes through the layers, seen by hooks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from fastcli.callbacks.save import FileInRun
from fastcli.events import Callback
from fastcli.models.hooks import Hook, tensors_in
from fastcli.registry import callbacks
from fastcli.run.files import make_directory, write_json

if TYPE_CHECKING:
    from fastcli.learner.learner import Learner

NEAR = 0.05
"""An activation no further from zero than this counts as near zero."""
BINS, TOP = 40, 10.0
"""The histogram has 40 bins from 0 to 10, fastai's."""


@callbacks(name="activation_stats")
class ActivationStats(Callback):
    """Keeps mean, standard deviation and share near zero of every layer's output, each `every`-th training batch.

    Layers are the modules with weights of their own. `histogram` adds 40 counts from 0 to 10. `stats` has lists by
    layer and figure, `iterations` says of which batches, counted over all fits; with `file` they are written as JSON
    when the fit ends.
    """

    order = 30
    in_search = False

    def __init__(
        self, every: Annotated[int, Field(ge=1)] = 10, histogram: bool = False, file: FileInRun | None = None
    ) -> None:
        self.every, self.histogram, self.file = every, histogram, file
        self.iterations: list[int] = []
        self.stats: dict[str, dict[str, list[Any]]] = {}
        self._hooks: list[Hook] = []
        self._pending: list[tuple[str, dict[str, Tensor]]] = []
        self._batches = 0

    def before_fit(self, learner: Learner) -> None:
        self._pending.clear()

    def before_batch(self, learner: Learner) -> None:
        if learner.training and self._batches % self.every == 0:
            self.iterations.append(self._batches)
            for name, module in learner.model.named_modules():
                if any(True for _ in module.parameters(recurse=False)):
                    self._hooks.append(Hook(module, partial(self._look, name)))

    def _look(self, name: str, module: nn.Module, inputs: Any, outputs: Any) -> None:
        for i, tensor in enumerate(t for t in tensors_in(outputs) if t.is_floating_point()):
            self._pending.append((f"{name}.{i}" if i else name, self._figures(tensor.float())))

    def _figures(self, values: Tensor) -> dict[str, Tensor]:
        figures = {
            "mean": values.mean(),
            "std": values.std(correction=min(1, values.numel() - 1)),
            "near_zero": (values.abs() <= NEAR).float().mean(),
        }
        return {**figures, "histogram": torch.histc(values, BINS, 0.0, TOP)} if self.histogram else figures

    def after_batch(self, learner: Learner) -> None:
        self._batches += learner.training
        self._unhook()

    def _unhook(self) -> None:
        while self._hooks:
            self._hooks.pop().remove()

    def after_train(self, learner: Learner) -> None:
        self._read()

    def _read(self) -> None:
        # Not batch by batch, because reading waits for the device.
        for name, figures in self._pending:
            lists = self.stats.setdefault(name, {figure: [] for figure in figures})
            for figure, value in figures.items():
                lists[figure].append(value.tolist())
        self._pending.clear()

    def after_fit(self, learner: Learner) -> None:
        if self.file is not None:
            path = learner.directory / self.file
            make_directory(path.parent)
            write_json(path, {"iterations": self.iterations, "layers": self.stats})

    def cleanup_fit(self, learner: Learner) -> None:
        self._unhook()

    def state_dict(self) -> dict[str, Any]:
        """The figures so far."""
        self._read()
        return {"batches": self._batches, "iterations": self.iterations, "stats": self.stats}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._batches, self.iterations, self.stats = state["batches"], state["iterations"], state["stats"]
