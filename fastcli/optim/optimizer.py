"""The optimizer: a list of pieces, each a small function over the lists of tensors of a `Group`.

    @piece(lr=1e-3)
    def descend(group):
        torch._foreach_add_(group.parameters, group.update, alpha=-group.lr)

    @piece()
    def sign(group):
        group.update = torch._foreach_sign(group.update)

    Optimizer(model.parameters(), [sign, descend], lr=1e-4)

A piece reads hyperparameters as attributes, keeps state by name, replaces `update`, or changes `parameters`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar, overload

import torch
from torch import Tensor

from fastcli.errors import FastcliError

Tensors: TypeAlias = tuple[Tensor, ...] | list[Tensor]
State: TypeAlias = dict[str, Any]


class Group:
    """The parameters of one param group, device, dtype and age that have a gradient, in the middle of a step.

    Every entry of the param group is an attribute: `group.lr`, `group.momentum`; a 0-d tensor is read as a number. The
    pieces hand `update` on: it starts as the gradients themselves, so a piece replaces it and never writes into it. A
    piece may set `stopped`, and those after it are not run.
    """

    def __init__(self, parameters: list[Tensor], states: list[State], hyperparameters: dict[str, Any]) -> None:
        self.parameters = parameters
        self.gradients = [_gradient(parameter) for parameter in parameters]
        self.update: Tensors = self.gradients
        self.age = max(_grow(state) for state in states)
        """How many steps these parameters have taken, this one included; fewer for those that were unfrozen later."""
        self.stopped = False
        self._states = states
        self._lists: dict[str, list[Tensor]] = {}
        self._hyperparameters = hyperparameters

    def state(self, name: str, start: Callable[[Tensor], Tensor] = torch.zeros_like) -> list[Tensor]:
        """The tensors kept under `name`, one like each parameter; `start` makes those that are not there yet."""
        if name not in self._lists:
            pairs = zip(self.parameters, self._states, strict=True)
            self._lists[name] = [_kept(state, name, parameter, start) for parameter, state in pairs]
        return self._lists[name]

    def __getattr__(self, name: str) -> Any:
        try:
            value = self._hyperparameters[name]
        except KeyError:
            known = ", ".join(key for key in self._hyperparameters if key != "params")
            raise AttributeError(f"the optimizer has no hyperparameter {name!r}; it has {known}") from None
        return value.item() if isinstance(value, Tensor) else value

    def __repr__(self) -> str:
        return f"Group({len(self.parameters)} tensors, {_numbers(self._hyperparameters)})"


Piece: TypeAlias = Callable[[Group], None]
AnyPiece = TypeVar("AnyPiece", bound=Piece)


def piece(**defaults: Any) -> Callable[[AnyPiece], AnyPiece]:
    """Decorator: the hyperparameters that a piece reads, with the values they have when nobody sets them."""

    def declare(function: AnyPiece) -> AnyPiece:
        function.defaults = defaults  # type: ignore[attr-defined]
        return function

    return declare


class Optimizer(torch.optim.Optimizer):
    """Runs `pieces` in order over every param group.

    `hyperparameters` override the pieces' defaults. Param groups with entries of their own, torch's schedulers,
    `GradScaler`, hooks, closures and `state_dict` work as with any optimizer of torch. Steps are counted per parameter.
    """

    def __init__(self, params: Any, pieces: Sequence[Piece], **hyperparameters: Any) -> None:
        self.pieces = list(pieces)
        defaults: dict[str, Any] = {}
        for each in self.pieces:
            defaults.update(getattr(each, "defaults", {}))
        super().__init__(params, {**defaults, **hyperparameters})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Run the pieces once; gives back what `closure` gave, which is called first, with gradients on."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for param_group in self.param_groups:
            for group in self._groups(param_group):
                for each in self.pieces:
                    each(group)
                    if group.stopped:
                        break
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, as torch does, but without an entry in the profiler, which takes as long as a layer."""
        if not set_to_none:
            super().zero_grad(set_to_none=False)
            return
        for param_group in self.param_groups:
            for parameter in param_group["params"]:
                parameter.grad = None

    def _groups(self, param_group: dict[str, Any]) -> Iterator[Group]:
        # One device and dtype each: torch._foreach_* fall back to a loop, or fail, on mixed lists. One age each, so
        # that one number corrects them all; there are only as many ages as there were unfreezings.
        alike: dict[tuple[torch.device, torch.dtype, int], list[Tensor]] = {}
        for parameter in param_group["params"]:
            if parameter.grad is not None:
                kind = (parameter.device, parameter.dtype, _age(self.state[parameter]))
                alike.setdefault(kind, []).append(parameter)
        for parameters in alike.values():
            yield Group(parameters, [self.state[parameter] for parameter in parameters], param_group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a param group. Raises FastcliError for complex parameters."""
        super().add_param_group(param_group)
        if any(parameter.is_complex() for parameter in self.param_groups[-1]["params"]):
            raise FastcliError(
                "complex parameters cannot be trained", hint="keep their real and imaginary parts instead"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "pieces": self.pieces}

    def __repr__(self) -> str:
        lines = [f"Optimizer([{', '.join(_name(each) for each in self.pieces)}])"]
        for index, param_group in enumerate(self.param_groups):
            count = sum(parameter.numel() for parameter in param_group["params"])
            lines.append(f"  {index}: {len(param_group['params'])} tensors, {count:,} numbers, {_numbers(param_group)}")
        return "\n".join(lines)


def _name(function: Piece) -> str:
    return getattr(function, "__name__", repr(function))


def _numbers(param_group: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in param_group.items() if name != "params")


def laid_out_like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """`tensor` with the memory layout of `parameter`, itself where it already has it.

    Fused kernels walk through memory and ignore strides: with a contiguous state from a checkpoint and a channels-last
    parameter torch's own fused SGD silently gives wrong numbers on the CPU (seen in torch 2.14).

    >>> weight = torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last)
    >>> laid_out_like(torch.ones(2, 3, 4, 4), weight).stride() == weight.stride()
    True
    """
    if tensor.stride() == parameter.stride() or tensor.shape != parameter.shape:
        return tensor
    return torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)


def _gradient(parameter: Tensor) -> Tensor:
    gradient = parameter.grad
    assert gradient is not None
    if gradient.layout is not torch.strided:
        raise FastcliError(
            f"sparse gradient of a parameter of shape {tuple(parameter.shape)}: only dense gradients can be stepped",
            hint="build the layer with sparse=False",
        )
    return laid_out_like(gradient, parameter)


def _age(state: State) -> int:
    # A checkpoint of torch's own optimizer keeps the count as a tensor.
    return int(state.get("step", 0))


def _grow(state: State) -> int:
    state["step"] = _age(state) + 1
    age: int = state["step"]
    return age


def _kept(state: State, name: str, parameter: Tensor, start: Callable[[Tensor], Tensor]) -> Tensor:
    kept = state.get(name)
    state[name] = start(parameter) if kept is None else laid_out_like(kept, parameter)
    tensor: Tensor = state[name]
    return tensor
