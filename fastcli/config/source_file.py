"""A configuration file from the disk: its text, or a problem that says why there is none."""

from __future__ import annotations

import os
from pathlib import Path

from fastcli.config.marks import Node, Place
from fastcli.config.problems import Problems
from fastcli.config.words import closest
from fastcli.config.yaml_reader import parse

MOST_BYTES = 1_000_000
SUFFIXES = (".yaml", ".yml")


def read_yaml(file: str, problems: Problems, named_at: Place | None = None) -> Node | None:
    """The tree written in `file`, or None after a problem that stops the reading.

    `named_at` is the place that names the file, if another file does; a missing file is reported there.
    """
    text = _read_text(file, problems, named_at or Place(file))
    if text is None:
        return None
    problems.sources[file] = text.splitlines()
    tree = parse(text, file, problems)
    if tree is None:
        return None
    if tree.value is None:
        problems.add(Place(file), "the file is empty", "the least that works is data.source and model.name")
        return None
    if not isinstance(tree.value, dict):
        problems.add(tree.place, "a configuration is made of 'key: value' lines", "the least: data.source, model.name")
        return None
    return tree


def _read_text(file: str, problems: Problems, place: Place) -> str | None:
    try:
        with Path(file).open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        problems.add(place, f"no such file: {file}", neighbour(file, SUFFIXES))
    except IsADirectoryError:
        names = _names_in(file, SUFFIXES)
        hint = f"it holds {', '.join(names[:5])}" if names else None
        problems.add(place, f"{file} is a folder, not a YAML file", hint)
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        problems.add(place, f"cannot read {file}: {getattr(error, 'strerror', None) or error}")
    else:
        return _decode(raw, file, problems, place)
    return None


def _decode(raw: bytes, file: str, problems: Problems, place: Place) -> str | None:
    if len(raw) > MOST_BYTES:
        problems.add(place, f"{file} is larger than 1 MB", "a configuration is some kilobytes; is this the right file?")
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        where = f"byte 0x{raw[error.start]:02x} in line {line}"
        problems.add(place, f"{file} is not UTF-8 text ({where})", "save it as UTF-8")
        return None


def neighbour(file: str, suffixes: tuple[str, ...] = ()) -> str | None:
    """A hint that names the file beside `file` which was most likely meant."""
    folder, name = os.path.split(file)
    names = _names_in(folder or ".", suffixes)
    if names is None:
        return f"there is no folder {folder}"
    near = closest(name, names)
    if near is None:
        return f"{folder or 'this folder'} holds {', '.join(names[:5])}" if names else None
    return f"did you mean {os.path.join(folder, near)!r}?"  # noqa: PTH118 - pathlib would tidy the user's own style


def _names_in(folder: str, suffixes: tuple[str, ...]) -> list[str] | None:
    """Names in a folder that end in one of `suffixes`, all when empty; None where it cannot be listed."""
    try:
        return sorted(path.name for path in Path(folder).iterdir() if not suffixes or path.suffix in suffixes)
    except OSError:
        return None
