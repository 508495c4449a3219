"""Which precision and memory layout: tried on the real model and batch, checked against fp32, remembered."""

from __future__ import annotations

import copy
import hashlib
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastcli.run.files import atomic_write, make_directory

Precision = Literal["fp32", "bf16", "fp16"]
IMAGES = 8
"""Images of the batch that are tried."""
WORTH_IT = 1.15
"""A candidate must be this many times as fast as fp32."""
SMALL_STEP = 0.02
"""Seconds of a step on the trial images below which nothing is tried: the overhead of autocast would eat the gain."""
COSINE = {"logits": 0.99, "gradient": 0.9}
"""How alike a candidate's logits and gradient must be to those of fp32; bf16 keeps 8 bits of each number."""
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Choice:
    """A precision and a layout, and how they were found."""

    precision: Precision
    channels_last: bool
    speedup: float = 1.0
    """Against fp32 in the default layout."""
    note: str = "as configured"


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
    kept in the file `memory` by machine, torch version, model and size. Model and random state stay as they were.
    """
    candidates = [
        (p, layout)
        for p in (_precisions(device) if precision == "auto" else [precision])
        for layout in ([False, True] if channels_last == "auto" else [bool(channels_last)])
    ]
    if len(candidates) == 1:
        return Choice(candidates[0][0], candidates[0][1])  # type: ignore[arg-type]
    key = _key(device, name, inputs, candidates)
    known = _read(memory).get(key)
    if known is not None:
        return Choice(**{**known, "note": "as remembered"})
    choice = _try(model, inputs[:IMAGES], targets[:IMAGES], loss_fn, device, candidates)
    _remember(memory, key, choice)
    return choice


def _precisions(device: torch.device) -> list[str]:
    if device.type == "cuda":
        return ["fp32", "bf16"] if torch.cuda.is_bf16_supported(including_emulation=False) else ["fp32", "fp16"]
    return ["fp32", "bf16"] if device.type == "cpu" else ["fp32"]


def _try(
    model: nn.Module, inputs: Tensor, targets: Tensor, loss_fn: Callable[[Tensor, Tensor], Tensor],
    device: torch.device, candidates: list[tuple[str, bool]],
) -> Choice:  # fmt: skip
    """Time each candidate on a copy of the model in evaluation mode, where every pass gives the same numbers."""
    trained = copy.deepcopy(model).eval()
    base = _trial(trained, inputs, targets, loss_fn, device, "fp32", False)
    first = candidates[0]
    best = Choice(first[0], first[1], 1.0, "measured")  # type: ignore[arg-type]
    if base.seconds < SMALL_STEP:
        return Choice(best.precision, best.channels_last, 1.0, "too small a step to gain")
    for precision, layout in sorted(candidates, key=lambda c: (c[0] == "fp32", not c[1])):
        if (precision, layout) == ("fp32", False):
            continue
        trial = _trial(trained, inputs, targets, loss_fn, device, precision, layout)
        speedup = base.seconds / trial.seconds
        if _agree(base, trial) and speedup >= WORTH_IT and speedup > 1.05 * best.speedup:
            best = Choice(precision, layout, round(speedup, 2), "measured")  # type: ignore[arg-type]
    return best


def _trial(
    model: nn.Module, inputs: Tensor, targets: Tensor, loss_fn: Callable[[Tensor, Tensor], Tensor],
    device: torch.device, precision: str, channels_last: bool,
) -> _Trial:  # fmt: skip
    layout = torch.channels_last if channels_last and inputs.ndim == 4 else torch.contiguous_format
    model.to(memory_format=layout)
    inputs = inputs.contiguous(memory_format=layout)
    seconds: list[float] = []
    for _ in range(2):
        model.zero_grad()
        started = time.perf_counter()
        with torch.autocast(device.type, dtype=DTYPES.get(precision), enabled=precision != "fp32"):
            logits = model(inputs)
            loss = loss_fn(logits, targets)
        loss.backward()  # type: ignore[no-untyped-call]
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
        if seconds[0] < SMALL_STEP:
            break
    gradients = [p.grad.float().flatten() for p in model.parameters() if p.grad is not None]
    return _Trial(min(seconds), logits.detach().float(), torch.cat(gradients))


def _agree(base: _Trial, trial: _Trial) -> bool:
    pairs = {"logits": (base.logits, trial.logits), "gradient": (base.gradient, trial.gradient)}
    return all(
        bool(torch.isfinite(ours).all())
        and float(functional.cosine_similarity(theirs.flatten(), ours.flatten(), dim=0)) >= COSINE[what]
        for what, (theirs, ours) in pairs.items()
    )


def _key(device: torch.device, name: str, inputs: Tensor, candidates: list[tuple[str, bool]]) -> str:
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    facts = [hardware, torch.get_num_threads(), torch.__version__, name, list(inputs.shape[1:]), candidates]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags"))})) or platform.processor()


def _read(memory: Path | None) -> dict[str, Any]:
    try:
        known = json.loads(memory.read_text()) if memory is not None else {}
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _remember(memory: Path | None, key: str, choice: Choice) -> None:
    if memory is not None:
        make_directory(memory.parent)
        atomic_write(memory, json.dumps({**_read(memory), key: asdict(choice)}, indent=1))
