"""What the shell offers behind Tab: configurations, keys and their values, components, runs, models.

Each function gives the words that continue what is typed, with a few words about them. None imports torch, and none
fails: where something is wrong, nothing is offered.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fastcli.cli.run_words import RUNS
from fastcli.errors import FastcliError

if TYPE_CHECKING:
    from fastcli.config.shapes import Shapes

Offer = tuple[str, str]
"""A word and what it means."""
VALUE = re.compile(r"'([^']*)'|\b(true|false|null)\b")
MOST = 200


def calm(offers: Callable[[str], Iterator[Offer]]) -> Callable[[str], list[Offer]]:
    """A completer that offers nothing where something is wrong."""

    def complete(incomplete: str) -> list[Offer]:
        found: list[Offer] = []
        with suppress(FastcliError, OSError, ValueError):
            for offer in offers(incomplete):
                found.append(offer)
                if len(found) >= MOST:
                    break
        return found

    complete.__doc__ = offers.__doc__
    return complete


@calm
def configs(incomplete: str) -> Iterator[Offer]:
    """YAML files, and folders on the way to them."""
    folder, _, start = incomplete.rpartition("/")
    base = Path(folder or ("/" if incomplete.startswith("/") else "."))
    before = incomplete[: len(incomplete) - len(start)]
    for path in sorted(base.iterdir()):
        if not path.name.startswith(start) or (path.name.startswith(".") and not start):
            continue
        if path.is_dir():
            yield f"{before}{path.name}/", ""
        elif path.suffix in (".yaml", ".yml"):
            yield f"{before}{path.name}", _first_comment(path)


def _first_comment(path: Path) -> str:
    """What a configuration says of itself."""
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = [line[1:].strip() for line in (file.readline() for _ in range(4)) if line.startswith("#")]
    return next((line for line in lines if line and not line.startswith("yaml-language-server")), "")


@calm
def overrides(incomplete: str) -> Iterator[Offer]:
    """KEY=VALUE: the keys, and the values of a key."""
    key, equals, value = _split(incomplete)
    if equals:
        yield from _values(key, value, "" if _bash_breaks() else f"{key}=")
        return
    removes = "~" if incomplete.startswith("~") else ""
    found = keys(incomplete.removeprefix("~"))
    if removes:
        yield from ((f"~{name}", about) for name, about in found)
    elif len(found) == 1 and (values := list(_values(found[0][0], "", f"{found[0][0]}="))):
        yield from values
    else:
        yield from ((f"{name}=", about) for name, about in found)


def _bash_breaks() -> bool:
    """Whether the shell is bash, which takes `=` for a word of its own and completes what stands behind it."""
    return os.environ.get("_FASTCLI_COMPLETE", "").endswith("bash")


def _split(incomplete: str) -> tuple[str, bool, str]:
    """Key and value of what is typed, also where bash broke it into words."""
    if _bash_breaks():
        words = os.environ.get("COMP_WORDS", "").split()
        with suppress(ValueError, IndexError):
            place = int(os.environ.get("COMP_CWORD", ""))
            if incomplete == "=":
                return words[place - 1], True, ""
            if words[place - 1] == "=":
                return words[place - 2], True, incomplete
    key, equals, value = incomplete.partition("=")
    return key, bool(equals), value


def _values(key: str, start: str, before: str) -> Iterator[Offer]:
    """The values of a key that begin so: components, models, or what its rule names; else its default."""
    from fastcli.config.explain import explain

    if key in ("model", "model.name"):
        yield from ((before + name, about) for name, about in models(start))
        return
    found = explain(_shapes(), key)
    own = key.rpartition(".")[2]
    of_place = [(one.name, one.about) for one in found.choices if not any(p.name == own for p in one.parameters)]
    named = [(quoted or word, "") for quoted, word in VALUE.findall(found.allowed)]
    default = [(found.default, "the default")] if found.default else []
    offers = of_place or [*default, *((word, about) for word, about in named if word != found.default)]
    yield from ((before + word, about) for word, about in offers if word.startswith(start) and " " not in word)


@calm
def keys(incomplete: str) -> Iterator[Offer]:
    """Dotted keys; those below a section only once its name is typed."""
    from fastcli.config.explain import all_keys, explain

    shapes = _shapes()
    depth = incomplete.count(".")
    for key in all_keys(shapes):
        if key.startswith(incomplete) and key.count(".") <= max(1, depth):
            yield key, explain(shapes, key).about


def _shapes() -> Shapes:
    from fastcli.config.shapes import Shapes

    return Shapes.shipped()


@calm
def components(incomplete: str) -> Iterator[Offer]:
    """Kinds of components, and their names."""
    from fastcli.config.explain import PLACES

    shapes = _shapes()
    yield from ((kind, "a kind of component") for kind in PLACES if kind.startswith(incomplete))
    for kind, name, rule in sorted(shapes.components(), key=lambda one: one[:2]):
        if name.startswith(incomplete):
            yield name, f"{kind.replace('_', ' ')}: {rule.get('description', '')}"


@calm
def models(incomplete: str) -> Iterator[Offer]:
    """Architectures, and with a dot in it the sets of weights."""
    from fastcli.models.published import published

    seen = set()
    for row in published():
        name = row.name if "." in incomplete else row.architecture
        if name.startswith(incomplete) and name not in seen:
            seen.add(name)
            yield name, f"{row.params or 0:.1f} M, top-1 {row.top1}" if row.top1 else f"{row.params or 0:.1f} M"


@calm
def runs(incomplete: str) -> Iterator[Offer]:
    """Experiments, EXPERIMENT/STAMP, `latest`; the newest first."""
    from fastcli.run.find import runs_under

    found = runs_under(RUNS)
    names = [(path.relative_to(RUNS).as_posix(), status) for path, status in found]
    experiments = dict.fromkeys(name.partition("/")[0] for name, _ in names if "/" in name)
    short = [("latest", "the newest finished run"), *((name, "its newest run") for name in experiments)]
    long = [(name, status.seen_state) for name, status in names]
    offers = [*short, *long] if "/" not in incomplete else long
    yield from ((name, about) for name, about in offers if name.startswith(incomplete))


@calm
def experiments(incomplete: str) -> Iterator[Offer]:
    """Folders of runs."""
    yield from (
        (path.name, "") for path in sorted(RUNS.iterdir()) if path.is_dir() and path.name.startswith(incomplete)
    )


@calm
def families(incomplete: str) -> Iterator[Offer]:
    """Families of models."""
    from fastcli.models.published import published

    yield from ((name, "") for name in sorted({row.family for row in published()}) if name.startswith(incomplete))


@calm
def configs_or_overrides(incomplete: str) -> Iterator[Offer]:
    """Either of them."""
    yield from configs(incomplete)
    yield from overrides(incomplete)


@calm
def configs_or_runs(incomplete: str) -> Iterator[Offer]:
    """Either of them."""
    yield from configs(incomplete)
    yield from runs(incomplete)


@calm
def runs_or_overrides(incomplete: str) -> Iterator[Offer]:
    """Either of them."""
    yield from runs(incomplete)
    yield from overrides(incomplete)
