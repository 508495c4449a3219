"""YAML text to a tree of nodes: YAML 1.2 scalars, places kept, duplicates, tabs, tags and alias bombs refused."""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from fastcli.config.marks import COMMAND_LINE, Node, Place
from fastcli.config.problems import Problems

MOST_VALUES = 100_000
"""Values in one file, counted after aliases are expanded: what stops an alias bomb."""
MOST_TABS = 20
"""Places with tabs that are reported, each after another reading of the text."""

MOST_DIGITS = 100
"""Of a whole number, leading zeros included."""
HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""What no encoding has; the others stand for bytes of file names that are no UTF-8."""

NULL = "tag:yaml.org,2002:null"
BOOL = "tag:yaml.org,2002:bool"
INT = "tag:yaml.org,2002:int"
FLOAT = "tag:yaml.org,2002:float"
STR = "tag:yaml.org,2002:str"

CORE_SCHEMA = (
    (NULL, r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    (BOOL, r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    (INT, r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    (
        FLOAT,
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+0123456789."),
    ),
)
"""Which plain words are not text in YAML 1.2: tag, pattern, first characters."""


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2: `1e-3` is a number; `no`, `on`, dates and `1_000` are text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


for _tag, _pattern, _first in CORE_SCHEMA:
    Loader.add_implicit_resolver(_tag, re.compile(_pattern), _first)

# What PyYAML says -> what to tell a person, and what to do.
WORDS = (
    ("mapping values are not allowed", "a second ':' in this value", "put the value in quotes if it holds ': '"),
    ("could not find expected ':'", "this line is neither 'key: value' nor '- item'", None),
    ("expected <block end>", "this does not line up with the lines above", "indent the keys of a section equally"),
    ("expected ',' or ']'", "this list is not closed, or lacks a ','", "lists are written [a, b]"),
    ("expected ',' or '}'", "this mapping is not closed, or lacks a ','", "mappings are written {key: value, …}"),
    ("found unexpected end of stream", "this quote is not closed", None),
    ("found another document", "a second document begins here", "keep one configuration per file"),
    ("that cannot start any token", "a value cannot begin with this character", "put the value in quotes"),
    ("expected '<document start>'", "this comes after the end of the value", "is there a bracket or a quote too many?"),
    ("found undefined alias", "there is no anchor of this name", "put the value in quotes if it begins with '*'"),
)


def parse(text: str, file: str, problems: Problems, *, first_line: int = 1) -> Node | None:
    """The tree written in `text`, or None where a mistake stops the reading; mistakes go to `problems`.

    `first_line` is the number of the first line, for text that is not a file of its own. An empty text is a null node.
    """
    node = _compose(text, file, problems, first_line)
    return None if node is None else _Builder(file, problems, first_line).build(node)


def _compose(text: str, file: str, problems: Problems, first_line: int) -> yaml.Node | None:
    """PyYAML's nodes. A tab is reported, read as blanks, and the rest is read all the same."""
    tabs = 0
    while True:
        try:
            loader = Loader(text)
            start = loader.get_mark()
            return loader.get_single_node() or yaml.ScalarNode(NULL, "", start, start)
        except yaml.reader.ReaderError as error:
            before = text[: error.position].splitlines() or [""]
            place = Place(file, first_line + len(before) - 1, len(before[-1]) + 1)
            problems.add(place, f"the character U+{ord(text[error.position]):04X} cannot stand in YAML")
            return None
        except RecursionError:
            problems.add(Place(file, first_line), "nested too deeply to be read")
            return None
        except yaml.MarkedYAMLError as error:
            if not _is_tab(text, error.problem_mark):
                if not tabs:  # otherwise it is most likely the tabs' doing
                    _add_syntax_error(error, file, problems, first_line)
                return None
            tabs += 1
            text = _without_tab(text, error.problem_mark, file, problems, first_line)
            if tabs >= MOST_TABS:
                return None


def _is_tab(text: str, mark: yaml.Mark | None) -> bool:
    return mark is not None and text[mark.index : mark.index + 1] == "\t"


def _without_tab(text: str, mark: Any, file: str, problems: Problems, first_line: int) -> str:
    """The text with the tabs at `mark` made blanks, after the complaint."""
    run = re.compile(r"\t+").match(text, mark.index)
    assert run is not None  # _is_tab saw one
    width = len(run.group())
    indents = not text[: mark.index].rpartition("\n")[2].strip()
    what = "a tab in the indentation" if indents else "a tab"
    problems.add(Place(file, mark.line + first_line, mark.column + 1, width), what, "use blanks")
    steps = [len(blanks) for blanks in re.findall(r"^( +)\S", text, re.MULTILINE)] if indents else [1]
    text = text[: mark.index] + " " * (width * min(steps, default=2)) + text[mark.index + width :]
    if file != COMMAND_LINE:
        problems.sources[file] = text.splitlines()  # what the columns of further mistakes count in
    return text


