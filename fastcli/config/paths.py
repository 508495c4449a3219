"""Values that are paths: `${env:NAME}` put in, relative ones resolved against the file they are written in."""

from __future__ import annotations

import os
import re
from pathlib import Path

from fastcli.config.marks import COMMAND_LINE, Node
from fastcli.config.problems import Problems
from fastcli.config.source_file import neighbour
from fastcli.config.words import closest, type_hint
from fastcli.data.catalog import KNOWN, find_known
from fastcli.errors import did_you_mean

ENV = re.compile(r"\$\{env:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:,(?P<default>[^}]*))?\}")
ENV_START = "${env:"
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
SECRET = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)
"""Names of variables whose values are not written down."""
WRITTEN: dict[str, str] = {}
"""Values with a secret put in, and how they are written without."""
PATH_FORMATS = ("path", "file-path", "directory-path", "output-path", "source")
"""The formats of the schema that make a text a path; `source` may also be a URL or a known data set."""


def expand(node: Node, key: str, problems: Problems) -> str | None:
    """The node's text with `${env:NAME}` and `${env:NAME,default}` put in, or None after a problem."""
    text: str = node.value
    missing = [m["name"] for m in ENV.finditer(text) if m["name"] not in os.environ and m["default"] is None]
    for name in missing:
        hint = did_you_mean(name, os.environ) if closest(name, os.environ, 0.8) else f"export {name}=…"
        problems.add(node.place, f"the environment variable {name} is not set", hint, key)
    rest = ENV.sub(lambda found: os.environ.get(found["name"], found["default"] or ""), text)
    if not missing and ENV_START in ENV.sub("", text):
        problems.add(node.place, "not a reference to a variable", "write ${env:NAME} or ${env:NAME,default}", key)
        return None
    return None if missing else rest


def as_written(value: str) -> str:
    """The value as it may be kept in a file: where it holds a secret, with the `${env:NAME}` that it was read from."""
    return WRITTEN.get(value, value)


def resolve(node: Node, key: str, form: str, problems: Problems, *, must_exist: bool = True) -> None:
    """Put the real path into the node; with `must_exist` only after a look whether there is what its format says."""
    text: str = node.value
    given = expand(node, key, problems if must_exist else Problems())
    if given is None:
        return
    path = _absolute(given, node)
    if form == "output-path":  # relative to the working directory, wherever a run is repeated
        node.value = os.path.expanduser(given)  # noqa: PTH111
    elif form == "source" and _is_remote(given, path):
        node.value = given
    elif must_exist and _missing(path, form):
        message, hint = _words(given, path, form)
        problems.add(node.place, f"{key}: {message}", hint, key)
    else:
        node.value = path
    if any(SECRET.search(found["name"]) for found in ENV.finditer(text)):
        WRITTEN[node.value] = text if node.value == given else _absolute(text, node)


def _is_remote(given: str, path: str) -> bool:
    """Whether a source is a URL or a known data set; a file or folder of that name goes before a name in other case."""
    if URL.match(given) or given in KNOWN:
        return True
    return find_known(given) is not None and _missing(path, "source")


def _absolute(given: str, node: Node) -> str:
    """Against the folder of the file that the node is written in; against the working directory on the command line."""
    folder = "" if node.place.file == COMMAND_LINE else os.path.dirname(node.place.file)  # noqa: PTH120
    return os.path.abspath(os.path.join(folder, os.path.expanduser(given)))  # noqa: PTH100,PTH111,PTH118


def _missing(path: str, form: str) -> bool:
    there = {"source": Path.exists, "file-path": Path.is_file, "directory-path": Path.is_dir}.get(form)
    try:
        return there is not None and not there(Path(path))
    except (OSError, ValueError):  # too long, or a NUL character: no such file in any case
        return True


def _words(given: str, path: str, form: str) -> tuple[str, str | None]:
    if form != "source":
        hint = type_hint(given, {"boolean"}) or neighbour(path)
        return f"no such {'folder' if form == 'directory-path' else 'file'}: {path}", hint
    known = closest(given, KNOWN)
    hint = f"did you mean {known!r}?" if known else neighbour(path)
    return f"no data set, file or folder is called {given!r}", hint
