import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcli.config.problems import Problems
from fastcli.config.yaml_reader import parse


def read(text):
    """The plain value of a text that has no mistakes."""
    problems = Problems()
    node = parse(text, "a.yaml", problems)
    problems.raise_if_any()
    return node.plain()


def mistakes(text):
    """(line, column, message, hint) of all mistakes, and whether a tree came out all the same."""
    problems = Problems()
    problems.sources["a.yaml"] = text.splitlines()
    node = parse(text, "a.yaml", problems)
    found = [(p.place.line, p.place.column, p.message, p.hint) for p in problems.error().problems]
    return found, node is not None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1e3", 1000.0), ("1.", 1.0), (".5", 0.5), ("-1.5E+2", -150.0), ("0x1F", 31), ("0o17", 15),
        ("007", 7), ("+3", 3), ("-.inf", -math.inf), (".INF", math.inf), ("true", True), ("False", False), ("~", None),
        ("null", None), ("", None), ("no", "no"), ("yes", "yes"), ("on", "on"), ("OFF", "OFF"), ("y", "y"),
        ("1_000", "1_000"), ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("0b11", "0b11"), ("1e", "1e"), ("=", "="),
        ("<<", "<<"), ("'1'", "1"), ('"true"', "true"), ("!!str 1", "1"), ("tRue", "tRue"), ("1.5.2", "1.5.2"),
    ],
)  # fmt: skip
def test_plain_words_are_those_of_yaml_1_2(text, value):
    got = read(f"a: {text}")["a"]
    assert got == value
    assert type(got) is type(value)


def test_not_a_number():
    assert math.isnan(read("a: .nan")["a"])


@given(st.floats(allow_nan=False))
def test_every_float_that_python_writes_is_read_as_that_float(number):
    text = repr(number).replace("inf", ".inf")
    assert read(f"a: {text}") == {"a": number}


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_every_integer_is_read(number):
    assert read(f"a: {number}") == {"a": number}


@given(st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1).filter(lambda word: word not in ("true", "false", "null")))
def test_every_other_word_is_text(word):
    assert read(f"a: {word}") == {"a": word}


@given(st.text())
def test_no_text_at_all_makes_the_reader_crash(text):
    problems = Problems()
    node = parse(text, "a.yaml", problems)
    assert node is not None or problems


def test_keys_are_text_as_written():
    assert read("no: 1\n1: 2\n1.0: 3\ntrue: 4") == {"no": 1, "1": 2, "1.0": 3, "true": 4}


def test_places_of_keys_and_values():
    node = parse("data:\n  source: PETS\n  size: [64, 'x']", "a.yaml", Problems())
    size = node.value["data"].value["size"]
    assert (size.key_place.line, size.key_place.column, size.key_place.width) == (3, 3, 4)
    assert (size.value[1].place.column, size.value[1].place.width) == (14, 3)


def test_a_duplicate_key_names_both_lines_and_does_not_hide_what_follows():
    found, read_on = mistakes("a: 1\nb: 2\na: 3\nb: 4")
    assert found == [
        (3, 1, "duplicate key 'a'", "it is already in line 1"),
        (4, 1, "duplicate key 'b'", "it is already in line 2"),
    ]
    assert read_on


def test_tabs_are_named_and_do_not_hide_what_follows():
    found, read_on = mistakes("a:\n    b: 1\n\tc: 2\n\td:\t3\na: 4")
    assert found == [
        (3, 1, "a tab in the indentation", "use blanks"),
        (4, 1, "a tab in the indentation", "use blanks"),
        (4, 7, "a tab", "use blanks"),
        (5, 1, "duplicate key 'a'", "it is already in line 1"),
    ]
    assert read_on


def test_tabs_in_text_are_allowed():
    assert read("a: 'x\ty'\nb: |\n  x\ty\n") == {"a": "x\ty", "b": "x\ty\n"}


def test_only_the_tabs_are_reported_where_the_rest_makes_no_sense():
    found, read_on = mistakes("a:\n\tb: 1\n c: 2\n   d: [")
    assert {message for _, _, message, _ in found} == {"a tab in the indentation"}
    assert not read_on


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: b: c", 1, 5, "a second ':' in this value"),
        ("a: 1\nb\nc: 2", 2, 1, "this line is neither 'key: value' nor '- item'"),
        ("a:\n  b: 1\n c: 2", 3, 2, "this does not line up with the lines above"),
        ("a: [1, 2\nb: 3", 1, 4, "this list is not closed, or lacks a ','"),
        ("a: {b: 1\nc: 3", 1, 4, "this mapping is not closed, or lacks a ','"),
        ("a: 'text\nb: 3", 1, 4, "this quote is not closed"),
        ("a: 1\n---\nb: 2", 2, 1, "a second document begins here"),
        ("a: @x", 1, 4, "a value cannot begin with this character"),
        ("a: *x", 1, 4, "there is no anchor of this name"),
        ("a: &x [*x]", 1, 4, "an anchor that contains itself"),
        ("a: !!python/object:os.system x", 1, 4, "the tag '!!python/object:os.system' is not allowed here"),
        ("a: !mine {b: 1}", 1, 4, "the tag '!mine' is not allowed here"),
        ("a: !!int x", 1, 4, "'x' is not a whole number"),
        ("? [a]\n: 1", 1, 3, "a key must be a word"),
        ("a: x\x07y", 1, 5, "the character U+0007 cannot stand in YAML"),
        ("a: " + "[" * 3000, 1, 0, "nested too deeply to be read"),
        ("a: " + "9" * 5000, 1, 4, f"{'9' * 39}… is too large: whole numbers have 64 bits"),
    ],
)
def test_syntax_errors_in_words(text, line, column, message):
    found, _ = mistakes(text)
    assert [(at, where, what) for at, where, what, _ in found] == [(line, column, message)]


def test_an_alias_bomb_is_refused():
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]
    found, read_on = mistakes("l0: &l0 [x, x]\n" + "\n".join(levels))
    assert "values once aliases are expanded" in found[0][2]
    assert not read_on


def test_harmless_aliases_are_read():
    assert read("a: &x {b: 1}\nc: *x") == {"a": {"b": 1}, "c": {"b": 1}}
