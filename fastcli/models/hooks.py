"""Hooks: what the modules of a model give out, seen from outside, and let go of even when something fails.

    with hook_outputs([model.body.layer3, model.head]) as hooks:
        model(images)
    late, logits = hooks.stored

`backward` hooks see the gradients of these outputs instead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fastcli.errors import FastcliError

SIZES = (32, 64, 128, 256, 512, 1024, 2048)
"""Pixels that are tried to find out how many features a body gives."""


class Hook:
    """Calls `function(module, inputs, outputs)` whenever `module` has run, and keeps what it returns in `stored`.

    With `backward` it gets the gradients of the outputs instead, once they are known. What it sees is cut from the
    graph and, if wanted, on the `cpu`; `detach=False` gives the tensors themselves. It hears until `remove`, or the end
    of a `with`.
    """

    def __init__(
        self, module: nn.Module, function: Callable[[nn.Module, Any, Any], Any], *, backward: bool = False,
        detach: bool = True, cpu: bool = False,
    ) -> None:  # fmt: skip
        self.function, self.detach, self.cpu = function, detach, cpu
        self.stored: Any = None
        hear = self._watch if backward else self._call
        self._handle: RemovableHandle | None = module.register_forward_hook(hear)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Hear no more; `stored` stays."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def _call(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        self.stored = self.function(module, self._seen(inputs), self._seen(outputs))

    def _watch(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        """Wait for the gradients of the outputs; a module's own backward hook would forbid in-place layers after it."""
        found = [tensor for tensor in tensors_in(outputs) if tensor.requires_grad]
        hear = partial(self._hear, module, self._seen(inputs), isinstance(outputs, Tensor))
        if found:
            torch.autograd.graph.register_multi_grad_hook(found, hear)

    def _hear(self, module: nn.Module, inputs: Any, single: bool, gradients: Any) -> None:
        if self._handle is not None:  # the graph may live longer than the hook
            self._call(module, inputs, gradients[0] if single else tuple(gradients))

    def _seen(self, value: Any) -> Any:
        if not self.detach:
            return value
        return mapped(lambda tensor: tensor.detach().cpu() if self.cpu else tensor.detach(), value)


class Hooks:
    """One hook for each of `modules`; `stored` is what each of them keeps, in their order."""

    def __init__(
        self, modules: Iterable[nn.Module], function: Callable[[nn.Module, Any, Any], Any], **options: bool
    ) -> None:
        self.hooks: list[Hook] = []
        with contextlib.ExitStack() as stack:
            for module in modules:
                self.hooks.append(stack.enter_context(Hook(module, function, **options)))
            stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    def __len__(self) -> int:
        return len(self.hooks)

    def __getitem__(self, index: int) -> Hook:
        return self.hooks[index]

    def __iter__(self) -> Iterator[Hook]:
        return iter(self.hooks)

    @property
    def stored(self) -> list[Any]:
        """What each hook keeps; None where its module has not run."""
        return [hook.stored for hook in self.hooks]

    def remove(self) -> None:
        """Hear no more; what is stored stays."""
        for hook in self.hooks:
            hook.remove()


def hook_output(module: nn.Module, *, backward: bool = False, detach: bool = True, cpu: bool = False) -> Hook:
    """A hook that keeps the last outputs of `module`, or their gradients; copies, unless `detach` is false."""
    return Hook(module, _outputs(detach), backward=backward, detach=detach, cpu=cpu)


def hook_outputs(
    modules: Iterable[nn.Module], *, backward: bool = False, detach: bool = True, cpu: bool = False
) -> Hooks:
    """Hooks that keep the last outputs of `modules`, or their gradients; copies, unless `detach` is false."""
    return Hooks(modules, _outputs(detach), backward=backward, detach=detach, cpu=cpu)


def _outputs(copy: bool) -> Callable[[nn.Module, Any, Any], Any]:
    """Copied, since an in-place layer that comes after would write into what was kept."""
    return lambda module, inputs, outputs: mapped(Tensor.clone, outputs) if copy else outputs


def mapped(function: Callable[[Tensor], Any], value: Any) -> Any:
    """`value` with every tensor in it, in lists, tuples and dicts, replaced by `function` of it.

    >>> mapped(lambda tensor: tensor.item(), (torch.tensor(1), {"a": [torch.tensor(2)]}))
    (1, {'a': [2]})
    """
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, Mapping):
        return {key: mapped(function, part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        parts = [mapped(function, part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def tensors_in(value: Any) -> list[Tensor]:
    """Every tensor in lists, tuples and dicts, in order."""
    found: list[Tensor] = []
    mapped(found.append, value)
    return found


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode without gradients; afterwards each of its modules is in the mode that it was in."""
    with kept_modes(model), torch.no_grad():
        model.eval()
        yield


@contextlib.contextmanager
def kept_modes(model: nn.Module) -> Iterator[None]:
    """Context after which each module of the model is in the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def model_sizes(model: nn.Module, size: tuple[int, int] = (64, 64)) -> list[torch.Size]:
    """The shape that each child of `model` gives for one picture of that height and width, in their order.

    Raises FastcliError where no layer tells how many channels it takes.
    """
    with hook_outputs(model.children()) as hooks, evaluating(model):
        model(_picture(model, size))
    return [tensors_in(stored)[0].shape for stored in hooks.stored if tensors_in(stored)]


def num_features(model: nn.Module) -> int:
    """How many channels or features `model` gives, found with a picture of the first size that it takes.

    >>> num_features(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()))
    8
    """
    for size in SIZES:
        try:
            with evaluating(model):
                return int(model(_picture(model, (size, size))).shape[1])
        except RuntimeError as error:
            failed = error
    raise FastcliError(f"the model takes no picture of {SIZES[0]} to {SIZES[-1]} pixels: {failed}")


def in_channels(model: nn.Module) -> int:
    """How many channels the first convolution takes; raises FastcliError where there is none."""
    weights = (getattr(module, "weight", None) for module in model.modules())
    found = next((weight for weight in weights if isinstance(weight, Tensor) and weight.ndim == 4), None)
    if found is None:
        raise FastcliError("the model has no convolution, which would tell how many channels it takes")
    return found.shape[1]


def _picture(model: nn.Module, size: tuple[int, int]) -> Tensor:
    channels, like = in_channels(model), next(model.parameters())
    return torch.zeros(1, channels, *size, dtype=like.dtype, device=like.device)
