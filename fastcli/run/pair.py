"""One checkpoint: `name.safetensors` and `name.json`, which holds the checksums of both."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastcli.errors import FastcliError
from fastcli.run.files import (
    ELSEWHERE,
    atomic_path,
    atomic_write,
    encoded,
    read_json,
    sync_directory,
    sync_file,
    temporary,
    writing,
)

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
SUFFIXES = (".safetensors", ".json")
SPARE = 1 << 20
"""Bytes that must stay free beside the tensors, for JSON and tables."""


@dataclass(frozen=True)
class Record:
    """What a checkpoint's JSON says."""

    name: str
    bytes: int
    """Size of the file of tensors."""
    sha256: str
    """Checksum of the file of tensors."""
    value: float | None
    """The monitored metric, where the checkpoint is one of the best."""
    meta: dict[str, Any]


@contextmanager
def staged(
    directory: Path, name: str, tensors: Mapping[str, Tensor], meta: Mapping[str, Any], value: float | None
) -> Iterator[Path]:
    """A temporary folder with the complete pair, gone when the block ends.

    Raises FastcliError when the disk is full or cannot be written.
    """
    folder = temporary(directory / name)
    ready = _storable(tensors)
    try:
        with writing(directory / f"{name}.safetensors"):
            _check_space(directory, sum(tensor.nbytes for tensor in ready.values()))
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            _write(folder, name, ready, meta, value)
            sync_directory(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def place(folder: Path, directory: Path, name: str) -> None:
    """Move the pair `name` from the temporary folder to its place; between the two moves the name has no good pair."""
    for suffix in SUFFIXES:
        (folder / (name + suffix)).replace(directory / (name + suffix))
    sync_directory(directory)


def link(directory: Path, old: str, new: str) -> None:
    """Let the name `new` have the pair `old` too, by hard links, or by copies where the file system has none."""
    for suffix in SUFFIXES:
        source, target = directory / (old + suffix), directory / (new + suffix)
        unfinished = temporary(target)
        unfinished.unlink(missing_ok=True)
        try:
            os.link(source, unfinished)
        except OSError:
            shutil.copyfile(source, unfinished)
            sync_file(unfinished)
        unfinished.replace(target)
    sync_directory(directory)


def read_record(directory: Path, name: str) -> Record:
    """What the JSON of the checkpoint `name` says. Raises FastcliError where it is missing or damaged."""
    path = directory / f"{name}.json"
    if not path.is_file():
        raise FastcliError(f"there is no checkpoint {name!r} in {directory}")
    given = read_json(path)
    try:
        tensors, meta = given["tensors"], given["meta"]
        if given["format"] != FORMAT:
            raise FastcliError(
                f"{path} is of format {given['format']}, and this fastcli reads {FORMAT}: install a newer one"
            )
        if _sha256(json.dumps(meta)) != given["meta_sha256"]:
            raise FastcliError(f"{path} is damaged: its checksum differs")
        return Record(name, tensors["bytes"], tensors["sha256"], given["value"], meta)
    except (KeyError, TypeError) as error:
        raise FastcliError(f"{path} is damaged: it is not the JSON of a checkpoint") from error


def verified(directory: Path, name: str) -> Record:
    """The record of the checkpoint `name`, whose tensors were found to be those it describes.

    Raises FastcliError where a file is missing or a checksum differs.
    """
    record = read_record(directory, name)
    path = directory / f"{name}.safetensors"
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FastcliError(f"cannot read {path}: {error.strerror or error}") from error
    if found != record.sha256:
        raise FastcliError(f"{path} is damaged or was not saved to the end: its checksum differs")
    return record


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU. Raises FastcliError where it is none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise FastcliError(f"cannot read {path}: {error}") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], words: Mapping[str, str] | None = None) -> None:
    """Write one safetensors file, with `words` in its header, in place of an older one at once.

    Tensors that share memory are stored each in full. Raises FastcliError, with the older file intact, when the disk
    is full or cannot be written.
    """
    ready = _storable(tensors)
    with writing(path):
        _check_space(path.parent, sum(tensor.nbytes for tensor in ready.values()))
    with atomic_path(path) as unfinished:
        unfinished.touch()
        mode = unfinished.stat().st_mode
        _save_file(ready, unfinished, words)
        unfinished.chmod(mode)  # safetensors makes its files private, whatever the umask


def read_words(path: Path) -> dict[str, str]:
    """The words in the header of a safetensors file. Raises FastcliError where it is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise FastcliError(f"cannot read {path}: {error}") from error


def _write(folder: Path, name: str, tensors: dict[str, Tensor], meta: Mapping[str, Any], value: float | None) -> None:
    path = folder / f"{name}.safetensors"
    _save_file(tensors, path)
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    document = {
        "format": FORMAT,
        "tensors": {"file": path.name, "bytes": path.stat().st_size, "sha256": checksum},
        "meta_sha256": _sha256(json.dumps(meta)),
        "value": value,
        "meta": meta,
    }
    described = folder / f"{name}.json"
    atomic_write(described, json.dumps(document) + "\n")  # NaN stays NaN here: state must come back as it was
    shutil.copymode(described, path)  # safetensors makes its files private, whatever the umask
    sync_file(path)


def _save_file(tensors: dict[str, Tensor], path: Path, words: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file. Raises OSError, which safetensors hides in its message."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(tensors, path, metadata={"format": "pt", **(words or {})})
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def _storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, dense and each with memory of its own, as safetensors wants them."""
    import torch

    ready: dict[str, Tensor] = {}
    memories = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().as_subclass(torch.Tensor).cpu().contiguous()
        if plain.untyped_storage().data_ptr() in memories:
            plain = plain.clone()
        memories.add(plain.untyped_storage().data_ptr())
        ready[name] = plain
    return ready


def _check_space(directory: Path, needed: int) -> None:
    free = shutil.disk_usage(directory).free
    if free < needed + SPARE:
        message = (
            f"cannot write {directory}: a checkpoint needs {needed / 1e6:,.1f} MB and {free / 1e6:,.1f} MB are free"
        )
        raise FastcliError(message, hint=f"free some space, or {ELSEWHERE}")


def _sha256(text: str) -> str:
    return hashlib.sha256(encoded(text)).hexdigest()
