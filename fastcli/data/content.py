"""What decides the prepared pixels of a set of files, as one key: two sets with the same key have the same pixels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision

from fastcli.data.split_file import relative_name
from fastcli.transforms.reading import open_regular

DECODING = 2
"""Raised when `open_image`, `open_mask` or a `prepare` gives other pixels than before."""
LOOKED_INTO = 16
"""Files whose first bytes count too, in case that two sets have equal names, sizes and times."""
FIRST = 64 * 2**10


def content_key(how: object, indices: Sequence[int], n: int, files: Sequence[Path], root: Path | None = None) -> str:
    """32 hexadecimal digits of all that decides the pixels of the items `indices` out of `n`.

    That is `how` the files are opened and prepared (by its repr), their names below `root`, their sizes and times.
    """
    versions = (DECODING, PIL.__version__, torch.__version__, torchvision.__version__)
    digest = hashlib.sha256(repr((versions, how, n, len(files))).encode())
    digest.update(np.asarray(indices, np.int64).tobytes())
    for file in files:
        digest.update(f"\n{relative_name(file, root or Path())}\0{_about(file)}".encode(errors="surrogateescape"))
    for file in files[:: max(1, len(files) // LOOKED_INTO)]:
        digest.update(_beginning(file))
    return digest.hexdigest()[:32]


def _about(file: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change; a file that is missing has neither."""
    try:
        about = os.stat(file)  # noqa: PTH116 - called per item
    except OSError:
        return -1, -1
    return about.st_size, about.st_mtime_ns


def _beginning(file: Path) -> bytes:
    try:
        with open_regular(file) as opened:
            return opened.read(FIRST)
    except OSError:
        return b""
