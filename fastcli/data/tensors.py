"""Loaders of datasets that are in memory already: tensors, lists of tuples, torch's datasets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from fastcli.data.plan import BatchPlan
from fastcli.errors import DataError


class DataLoader(BatchPlan):
    """Iterates over any indexable `dataset` in batches on `device`: tuples of tensors for samples that are tuples.

    Parts that are tensors of one shape, or numbers, are stacked once and batches are slices; other datasets, such as
    those that read files, are read batch by batch. Text stays text. The order is a function of `seed` and the epoch;
    each iteration is the next epoch unless `set_epoch` says otherwise.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 64,
        shuffle: bool = False,
        drop_last: bool = False,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(range(len(dataset)), batch_size, shuffle=shuffle, drop_last=drop_last, seed=seed)
        self.dataset, self.device = dataset, torch.device(device)
        self._stacked = _stacked(dataset)
        self._bare = len(dataset) > 0 and not isinstance(dataset[0], (tuple, list))

    def __repr__(self) -> str:
        return f"DataLoader({self.n} items, {len(self)} batches of {self.batch_size})"

    def __iter__(self) -> Iterator[Any]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        batches = self._read(epoch) if self._stacked is None else self._sliced(self._stacked, epoch)
        for parts in batches:
            moved = tuple(
                part.to(self.device, non_blocking=True) if isinstance(part, Tensor) else part for part in parts
            )
            yield moved[0] if self._bare else moved

    def _read(self, epoch: int) -> Iterator[Sequence[Any]]:
        """Batches of samples that are made one by one."""
        for batch in self.plan(epoch):
            yield collate([self.dataset[i] for i in batch.items], batch.items)

    def _sliced(self, stacked: list[Tensor], epoch: int) -> Iterator[Sequence[Any]]:
        """Batches cut from all samples: one gather per part, or none where the order is that of the samples."""
        bounds = self._bounds()
        if not self.shuffle:
            yield from ([part[start:end] for part in stacked] for start, end in bounds)
            return
        sizes = [end - start for start, end in bounds]
        order = self._order(epoch)[: sum(sizes)]
        chosen = {device: torch.split(order.to(device), sizes) for device in {part.device for part in stacked}}
        for i in range(len(sizes)):
            yield [part.index_select(0, chosen[part.device][i]) for part in stacked]


def collate(samples: Sequence[Any], names: Sequence[Any]) -> list[Any]:
    """The parts of the samples, each as one tensor (n, …), or as a tuple for text.

    Raises DataError that names two samples whose shapes differ.

    >>> collate([(torch.zeros(2), 1), (torch.ones(2), 0)], "ab")
    [tensor([[0., 0.],
            [1., 1.]]), tensor([1, 0])]
    """
    parts: list[Any] = []
    for k, column in enumerate(zip(*map(_row, samples), strict=True)):
        if isinstance(column[0], str):
            parts.append(column)
            continue
        tensors = [torch.as_tensor(value) for value in column]
        for name, tensor in zip(names, tensors, strict=True):
            if tensor.shape != tensors[0].shape:
                raise DataError(
                    f"part {k} of sample {name} has the shape {tuple(tensor.shape)}, "
                    f"that of sample {names[0]} {tuple(tensors[0].shape)}",
                    hint="give every sample one shape, for pictures by resizing them",
                )
        parts.append(torch.stack(tensors))
    return parts


def _row(sample: Any) -> Sequence[Any]:
    return sample if isinstance(sample, (tuple, list)) else (sample,)


def _stacked(dataset: Any) -> list[Tensor] | None:
    """All samples as one tensor per part, or None for what is not a list of tensors and numbers of one shape."""
    if isinstance(dataset, torch.utils.data.TensorDataset):
        return list(dataset.tensors)
    if isinstance(dataset, Tensor):
        return [dataset]
    if not isinstance(dataset, (list, tuple)) or not dataset:
        return None
    kinds = {tuple(map(_kind, _row(sample))) for sample in dataset}
    if len(kinds) != 1 or None in next(iter(kinds)):
        return None
    return collate(dataset, range(len(dataset)))


def _kind(part: Any) -> Any:
    """Shape and type of a tensor, the type of a number, None for anything else."""
    if isinstance(part, Tensor):
        return tuple(part.shape), part.dtype, part.device
    return type(part) if isinstance(part, (int, float)) else None
