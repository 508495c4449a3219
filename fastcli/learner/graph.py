"""A training step's forward and backward pass as one CUDA graph: for small steps, whose kernels take longer to launch.

The optimizer's step is not part of the graph. It is a few fused launches; its rates, momenta and counts are plain
numbers of the host, which a graph would freeze; and callbacks may clip, accumulate or skip as they always do. What is
captured are the hundreds of launches before it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastcli.callbacks.precision import MixedPrecision, autocast
from fastcli.data.seeding import own_random_state, seed_device
from fastcli.errors import FastcliError
from fastcli.events import Callback, CancelBatch
from fastcli.learner.compiling import Task, first_line, kept, kept_buffers
from fastcli.learner.limit import synchronize
from fastcli.models.hooks import mapped, tensors_in

WARM_UP = 3
"""Steps before capturing, in which libraries set up what they need."""
LAUNCHING = 0.6
"""The share of a step that the host must spend launching it."""
FASTER = 1.1
ALIKE = 0.999
"""Least cosine of the gradients of a graph and of the same kernels launched one by one."""
INSIDE = ("after_predict", "after_loss", "before_backward")
Batch = tuple[tuple[Tensor, ...], Any]
"""Inputs and targets."""
Work = Callable[[], None]
Record = Callable[[Work, Work, torch.device], Work]


def record_on_gpu(work: Work, forget: Work, device: torch.device) -> Work:
    """A function that does `work` again, launched as one; `forget` is called before each time."""
    beside, here = torch.cuda.Stream(device), torch.cuda.current_stream(device)  # type: ignore[no-untyped-call]
    beside.wait_stream(here)
    with torch.cuda.stream(beside):
        for _ in range(WARM_UP):
            forget()
            work()
    here.wait_stream(beside)
    forget()
    graph = torch.cuda.CUDAGraph()
    # Other threads go on pinning memory and copying pictures meanwhile.
    with torch.cuda.device(device), torch.cuda.graph(graph, capture_error_mode="thread_local"):
        work()
    replay: Work = graph.replay
    return replay


class CapturedStep:
    """The forward and backward pass over one shape of batch; model and random state stay as they are."""

    def __init__(self, model: nn.Module, loss_fn: Callable[..., Tensor],
                 context: contextlib.AbstractContextManager[Any], batch: Batch, record: Record) -> None:  # fmt: skip
        self.model, self.loss_fn, self.context = model, loss_fn, context
        self.inputs, self.targets = mapped(Tensor.clone, batch)
        self.device = self.inputs[0].device
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.prediction, self.loss, self.gradients = None, torch.empty(0), list[Tensor | None]()
        with kept_buffers(model), own_random_state(self.device):
            self._replay = record(self.work, self.forget, self.device)
        self.forget()

    def work(self) -> None:
        """Forward and back, launched one by one."""
        with self.context:
            self.prediction = self.model(*self.inputs)
            self.loss = self.loss_fn(self.prediction, self.targets)
        self.loss.backward()  # type: ignore[no-untyped-call]
        self.prediction, self.loss = mapped(Tensor.detach, self.prediction), self.loss.detach()
        self.gradients = [p.grad for p in self.parameters]

    def forget(self) -> None:
        """Take the gradients from the parameters."""
        for parameter in self.parameters:
            parameter.grad = None

    def run(self, batch: Batch) -> tuple[Any, Tensor]:
        """Prediction and loss of a batch of the captured shape; its gradients wait for `backward`."""
        for own, given in zip(tensors_in((self.inputs, self.targets)), tensors_in(batch), strict=True):
            own.copy_(given, non_blocking=True)
        self._replay()
        return mapped(Tensor.clone, self.prediction), self.loss.clone()  # the next step writes over them

    def backward(self) -> None:
        """Give the parameters their gradients, which were computed with the loss."""
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient

    def fits(self, batch: Any) -> bool:
        """Whether a batch has the captured shape, layout and types."""
        return _shapes(batch) == _shapes((self.inputs, self.targets))

    def compare(self) -> tuple[bool, float]:
        """Whether it gives what the same kernels give one by one, random numbers too, and how much faster it is."""
        captured, agrees, seconds = (self.prediction, self.loss, self.gradients), True, {True: 0.0, False: 0.0}
        with kept_buffers(self.model), own_random_state(self.device):
            for seed in (1, 2):  # what is drawn by the host would be the same each time
                losses, gradients = [], []
                for as_graph in (False, True):
                    self.forget()
                    seed_device(self.device, seed)
                    seconds[as_graph] += _timed(self._replay if as_graph else self.work, self.device)
                    if as_graph:
                        self.prediction, self.loss, self.gradients = captured
                    losses.append(self.loss.clone())
                    gradients.append(torch.cat([g.float().flatten() for g in self.gradients if g is not None]))
                agrees = agrees and _equal(losses, gradients)
        self.forget()
        return agrees, seconds[False] / max(seconds[True], 1e-9)


def _timed(work: Work, device: torch.device) -> float:
    synchronize(device)
    started = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - started


def _equal(losses: list[Tensor], gradients: list[Tensor]) -> bool:
    (one, other), (ours, theirs) = losses, gradients
    close = torch.allclose(one.float(), other.float(), rtol=1e-3, atol=1e-6)
    long = torch.allclose(ours.norm(), theirs.norm(), rtol=1e-2)
    return close and long and (not ours.any() or bool(functional.cosine_similarity(ours, theirs, dim=0) >= ALIKE))


def _shapes(value: Any) -> list[tuple[Any, ...]]:
    return [(t.shape, t.stride(), t.dtype, t.device) for t in tensors_in(value)]


def choose_graph(
    setting: bool | Literal["auto"], task: Task, *, compiled: bool = False, record: Record = record_on_gpu
) -> tuple[bool, str]:
    """Whether steps are launched as one graph, and what to tell of that; with True speed does not matter."""
    if task.device.type != "cuda" and record is record_on_gpu:
        return False, f"no graph of steps: {task.device.type} has none" if setting is True else ""
    if setting is False:
        return False, ""
    if compiled or task.choice.precision == "fp16":
        why = "the model is compiled" if compiled else "gradients are scaled in the middle of a step"
        return False, f"no graph of steps: {why}"
    *inputs, targets = task.laid_out().batch
    try:
        if setting == "auto" and (share := _launching(task)) < LAUNCHING:
            return False, f"no graph of steps: launching takes {share:.0%} of a step"
        context = autocast(task.device, task.choice.precision)
        with kept(task.model):  # in training mode
            step = CapturedStep(task.model, task.loss_fn, context, (tuple(inputs), targets), record)
            agrees, faster = step.compare()
    except Exception as error:  # noqa: BLE001 - whatever cannot be captured
        return False, f"no graph of steps: {first_line(error)}"
    if not agrees or (setting == "auto" and faster < FASTER):
        return False, "no graph of steps: " + (f"{faster:.2f} times as fast" if agrees else "its numbers were wrong")
    return True, f"steps are launched as one graph: {faster:.1f} times as fast as one by one"


def _launching(task: Task) -> float:
    """The share of a step that the host spends launching it."""
    task, host, whole = task.laid_out(), 0.0, 0.0
    with kept(task.model):
        for n in range(2 * WARM_UP):
            synchronize(task.device)
            started = time.perf_counter()
            task.step()
            launched = time.perf_counter()
            synchronize(task.device)
            if n >= WARM_UP:
                host, whole = host + launched - started, whole + time.perf_counter() - started
    return host / whole


class StepGraph(Callback):
    """Takes the training steps of full batches as one graph, captured anew where what trains has changed.

    Events come in their usual order. Where a callback may change what happens between the batch and its gradients,
    or a graph gives other numbers, steps are launched one by one, and that is told.
    """

    order = 1000
    in_search = False

    def __init__(self, record: Record = record_on_gpu) -> None:
        self.record = record
        self._step: CapturedStep | None = None
        self._of: Any = None
        self._off, self._first = False, True

    def before_fit(self, learner: Any) -> None:
        """See who takes part in a step."""
        self._step, self._off = None, False
        heard = [handler.__self__ for event in INSIDE for handler in learner._handlers[event]]
        bf16 = [c for c in learner.callbacks if isinstance(c, MixedPrecision) and c.scaler is None]
        others = {type(c).__name__ for c in heard if not c.only_looks and c not in bf16}
        if others:
            self._give_up(learner, f"{', '.join(sorted(others))} may change them")

    def before_train(self, learner: Any) -> None:
        """Forget what was captured where something else trains now."""
        of = [(p.data_ptr(), p.requires_grad) for p in learner.model.parameters()]
        modes, self._first = [module.training for module in learner.model.modules()], True
        if self._of != (of, modes, id(learner.loss_fn)):
            self._step, self._of = None, (of, modes, id(learner.loss_fn))

    def before_batch(self, learner: Any) -> None:
        """Take the whole step, where it is captured."""
        if not learner.training or self._off or any(p.grad is not None for p in learner.model.parameters()):
            return  # gradients that were kept are added to, one by one
        batch = (learner.inputs, learner.targets)
        if self._step is None or (self._first and not self._step.fits(batch)):
            self._capture(learner, batch)
        self._first = False
        if self._step is None or not self._step.fits(batch):
            return
        learner.prediction, learner.loss = self._step.run(batch)
        learner.emit("after_predict")
        learner.emit("after_loss")
        learner.backward_loss = self._step
        learner._backward()
        learner.backward_loss = learner.loss
        learner.take_step()
        raise CancelBatch  # it is done

    def cleanup_fit(self, learner: Any) -> None:
        """Let the memory go."""
        self._step = self._of = None

    def _capture(self, learner: Any, batch: Any) -> None:
        learner.prediction = learner.loss = learner.backward_loss = None  # their memory is tied to the usual stream
        try:
            step = CapturedStep(learner.model, learner.loss_fn, learner.forward_context, batch, self.record)
            if not step.compare()[0]:
                raise FastcliError("its numbers were wrong")
        except (RuntimeError, FastcliError) as error:
            self._give_up(learner, first_line(error))
        else:
            self._step = step

    def _give_up(self, learner: Any, reason: str) -> None:
        self._off = True
        learner.notes.append(f"steps are launched one by one: {reason}")
