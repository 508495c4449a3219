import datetime
import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fastcli.config.dump import dump, to_yaml
from fastcli.config.load import load
from fastcli.config.models import Config
from fastcli.config.problems import Problems
from fastcli.config.yaml_reader import parse

text = st.text(st.characters(exclude_categories=["Cs"]))
TRICKY = [
    "no",
    "on",
    "y",
    "1e-3",
    "1_000",
    "0x1F",
    "0o7",
    "1:30",
    "2024-01-01",
    "null",
    "~",
    "",
    " a",
    "a ",
    "a: b",
    "#a",
    "a\nb",
    "a\n",
    "- a",
    "'",
    '"',
    "\\",
    "\t",
    "\x85",
    "\u2028",
    "é",
    "😀",
    "<<",
    "=",
    "!a",
    "&a",
    "*a",
    "%",
    "@",
    "`",
    ".inf",
    ".nan",
    "1.",
    "+1",
    "true",
    "TRUE",
    "?",
    "? a",
    "[",
    "{a",
    "a\x00b",
    "\ufeff",
]
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False)
    | text
    | st.sampled_from(TRICKY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text | st.sampled_from(TRICKY), inner, max_size=3),
    max_leaves=8,
)


def read(written):
    problems = Problems()
    node = parse(written, "a.yaml", problems)
    problems.raise_if_any()
    return node.plain()


@given(plain)
def test_what_is_written_is_read_again(value):
    written = to_yaml({"value": value})
    assert read(written) == {"value": value}


@given(
    st.dictionaries(
        text.filter(str.strip), st.sampled_from(TRICKY) | text | st.integers(-(2**63) + 1, 2**63 - 1) | st.booleans()
    )
)
def test_yaml_1_1_reads_the_same(value):
    assert yaml.safe_load(to_yaml(value)) == value


def test_not_a_number_too():
    assert math.isnan(read(to_yaml({"a": math.nan}))["a"])


@pytest.mark.parametrize("word", ["no", "on", "1e-3", "2024-01-01", "1:30", "null", "007"])
def test_words_that_look_like_something_else_are_quoted(word):
    assert to_yaml({"a": word}) == f"a: '{word}'\n"


def test_dates_are_text():
    assert not isinstance(read("a: 2024-01-01")["a"], datetime.date)


def test_sections_come_in_the_order_of_the_models(write):
    name = write("a.yaml", "train: fit\nmodel: mlp\ndata: {batch_size: 3, source: PETS}\nexperiment: {seed: 3}")
    keys = [line.partition(":")[0] for line in dump(load(name).config).splitlines() if line[0] not in " -"]
    assert keys == list(Config.model_fields)


params = st.fixed_dictionaries(
    {},
    optional={
        "experiment": st.fixed_dictionaries({"notes": text, "tags": st.lists(text), "seed": st.integers(0, 2**63 - 1)}),
        "optimizer": st.sampled_from(["adam", "sgd"])
        | st.fixed_dictionaries({"name": st.just("adam"), "eps": st.floats(1e-9, 1)}),
        "train": st.just("fine_tune") | st.fixed_dictionaries({"epochs": st.integers(1, 2**63 - 1)}),
        "callbacks": st.lists(
            st.just("early_stopping")
            | st.fixed_dictionaries({"name": st.just("early_stopping"), "patience": st.integers(1, 2**63 - 1)})
        ),
        "checkpoint": st.fixed_dictionaries({"every_minutes": st.floats(0, allow_infinity=False)}),
    },
)


@given(sections=params, classes=st.none() | st.lists(text | st.sampled_from(TRICKY)))
def test_a_configuration_survives_writing_and_reading(tmp_path_factory, sections, classes):
    data = {"source": "PETS", "classes": classes}
    config = Config.model_validate({"data": data, "model": "mlp", **sections})
    path = tmp_path_factory.mktemp("dumped") / "a.yaml"
    path.write_text(dump(config), "utf-8")
    loaded = load(path)
    assert loaded.config == config
    complete = loaded.with_defaults()
    path.write_text(dump(complete), "utf-8")
    assert load(path).config == complete


def test_notes_stand_behind_the_values(write):
    config = load(
        write("a.yaml", "model: mlp\ndata: {source: PETS}\nexperiment: {notes: 'a\n\n  b', tags: [x, y]}")
    ).config
    lines = dump(
        config,
        {
            ("experiment", "notes"): "one",
            ("experiment", "tags", 1): "two",
            ("callbacks",): "three",
            ("experiment",): "not shown",
        },
    ).splitlines()
    assert [line for line in lines if "#" in line] == [
        "  - y  # two",
        '  notes: "a\\nb"  # one',
        "callbacks: []  # three",
    ]
