"""What happens to one sample on its way into a batch, step by step, and which step fails."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor

from fastcli.data.labellers import label_all
from fastcli.data.loader import Loader
from fastcli.data.plan import Batch
from fastcli.data.seeding import generator
from fastcli.transforms.item import ItemPipeline

if TYPE_CHECKING:
    from fastcli.data.datablock import DataBlock
    from fastcli.data.datasets import Datasets

Write = Callable[[str], Any]
Result = TypeVar("Result")
SHOWN = 80
"""Characters of a value that are shown."""


class _Failed(Exception):  # noqa: N818 - carries nothing, the failure is told
    """A step failed and was told."""


class _Walk:
    """The lines told so far; `step` does one thing and tells it, or tells why it failed."""

    def __init__(self, write: Write | None) -> None:
        self.lines: list[str] = []
        self._write = write

    def tell(self, line: str) -> None:
        """Add a line."""
        self.lines.append(line)
        if self._write is not None:
            self._write(line)

    def step(self, name: str, work: Callable[[], Result], hint: str = "") -> Result:
        """The result of `work`; where it fails its error and a hint are told, and the walk ends."""
        try:
            return work()
        except Exception as error:  # whatever a user's function raises is to be told with its step
            self.tell(f"FAILED at: {name}")
            self.tell(f"  {type(error).__name__}: {getattr(error, 'message', error)}")
            if advice := getattr(error, "hint", None) or hint:
                self.tell(f"  hint: {advice}")
            raise _Failed from error


def summary(block: DataBlock, source: Any, *, batch_size: int, write: Write | None, **options: Any) -> str:
    """What `DataBlock.summary` gives back."""
    walk = _Walk(write)
    try:
        datasets = _datasets(walk, block, source)
        _sample(walk, block, datasets)
        _batch(walk, block, datasets, batch_size, options)
    except _Failed:
        pass
    return "\n".join(walk.lines)


def _datasets(walk: _Walk, block: DataBlock, source: Any) -> Datasets:
    items = walk.step("finding the items", lambda: block.find(source), "get_items turns the source into a list")
    walk.tell(f"Items of {_short(source)}: {len(items):,}, the first is {_short(items[0])}")
    walk.step("counting the blocks and getters", lambda: (block.made_blocks(), block.all_getters()))
    for k, getter in enumerate(block.all_getters()):
        name = _name(getter)
        value = walk.step(
            f"getting the value of block {k} with {name}",
            lambda getter=getter: label_all(items[:1], getter)[0] if getter else items[0],  # type: ignore[misc]
            f"it was given {_short(items[0])}",
        )
        walk.tell(f"Block {k}, {name}: {_short(value)}")
    hint = "the splitter takes items and labels and returns two lists of indices"
    datasets = walk.step("labelling, splitting and setting up the encoders", lambda: block.datasets(source), hint)
    walk.tell(f"Split: {len(datasets.train):,} train, {len(datasets.valid):,} validate")
    for target in datasets.targets:
        names = f", classes {_short(list(target.classes))}" if target.classes else ""
        walk.tell(f"Target: {target.kind}, {target.n_out} outputs{names}")
    return datasets


def _sample(walk: _Walk, block: DataBlock, datasets: Datasets) -> None:
    index = datasets.train.indices[0]
    walk.tell(f"Sample: {datasets.name_of(index)}")
    elements = walk.step("opening and encoding the sample", lambda: datasets[index])
    _tell_all(walk, "opened", elements)
    random = generator(0, 0, 0, 0)
    for transform in block.item_transforms:
        one = ItemPipeline([transform])
        name = f"item transform {transform!r}"
        rows = walk.step(f"drawing for {name}", lambda one=one: one.draw(1, random))  # type: ignore[misc]
        row = [None if drawn is None else drawn[0] for drawn in rows]
        elements = tuple(
            walk.step(name, lambda element=element, one=one, row=row: one.finish(one.prepare(element), row))  # type: ignore[misc]
            for element in elements
        )
        _tell_all(walk, name, elements)


def _batch(walk: _Walk, block: DataBlock, datasets: Datasets, size: int, options: dict[str, Any]) -> None:
    make = lambda: block_loaders(block, datasets, size, options)  # noqa: E731 - a step's work
    loader = walk.step("making the loaders", make)
    batch = Batch(0, 0, tuple(datasets.train.indices[:size]))
    hint = "every element of a batch must have one shape: add an item transform such as Resize(224)"
    elements = walk.step(f"collating {len(batch.items)} samples", lambda: loader.assemble(batch), hint)
    _tell_all(walk, f"batch of {len(batch.items)}", elements)
    for transform in loader.batches.transforms:
        walk.tell(f"Batch transform: {transform!r}")
    if loader.batches.normalize is not None:
        walk.tell(f"Normalise: {loader.batches.normalize!r}")
    _tell_all(walk, "what the model gets", walk.step("the batch transforms", lambda: loader.load(batch)))


def block_loaders(block: DataBlock, datasets: Datasets, size: int, options: dict[str, Any]) -> Loader:
    """The training loader, with nothing kept."""
    chosen = {"cache": "off"} | options | {"batch_size": size}
    return datasets.dataloaders(block.item_transforms, block.batch_transforms, **chosen).train


def _tell_all(walk: _Walk, name: str, elements: Any) -> None:
    walk.tell(f"{name[0].upper()}{name[1:]}:")
    for k, element in enumerate(elements):
        walk.tell(f"  {k}: {described(element)}")


def described(element: Any) -> str:
    """Type, shape and range of an element.

    >>> import torch
    >>> described(torch.tensor([[0.5, 1.0]]))
    'Tensor float32 (1, 2), 0.5 to 1'
    """
    if not isinstance(element, Tensor):
        return f"{type(element).__name__} {_short(element)}"
    kind = f"{type(element).__name__} {str(element.dtype).removeprefix('torch.')} {tuple(element.shape)}"
    plain = element.as_subclass(Tensor)
    return f"{kind}, {float(plain.min()):.4g} to {float(plain.max()):.4g}" if plain.numel() else f"{kind}, empty"


def _name(getter: Callable[[Any], Any] | None) -> str:
    if getter is None:
        return "the item itself"
    if isinstance(getter, partial):
        return f"{_name(getter.func)}({', '.join(f'{key}={value!r}' for key, value in getter.keywords.items())})"
    return getattr(getter, "__name__", repr(getter))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
