"""a_step_ahead: batches are copied to a GPU and augmented beside the step that it is busy with, one ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from fastcli.data.elements import like
from fastcli.data.plan import Batch

Made = tuple[Batch, list[Tensor]]
Done = tuple[Batch, tuple[Tensor, ...] | None]


def a_step_ahead(made: Iterator[Made], finish: Callable[[Made], Done], device: torch.device) -> Iterator[Done]:
    """What `finish` makes of each batch, on a stream of its own, and of the next one before it is asked for.

    So each is finished while the loop's stream is busy with the one before it. `made` is asked on this stream too; what
    is on the default stream by then is waited for, by the GPU and not by the host: threads decode onto it. The memory
    of a batch is not used again before the loop's stream is done with it.
    """
    beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    ready: tuple[Done, torch.cuda.Event] | None = None
    while (begun := _begin(made, finish, beside, device)) is not None or ready is not None:
        if ready is not None:
            yield _handed_over(*ready, device)
        ready = begun


def _begin(
    made: Iterator[Made], finish: Callable[[Made], Done], beside: torch.cuda.Stream, device: torch.device
) -> tuple[Done, torch.cuda.Event] | None:
    with torch.cuda.stream(beside):
        if (item := next(made, None)) is None:
            return None
        beside.wait_stream(torch.cuda.default_stream(device))
        _used_on(beside, item[1])
        return finish(item), beside.record_event()


def _handed_over(done: Done, event: torch.cuda.Event, device: torch.device) -> Done:
    loop = torch.cuda.current_stream(device)
    loop.wait_event(event)
    _used_on(loop, done[1] or ())
    return done


def _used_on(stream: torch.cuda.Stream, tensors: Iterable[Tensor]) -> None:
    """Keep the memory of these tensors until `stream` has done what it was given by the time they are freed."""
    for tensor in tensors:
        if on_gpu(tensor):
            tensor.as_subclass(Tensor).record_stream(stream)


def on_gpu(tensor: Tensor) -> bool:
    """Whether it lies in the memory of a GPU."""
    return tensor.device.type == "cuda"


def pinned(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors that lie in RAM where a GPU can fetch them by itself, each with its layout and type; others as such.

    torch does not use that memory again before a copy from it has been made (ATen/cuda/CachingHostAllocator.h).
    """
    return [tensor if on_gpu(tensor) else like(tensor.pin_memory(), tensor) for tensor in tensors]
