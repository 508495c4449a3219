"""Rows: what batches give, laid one under another on the CPU as it comes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastcli.errors import DataError


class Rows:
    """Collects tensors (n, …), or tuples of them, into float32 or whole numbers on the CPU.

    With `n`, the number of rows to expect, the result is written in place, with no second copy of it at the end.
    """

    def __init__(self, n: int | None = None) -> None:
        self.n = n or 0
        self._columns: list[_Column] = []
        self._single = True

    @property
    def empty(self) -> bool:
        """Whether nothing has come."""
        return not self._columns

    def add(self, part: Any) -> None:
        """Copy a batch's rows. Raises DataError where they have another shape than those before."""
        parts = tuple(part) if isinstance(part, tuple | list) else (part,)
        if not self._columns:
            self._single = len(parts) == 1
            self._columns = [_Column(self.n) for _ in parts]
        for column, rows in zip(self._columns, parts, strict=True):
            column.add(rows)

    def value(self) -> Any:
        """All rows: a tensor, or a tuple of them where there was more than one; None where nothing has come."""
        if self.empty:
            return None
        found = tuple(column.rows() for column in self._columns)
        return found[0] if self._single else found


class _Column:
    def __init__(self, n: int) -> None:
        self.n, self.filled = n, 0
        self.kept = torch.empty(0)

    @torch.inference_mode(mode=False)  # the result is the user's: it may be changed and trained on
    @torch.no_grad()
    def add(self, rows: Tensor) -> None:
        rows = rows.detach().as_subclass(Tensor)
        dtype = torch.float32 if rows.is_floating_point() else rows.dtype
        if not self.filled:
            self.kept = torch.empty(max(self.n, len(rows)), *rows.shape[1:], dtype=dtype)
        if rows.shape[1:] != self.kept.shape[1:]:
            shapes = f"{tuple(self.kept.shape[1:])} and {tuple(rows.shape[1:])}"
            raise DataError(f"items differ in shape, {shapes}, and cannot lie in one tensor")
        end = self.filled + len(rows)
        if end > len(self.kept):
            more = self.kept.new_empty(max(end, 2 * len(self.kept)) - len(self.kept), *self.kept.shape[1:])
            self.kept = torch.cat([self.kept, more])
        self.kept[self.filled : end].copy_(rows)
        self.filled = end

    def rows(self) -> Tensor:
        return self.kept[: self.filled]
