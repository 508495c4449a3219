"""Which precision and memory layout: tried on the real model and batch, checked against fp32, remembered."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastcli.callbacks.precision import autocast
from fastcli.learner.memory import key_of, recall, remember

Precision = Literal["fp32", "bf16", "fp16"]
Candidate = tuple[Precision, bool]
"""A precision, and whether memory is channels-last."""
IMAGES = 8
"""Images of the batch that are tried."""
REPEATS = 2
"""Timed steps per candidate, after one that prepares kernels; the fastest counts."""
BUDGET = 4.0
"""Seconds after which no further candidate is tried."""
WORTH_IT = 1.15
"""A candidate must be this many times as fast as fp32 in the default layout."""
CLEARLY = 1.05
"""And this many times as fast as the best before it."""
SMALL_STEP = 0.02
"""Seconds of a step on the trial images below which nothing is tried: the overhead of autocast would eat the gain."""
HOPELESS = 2.0
"""A candidate this many times slower than fp32 on one image is not tried on more."""
COSINE = {"logits": 0.99, "gradient": 0.9}
"""How alike a candidate's logits and gradient must be to those of fp32.

bf16 keeps 8 bits of each number. Right kernels gave 0.9990 and more for logits; for gradients 0.985 and more with
pretrained weights, 0.99 for ResNets, ConvNeXt and ViT from scratch. Wrong kernels give about nothing.
"""
LOSS_SCALE = {"fp32": 1.0, "bf16": 1.0, "fp16": 1024.0}
"""Keeps small gradients from vanishing in fp16, as the gradient scaler will; a cosine does not see it."""


@dataclass(frozen=True)
class Choice:
    """A precision and a layout, and how they were found."""

    precision: Precision
    channels_last: bool
    speedup: float = 1.0
    """Against fp32 in the default layout."""
    note: str = "as configured"
    measured: dict[str, float] = field(default_factory=dict, compare=False)
    """Seconds of a step on the trial images for each candidate tried; negative where its numbers were wrong."""


@dataclass(frozen=True)
class _Trial:
    seconds: float
    logits: Tensor
    gradient: Tensor


def choose_precision(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    *,
    device: torch.device,
    precision: str = "auto",
    channels_last: bool | str = "auto",
    name: str = "",
    memory: Path | None = None,
) -> Choice:
    """The fastest right combination for `model` on these `inputs` (n, channels, height, width); `auto` is tried.

    A candidate needs logits and gradients that agree with fp32 and a step at least 1.15 times as fast. The winner is
    kept in the file `memory` by machine, versions, model and size. Model and random state stay as they were.
    """
    layouts = [False] if inputs.ndim != 4 else [False, True]
    candidates: list[Candidate] = [
        (p, layout)  # type: ignore[misc]
        for p in (_precisions(device) if precision == "auto" else [precision])
        for layout in (layouts if channels_last == "auto" else [bool(channels_last)])
    ]
    if len(candidates) == 1:
        return Choice(*candidates[0])
    key = key_of(device, name, [list(inputs.shape[1:]), candidates])
    known = _recall(memory, key, candidates)
    if known is not None:
        return known
    trials = _Trials(model, inputs[:IMAGES], targets[:IMAGES], loss_fn, device)
    choice = trials.best(candidates)
    remember(memory, key, asdict(choice))
    return choice


def _precisions(device: torch.device) -> list[str]:
    if device.type == "cuda":
        return ["fp32", "bf16"] if torch.cuda.is_bf16_supported(including_emulation=False) else ["fp32", "fp16"]
    return ["fp32", "bf16"] if device.type == "cpu" and _cpu_has_bf16() else ["fp32"]


def _cpu_has_bf16() -> bool:
    """Whether oneDNN has kernels for bf16 here; without them a convolution takes up to 500 times as long."""
    return bool(torch.backends.mkldnn.is_available()) and bool(  # type: ignore[no-untyped-call]
        torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


class _Trials:
    """Steps of a copy of the model in evaluation mode, where every pass gives the same numbers.

    In training mode, batch norms over few images blow rounding up until even right kernels disagree.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        loss_fn: Callable[[Tensor, Tensor], Tensor],
        device: torch.device,
    ) -> None:
        self.model = copy.deepcopy(model).eval()
        self.inputs, self.targets, self.loss_fn, self.device = inputs, targets, loss_fn, device

    def best(self, candidates: list[Candidate]) -> Choice:
        """The fastest of `candidates` that is right and worth it, or else the first."""
        first, ends = candidates[0], time.perf_counter() + BUDGET
        base = self.run("fp32", False)
        if base.seconds < SMALL_STEP:
            return Choice(*first, 1.0, "too small a step to gain", {label("fp32", False): base.seconds})
        best, note, measured = Choice(*first), "measured", {label("fp32", False): round(base.seconds, 4)}
        for precision, layout in sorted(candidates, key=lambda c: (c[0] == "fp32", not c[1])):
            if (precision, layout) == ("fp32", False) or self._cannot_win(precision, layout, measured):
                continue
            if time.perf_counter() > ends:
                note = f"measured until {BUDGET:g} s were over"
                break
            trial = self.run(precision, layout, abandon=HOPELESS * base.seconds)
            agrees = _agree(base, trial)
            measured[label(precision, layout)] = round(trial.seconds if agrees else -trial.seconds, 4)
            speedup = base.seconds / trial.seconds
            if agrees and speedup >= WORTH_IT and speedup > CLEARLY * best.speedup:
                best = Choice(precision, layout, round(speedup, 2))
        return Choice(best.precision, best.channels_last, best.speedup, note, measured)

    def _cannot_win(self, precision: Precision, layout: bool, measured: dict[str, float]) -> bool:
        """Low precision in the default layout is not tried where channels-last was right and twice as fast as fp32."""
        other, base = measured.get(label(precision, not layout), 0.0), measured[label("fp32", False)]
        return precision != "fp32" and not layout and 0 < other < base / 2

    def run(self, precision: Precision, channels_last: bool, *, abandon: float = float("inf")) -> _Trial:
        """The fastest step, its logits and its gradient; given up early where a step takes longer than `abandon` s."""
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.model.to(memory_format=layout)
        inputs = self.inputs.contiguous(memory_format=layout) if self.inputs.ndim == 4 else self.inputs
        seconds: list[float] = []
        while len(seconds) < 1 + REPEATS and (len(seconds) < 2 or min(seconds) < abandon):
            started = time.perf_counter()
            logits = self._step(inputs, precision)
            seconds.append(time.perf_counter() - started)
        gradients = [p.grad.float().flatten() for p in self.model.parameters() if p.grad is not None]
        return _Trial(min(seconds[1:]), logits.detach().float(), torch.cat(gradients))

    def _step(self, inputs: Tensor, precision: Precision) -> Tensor:
        self.model.zero_grad()
        with autocast(self.device, precision):
            logits: Tensor = self.model(inputs)
            loss = self.loss_fn(logits, self.targets)
        (loss * LOSS_SCALE[precision]).backward()  # type: ignore[no-untyped-call]
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return logits


def label(precision: str, channels_last: bool) -> str:
    """How a candidate is called.

    >>> label("bf16", True)
    'bf16 channels_last'
    """
    return f"{precision} channels_last" if channels_last else precision


def _agree(base: _Trial, trial: _Trial) -> bool:
    pairs = {"logits": (base.logits, trial.logits), "gradient": (base.gradient, trial.gradient)}
    return all(
        bool(torch.isfinite(ours).all())
        and float(functional.cosine_similarity(theirs.flatten(), ours.flatten(), dim=0)) >= COSINE[what]
        for what, (theirs, ours) in pairs.items()
    )


def _recall(memory: Path | None, key: str, candidates: list[Candidate]) -> Choice | None:
    """What `memory` says under `key`, unless it is not one of the candidates or makes no sense."""
    try:
        choice = Choice(**(recall(memory, key) | {"note": "as remembered"}))
    except TypeError:
        return None
    return choice if (choice.precision, choice.channels_last) in candidates else None
