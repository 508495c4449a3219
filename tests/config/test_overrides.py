import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fastcli.config.dump import Dumper
from fastcli.config.load import load
from fastcli.config.overrides import read_override
from fastcli.config.problems import InvalidConfigError, Problems

GOOD = "data: {source: PETS}\nmodel: resnet18\n"


@pytest.mark.parametrize(
    ("file", "overrides", "section", "value"),
    [
        ("", ["experiment.seed=3"], "experiment.seed", 3),
        ("", ["experiment.notes=a=b=c"], "experiment.notes", "a=b=c"),
        ("", ["experiment.notes='no'"], "experiment.notes", "no"),
        ("", ["experiment.notes=yes"], "experiment.notes", "yes"),
        ("experiment: {notes: x}", ["~experiment.notes"], "experiment.notes", ""),
        ("experiment: {seed: 1}", ["~experiment"], "experiment.seed", 42),
        ("", ["experiment.seed=3", "experiment.seed=4"], "experiment.seed", 4),
        ("optimizer: {name: adam, eps: 1}", ["optimizer=sgd"], "optimizer", {"name": "sgd"}),
        ("optimizer: {name: adam, eps: 1}", ["optimizer=adam"], "optimizer", {"name": "adam"}),
        ("optimizer: {name: adam, eps: 1}", ["optimizer={name: adam}"], "optimizer", {"name": "adam"}),
        ("optimizer: adam", ["optimizer.eps=1e-3"], "optimizer", {"name": "adam", "eps": 0.001}),
        ("", ["optimizer.eps=1e-3"], "optimizer", {"name": "adam", "eps": 0.001}),
        ("optimizer: {name: adam, eps: 1}", ["optimizer.name=sgd"], "optimizer", {"name": "sgd"}),
        (
            "optimizer: {name: adam, eps: 1}",
            ["optimizer.weight_decay=2", "optimizer.name=sgd"],
            "optimizer",
            {"name": "sgd", "weight_decay": 2},
        ),
        ("loss: null", ["loss.name=cross_entropy"], "loss", {"name": "cross_entropy"}),
        (
            "callbacks: [early_stopping]",
            ["callbacks.0.patience=5"],
            "callbacks.0",
            {"name": "early_stopping", "patience": 5},
        ),
        ("callbacks: [early_stopping]", ["~callbacks"], "callbacks", []),
        (
            "callbacks: [early_stopping, terminate_on_nan]",
            ["~callbacks.0"],
            "callbacks",
            [{"name": "terminate_on_nan"}],
        ),
        ("callbacks: [early_stopping]", ["callbacks.0=terminate_on_nan"], "callbacks.0", {"name": "terminate_on_nan"}),
        ("", ["metrics=[accuracy, {name: error_rate}]"], "metrics", [{"name": "accuracy"}, {"name": "error_rate"}]),
        ("", ["train=fine_tune", "train.epochs=2"], "train", {"recipe": "fine_tune", "epochs": 2}),
    ],
)
def test_what_an_override_does(write, file, overrides, section, value):
    tree = load(write("a.yaml", GOOD + file), overrides).config.model_dump()
    for part in section.split("."):
        tree = tree[int(part)] if part.isdecimal() else tree[part]
    assert tree == value


def test_values_set_by_the_program_come_last(write):
    config = load(write("a.yaml", GOOD), ["experiment.seed=3"], set_values={"experiment.seed": 4}).config
    assert config.experiment.seed == 4


@pytest.mark.parametrize(
    ("override", "message", "hint"),
    [
        (
            "train.epochs",
            "the override 'train.epochs' has no value",
            "write train.epochs=VALUE, or ~train.epochs to go back to the default",
        ),
        ("~experiment=1", "the override '~experiment=1' takes no value", "write ~experiment"),
        ("=1", "the override '=1' has an empty key", "write section.key=value"),
        ("~", "the override '~' has an empty key", "write section.key=value"),
        ("data..source=1", "the override 'data..source=1' has an empty key", "write section.key=value"),
        ("metrics=[a", "this list is not closed, or lacks a ','", "lists are written [a, b]"),
        ("experiment.tags=[a]]", "this comes after the end of the value", "is there a bracket or a quote too many?"),
        ("~experimant", "there is no experimant to remove", "did you mean 'experiment'?"),
        ("~experiment.sed", "there is no experiment.sed to remove", "did you mean 'seed'?"),
        ("~loss.weights.x", "there is no loss.weights.x to remove", None),
        ("experiment.seed.x=1", "experiment.seed is 1; it has no keys", None),
        ("callbacks.1.patience=1", "there is no callbacks.1.patience", "the list has 1 item, counted from 0"),
        ("callbacks.x=1", "there is no callbacks.x", "the list has 1 item, counted from 0"),
        ("extends=b.yaml", "extends can only be written in a file", None),
        ("data.bacth_size=64", "unknown key 'bacth_size' in data", "did you mean 'batch_size'?"),
        ("epochs=3", "unknown key 'epochs'", "'epochs' belongs in train"),
        ("experiment.seed=many", "experiment.seed must be a whole number, not 'many'", None),
        ("experiment.seed=", "experiment.seed must be a whole number, not null", None),
    ],
)
def test_bad_overrides(errors, override, message, hint):
    text = GOOD + "experiment: {seed: 1}\ncallbacks: [early_stopping]"
    assert errors(text, override) == [(message, hint)]


def test_mistakes_are_shown_under_the_words_of_the_command_line(write):
    with pytest.raises(InvalidConfigError) as caught:
        load(write("a.yaml", GOOD), ["data.batch_size=64", "data.bacth_size=64", "metrics=[accuracy, acuracy]"])
    assert str(caught.value) == (
        "command line: error: unknown key 'bacth_size' in data\n"
        "      | data.bacth_size=64\n"
        "      |      ^^^^^^^^^^ did you mean 'batch_size'?\n"
        "command line: error: unknown metric 'acuracy'\n"
        "      | metrics=[accuracy, acuracy]\n"
        "      |                    ^^^^^^^ did you mean 'accuracy'?\n"
        "2 errors; nothing was run"
    )


def test_values_of_several_lines_keep_the_lines_apart(write):
    with pytest.raises(InvalidConfigError) as caught:
        load(write("a.yaml", GOOD), ["experiment={notes: a,\nsead: 3}", "epochs=3"], set_values={"experiment.seed": -1})
    assert str(caught.value).splitlines() == [
        "command line: error: unknown key 'sead' in experiment",
        "      | sead: 3}",
        "      | ^^^^ did you mean 'seed'?",
        "command line: error: unknown key 'epochs'",
        "      | epochs=3",
        "      | ^^^^^^ 'epochs' belongs in train",
        "command line: error: experiment.seed must be at least 0, not -1",
        "      | experiment.seed=-1",
        "      |                 ^^",
        "3 errors; nothing was run",
    ]


def test_a_bad_override_does_not_hide_mistakes_of_the_file(errors):
    found = [message for message, _ in errors(GOOD + "los: 1", "x", "data.batch_size=0")]
    assert found == [
        "unknown key 'los'",
        "the override 'x' has no value",
        "data.batch_size must be at least 1, not 0",
    ]


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(min_size=1), inner),
)


@given(plain)
def test_every_value_can_be_given_as_an_override(value):
    problems = Problems()
    flow = yaml.dump([value], Dumper=Dumper, default_flow_style=True, allow_unicode=True, width=float("inf"))
    override = read_override(f"a.b={flow}", 1, problems)
    problems.raise_if_any()
    assert override.parts == ("a", "b")
    assert override.value.plain() == [value]
