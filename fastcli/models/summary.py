"""model_summary: a model layer by layer, as a table."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from fastcli.models.create import describe, layer_groups
from fastcli.models.hooks import evaluating, mapped, tensors_in

HEADINGS = ("layer", "type", "output", "parameters", "trained")
Shape = tuple[int, ...]


@dataclass
class LayerRow:
    """One call of one layer."""

    name: str
    """Its place in the model."""
    kind: str
    shapes: tuple[Shape, ...] | None = None
    """Of all tensors that it gave; empty for a container whose parts were called without it; None if not called."""
    parameters: int = 0
    """Its own numbers, counted at the first call alone."""
    trained: int = 0
    """How many of them are trained."""

    def cells(self) -> tuple[str, ...]:
        """Its cells in the table.

        >>> LayerRow("head.2", "Linear", ((2, 512),), 1024, 0).cells()
        ('head.2', 'Linear', '2×512', '1,024', 'no')
        """
        shapes = "not called" if self.shapes is None else ", ".join(_shown(shape) for shape in self.shapes)
        some = "yes" if self.trained == self.parameters else "partly" if self.trained else "no"
        numbers = (f"{self.parameters:,}", some) if self.parameters else ("", "")
        return (self.name, self.kind, shapes, *numbers)


@dataclass
class ModelSummary:
    """Every layer of a model in the order of the calls; prints as a table. The rows' parameters add up to the total."""

    model: str
    inputs: tuple[Shape, ...]
    rows: list[LayerRow] = field(default_factory=list)
    parameters: int = 0
    trained: int = 0
    frozen: int = 0
    """How many layer groups, counted from the input, are frozen."""
    groups: int = 1

    def __str__(self) -> str:
        table = [HEADINGS, *(row.cells() for row in self.rows)]
        widths = [max(len(cells[i]) for cells in table) for i in range(len(HEADINGS))]
        lines = [_line(cells, widths) for cells in table]
        head = f"{self.model}, input {', '.join(_shown(shape) for shape in self.inputs)}"
        rule = "─" * (sum(widths) + 2 * len(widths) - 2)
        return "\n".join([head, "", lines[0], rule, *lines[1:], "", self._totals()])

    __repr__ = __str__

    def _totals(self) -> str:
        frozen = f"the first {self.frozen} of {self.groups} layer groups frozen" if self.frozen else "nothing frozen"
        return f"{self.parameters:,} parameters, {self.trained:,} of them trained; {frozen}"


def model_summary(model: nn.Module, inputs: Any) -> ModelSummary:
    """What each layer of `model` gives for the first item of `inputs`, a batch or a tuple of batches.

    Containers are walked to their leaves, of which those that do nothing (`Identity`) are left out; a container with
    parameters of its own has a row besides. The model's modes, buffers and gradients and torch's random numbers stay as
    they are.
    """
    given = mapped(lambda batch: batch[:1], inputs if isinstance(inputs, tuple | list) else (inputs,))
    total, trained = describe(model)
    groups = layer_groups(model)
    summary = ModelSummary(
        type(model).__name__, tuple(tuple(tensor.shape) for tensor in tensors_in(given)),
        parameters=total, trained=trained, frozen=frozen_groups(groups), groups=len(groups),
    )  # fmt: skip
    with _undisturbed(model), _Watch(model, summary.rows):
        # Not model(…), which would run a compiled model's whole graph past the hooks.
        model._call_impl(*given)  # type: ignore[no-untyped-call]
    return summary


def frozen_groups(groups: Sequence[Sequence[nn.Parameter]]) -> int:
    """How many groups, counted from the first, train no weight of two or more dimensions (norms may train on).

    >>> body, head = nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2)
    >>> frozen_groups([list(body.parameters()), list(head.parameters())])
    1
    """
    for i, group in enumerate(groups):
        weights = [parameter for parameter in group if parameter.ndim > 1] or group
        if any(parameter.requires_grad for parameter in weights):
            return i
    return len(groups)


class _Watch(contextlib.ExitStack):
    """Notes the calls of a model's layers in `rows`, and at the end what was not called but has parameters."""

    def __init__(self, model: nn.Module, rows: list[LayerRow]) -> None:
        super().__init__()
        self.rows = rows
        self.running: list[LayerRow] = []
        self.left = {module: _row(name, module, own) for name, module, own in _layers(model)}
        for module, row in self.left.items():
            self.callback(module.register_forward_pre_hook(self._begin(row)).remove)
            self.callback(module.register_forward_hook(self._end, always_call=True).remove)

    def __exit__(self, *exception: Any) -> bool | None:
        for module, row in self.left.items():
            row.shapes = () if any(True for _ in module.children()) else None
        self.rows += [row for row in self.left.values() if row.parameters]
        return super().__exit__(*exception)

    def _begin(self, first: LayerRow) -> Any:
        def begin(module: nn.Module, inputs: Any) -> None:
            row = self.left.pop(module, None) or LayerRow(first.name, first.kind)
            self.rows.append(row)
            self.running.append(row)

        return begin

    def _end(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        self.running.pop().shapes = tuple(tuple(tensor.shape) for tensor in tensors_in(outputs))


def _layers(model: nn.Module) -> list[tuple[str, nn.Module, list[nn.Parameter]]]:
    """Leaves, and containers with parameters of their own; a parameter that several share is the first one's."""
    layers, seen, inside = [], set(), set()
    for name, module in model.named_modules():
        if module in inside:
            continue
        leaf = is_parametrized(module) or not any(True for _ in module.children())
        if type(module) is nn.Identity:
            continue
        if leaf:
            inside |= set(module.modules())
        own = [p for p in module.parameters(recurse=leaf) if p not in seen]
        seen |= set(own)
        if leaf or own:
            layers.append((name or "(model)", module, own))
    return layers


def _row(name: str, module: nn.Module, own: Sequence[nn.Parameter]) -> LayerRow:
    kind = module.__class__.__name__.removeprefix("Parametrized")
    return LayerRow(name, kind, None, sum(p.numel() for p in own), sum(p.numel() for p in own if p.requires_grad))


@contextlib.contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards modes, buffers and the random state of all devices that the model is on are back."""
    kept = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    devices = {tensor.device.index for tensor in (*model.parameters(), *model.buffers()) if tensor.is_cuda}
    with torch.random.fork_rng(devices=devices), evaluating(model):
        try:
            yield
        finally:
            for module, name, buffer, value in kept:
                setattr(module, name, buffer.copy_(value))


def _shown(shape: Shape) -> str:
    return "×".join(str(n) for n in shape) or "1"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    left = [f"{cell:<{width}}" for cell, width in zip(cells[:3], widths[:3], strict=True)]
    return "  ".join([*left, f"{cells[3]:>{widths[3]}}", cells[4]]).rstrip()