def _add_syntax_error(error: yaml.MarkedYAMLError, file: str, problems: Problems, first_line: int) -> None:
    found = error.problem or ""
    said, message, hint = next((words for words in WORDS if words[0] in found), (None, f"YAML: {found}", None))
    at_start = said is not None and any(word in said for word in ("','", "':'", "end of stream"))
    mark = error.context_mark if at_start and error.context_mark else error.problem_mark or error.context_mark
    assert mark is not None  # every scanner, parser and composer error carries one
    problems.add(Place(file, mark.line + first_line, mark.column + 1), message, hint)


class _Builder:
    """Turns PyYAML's nodes into ours. Scalars are read here, so no tag can make anything else."""

    def __init__(self, file: str, problems: Problems, first_line: int) -> None:
        self.file, self.problems, self.first_line = file, problems, first_line
        self.count = 0
        self.open: set[int] = set()

    def build(self, node: yaml.Node, key_place: Place | None = None) -> Node | None:
        """Our node, or None where reading must stop."""
        self.count += 1
        if self.count > MOST_VALUES:
            self.problems.add(self.place(node), f"more than {MOST_VALUES:,} values once aliases are expanded")
            return None
        if id(node) in self.open:
            self.problems.add(self.place(node), "an anchor that contains itself")
            return None
        self.open.add(id(node))
        place = self.place(node)
        spot = key_place or place
        visible = node.start_mark.line == node.end_mark.line and node.start_mark.index < node.end_mark.index
        value = self.value(node, place)
        self.open.discard(id(node))
        return None if value is _STOP else Node(value, place if visible else spot, spot)

    def place(self, node: yaml.Node) -> Place:
        start, end = node.start_mark, node.end_mark
        width = end.column - start.column if start.line == end.line else 1
        return Place(self.file, start.line + self.first_line, start.column + 1, max(1, width))

    def value(self, node: yaml.Node, place: Place) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self.mapping(node)
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            items = [self.build(item, self.place(item)) for item in node.value]
            return _STOP if None in items else items
        return self.scalar(node, place)

    def mapping(self, node: yaml.MappingNode) -> Any:
        result: dict[str, Node] = {}
        for key_node, value_node in node.value:
            place = self.place(key_node)
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == NULL:
                self.problems.add(place, "a key must be a word")
                continue
            key = key_node.value  # as written: a key is text, also where it looks like a number or true
            if key in result:
                first = result[key].key_place.line
                self.problems.add(place, f"duplicate key {key!r}", f"it is already in line {first}")
            value = self.build(value_node, place)
            if value is None:
                return _STOP
            result[key] = value
        return result

    def scalar(self, node: yaml.Node, place: Place) -> Any:
        text = node.value
        try:
            if node.tag == STR:
                return self.text(text, place)
            if node.tag == NULL:
                return None
            if node.tag == BOOL:
                return {"true": True, "false": False}[text.lower()]
            if node.tag == INT:
                return self.whole(text, place)
            if node.tag == FLOAT:
                return self.number(text, place)
        except (KeyError, ValueError):
            self.problems.add(place, f"{text[:40]!r} is not {_TAG_WORDS[node.tag]}")
            return None
        self.problems.add(place, f"the tag {node.tag.replace('tag:yaml.org,2002:', '!!')!r} is not allowed here")
        return None

    def text(self, text: str, place: Place) -> str:
        if HALF.search(text):
            self.problems.add(place, "half of a surrogate pair is no character", "write the character itself")
        return text

    def whole(self, text: str, place: Place) -> int | None:
        if len(text) > MOST_DIGITS or abs(value := int(text, 0) if text[:2] in ("0x", "0o") else int(text)) >= 2**63:
            self.problems.add(place, f"{_shown(text)} is too large: whole numbers have 64 bits")
            return None
        return value

    def number(self, text: str, place: Place) -> float | None:
        value = float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
        if math.isinf(value) and "i" not in text.lower():
            self.problems.add(place, f"{_shown(text)} is too large", "write .inf for infinity")
            return None
        return value


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


_STOP = object()
_TAG_WORDS = {BOOL: "true or false", INT: "a whole number", FLOAT: "a number"}
