from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fastcli.config.check import Checker
from fastcli.config.load import load
from fastcli.config.marks import DEFAULT, plant
from fastcli.config.models import CheckpointSection, Config, DataSection, ExperimentSection, RuntimeSection
from fastcli.config.problems import InvalidConfigError, Problems
from fastcli.config.shapes import Shapes

HERE = Path(__file__).parent
GOOD = "data: {source: PETS}\nmodel: resnet18\n"


def test_twelve_mistakes_get_twelve_messages(monkeypatch):
    monkeypatch.chdir(HERE)
    with pytest.raises(InvalidConfigError) as caught:
        load("mistakes.yaml")
    assert f"{caught.value}\n" == Path("mistakes.txt").read_text()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("experiment: {seed: 1.0}", "experiment.seed must be a whole number, not 1.0", "write 1"),
        ("experiment: {seed: '1'}", "experiment.seed must be a whole number, not '1'", "write 1 without quotes"),
        ("experiment: {seed: 1_000}", "experiment.seed must be a whole number, not '1_000'", "write 1000"),
        ("experiment: {seed: true}", "experiment.seed must be a whole number, not true", None),
        ("experiment: {seed: }", "experiment.seed must be a whole number, not null", None),
        ("experiment: {seed: [1]}", "experiment.seed must be a whole number, not a list", None),
        ("experiment: {seed: -1}", "experiment.seed must be at least 0, not -1", None),
        ("experiment: {notes: 1}", "experiment.notes must be text, not 1", "write '1' in quotes"),
        ("experiment: {name: a/b}",
         "experiment.name must be a name without slashes that does not begin with a dot, not 'a/b'", None),
        ("experiment: {tags: a}", "experiment.tags must be a list of texts, not 'a'", "write [a]"),
        ("experiment: {tags: [a, 1]}", "experiment.tags.1 must be text, not 1", "write '1' in quotes"),
        ("experiment: ", "experiment must be a section of keys, not null", None),
        ("experiment: {output: ''}", "experiment.output must not be empty", None),
        ("checkpoint: {every_minutes: x}", "checkpoint.every_minutes must be a number, not 'x'", None),
        ("runtime: {compile: yes}", "runtime.compile must be 'auto', true or false, not 'yes'", "write true or false"),
        ("runtime: {precision: fp61}", "runtime.precision must be 'auto', 'fp32', 'bf16' or 'fp16', not 'fp61'",
         "did you mean 'fp16'?"),
        ("runtime: {device: gpu}",
         "runtime.device must be auto, cpu, cuda, cuda:0 (or another number) or mps, not 'gpu'", None),
        ("version: 2", "version must be 1, not 2", None),
        ("loss: 3", "loss must be a name, {name: …} or null, not 3", None),
        ("loss: {label_smoothing: 0.1}", "missing key 'name' in loss", None),
        ("optimizer: 3", "optimizer must be a name or {name: …}, not 3", None),
        ("optimizer: {name: 3}", "optimizer.name must be text, not 3", "write '3' in quotes"),
        ("optimizer: {name: [adam]}", "optimizer.name must be text, not a list", None),
        ("optimizer: {eps: x}", "optimizer.eps must be a number, not 'x'", None),
        ("optimizer: {epss: 1}", "any optimizer has no parameter 'epss'", "did you mean 'eps'?"),
        ("callbacks: [{nam: early_stopping}]", "unknown key 'nam' in callbacks.0", "did you mean 'name'?"),
        ("callbacks: [{name: early_stopping, mode: mix}]", "callbacks.0.mode must be 'auto', 'min' or 'max', not 'mix'",
         "did you mean 'min'?"),
        ("train: {recipe: fine_tune, pct_start: 1.5}", "train.pct_start must be less than 1, not 1.5", None),
        ("train: {recipe: fine_tune, momentum: [1, 2]}", "train.momentum must have 3 items, not 2", None),
        ("train: {recipe: fine_tune, momentum: [1, 2, x]}", "train.momentum.2 must be a number, not 'x'", None),
        ("train: {recipe: fine_tune, lr: fast}", "train.lr must be a number, not 'fast'", None),
        ("train: {recipe: fine_tun}", "unknown recipe 'fine_tun'", "did you mean 'fine_tune'?"),
        ("train: {epochs: 0}", "train.epochs must be at least 1, not 0", None),
        ("train: {epochz: 1}", "any recipe has no parameter 'epochz'", "did you mean 'epochs'?"),
    ],
)  # fmt: skip
def test_values_of_the_wrong_kind(errors, text, message, hint):
    found = errors(GOOD + text)
    assert len(found) == 1
    assert found[0][0] == message
    if hint is not None:
        assert found[0][1] == hint


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("epochs: 3", "unknown key 'epochs'", "'epochs' belongs in train"),
        ("lr: 3", "unknown key 'lr'", "'lr' belongs in optimizer or train"),
        ("batch_size: 3", "unknown key 'batch_size'", "'batch_size' belongs in data"),
        ("bacth_size: 3", "unknown key 'bacth_size'", "did you mean 'batch_size' in data?"),
        ("runtime: {seed: 3}", "unknown key 'seed' in runtime", "'seed' belongs in experiment"),
        ("runtime: {metrics: [accuracy]}", "unknown key 'metrics' in runtime", "'metrics' belongs in the top level"),
        ("metric: [accuracy]", "unknown key 'metric'", "did you mean 'metrics'?"),
        ("optimizer: {name: adam, epochs: 3}", "optimizer 'adam' has no parameter 'epochs'",
         "'epochs' belongs in train"),
        ("train: {recipe: fit, patience: 3}\ncallbacks: [early_stopping]", "recipe 'fit' has no parameter 'patience'",
         "'patience' belongs in callbacks"),
        ("runtime: {patience: 3}", "unknown key 'patience' in runtime",
         "'patience' belongs to callback 'early_stopping' or callback 'reduce_on_plateau'"),
        ("train: {recipe: fit, freeze_epochs: 3}", "recipe 'fit' has no parameter 'freeze_epochs'",
         "'freeze_epochs' belongs to recipe 'fine_tune'"),
        ("runtime: {zzzzzz: 3}", "unknown key 'zzzzzz' in runtime",
         "known: channels_last, compile, deterministic, device, devices, graph, precision"),
        ("<<: {a: 3}", "unknown key '<<'", "merge keys are not supported; use extends"),
    ],
)  # fmt: skip
def test_keys_in_the_wrong_place_are_told_where_they_belong(errors, text, message, hint):
    assert errors(GOOD + text) == [(message, hint)]


def test_missing_sections_and_keys(errors):
    assert [message for message, _ in errors("version: 1")] == ["missing key 'data'", "missing key 'model'"]
    assert [message for message, _ in errors("data: {batch_size: 3}\nmodel: mlp")] == ["missing key 'source' in data"]
    assert [message for message, _ in errors(GOOD + "metrics: [{}]")] == ["missing key 'name' in metrics.0"]


def test_a_misspelt_key_is_not_missing_too(errors):
    assert errors("data: {sorce: PETS}\nmodle: mlp") == [
        ("unknown key 'sorce' in data", "did you mean 'source'?"),
        ("unknown key 'modle'", "did you mean 'model'?"),
    ]


def test_a_required_parameter_is_asked_for(errors):
    found = errors("data: {source: PETS, label: regex, split: {name: file, paht: x}}\nmodel: mlp")
    assert [message for message, _ in found] == [
        "label 'regex' needs 'pattern'",
        "split 'file' has no parameter 'paht'",
    ]


def test_names_of_architectures_are_not_checked_here_but_their_parameters_are(errors, write):
    assert load(write("b.yaml", GOOD), ["model=not_yet_written"]).config.model.name == "not_yet_written"
    assert errors(GOOD, "model={name: resnet18, pretraned: true}") == [
        ("model 'resnet18' has no parameter 'pretraned'", "did you mean 'pretrained'?")
    ]
    assert (
        errors(GOOD, "model={name: linear, pretrained: true}")[0][0] == "model 'linear' has no parameter 'pretrained'"
    )


def test_missing_weights_are_noticed(errors, folder):
    assert errors(GOOD, "model.pretrained=gone.safetensors") == [
        (f"model.pretrained: no such file: {folder}/gone.safetensors", f"{folder} holds a.yaml")
    ]
    assert errors(GOOD, "model.pretrained=no") == [
        (f"model.pretrained: no such file: {folder}/no", "write true or false")
    ]


SHAPES = Shapes(
    {
        "type": "object",
        "properties": {
            "either": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "integer"}}]},
            "table": {"type": "object", "additionalProperties": {"type": "number", "exclusiveMinimum": 0}},
            "word": {"type": "string", "pattern": "^[a-z]+$"},
            "few": {"type": "array", "minItems": 1, "maxItems": 2},
            "range": {"type": "number", "minimum": 0, "maximum": 1},
            "mixed": {"enum": [1, "one", None, False]},
            "any": {},
            "place": {"type": "string", "format": "path"},
        },
        "additionalProperties": False,
    }
)


@pytest.mark.parametrize(
    ("data", "messages"),
    [
        ({"either": "a", "table": {"x": 1}, "word": "abc", "few": [1], "range": 0.5, "mixed": None, "any": [{}]}, []),
        ({"either": 1}, ["either must be text or a list of whole numbers, not 1"]),
        ({"either": ["a"]}, ["either.0 must be a whole number, not 'a'"]),
        ({"table": {"x": 0, "y": "a"}}, ["table.x must be more than 0, not 0", "table.y must be a number, not 'a'"]),
        ({"word": "A"}, ["word must be text, not 'A'"]),
        ({"few": []}, ["few must have at least 1 item, not 0"]),
        ({"few": [1, 2, 3]}, ["few must have at most 2 items, not 3"]),
        ({"range": 2}, ["range must be at most 1, not 2"]),
        ({"mixed": True}, ["mixed must be 1, 'one', null or false, not true"]),
        ({"mixed": 1.0}, ["mixed must be 1, 'one', null or false, not 1.0"]),
        ({"place": "a"}, []),
        ({"place": 1}, ["place must be a path, not 1"]),
    ],
)
def test_every_word_of_the_schema_that_is_used(data, messages):
    problems = Problems()
    checker = Checker(SHAPES, plant(data, DEFAULT), problems)
    checker.check()
    assert [problem.message for problem in problems] == messages
    assert list(checker.paths) == ([("place",)] if data == {"place": "a"} else [])


VALUES = st.sampled_from(
    [None, True, False, 0, 1, -1, 1.0, 0.5, "", "auto", "none", "ram", "cpu", "cuda:1", "fp16", "a/b", ".a", "off",
     "error", "image", "category", "shuffle", "warn", [], ["a"], [1], [0.5], {}, {"mean": [0.5], "std": [1]},
     {"mean": [], "std": [1]}, {"mean": [1], "std": [0]}, {"mean": [1]}]
)  # fmt: skip
CLOSED = {
    "experiment": ExperimentSection,
    "data": DataSection,
    "checkpoint": CheckpointSection,
    "runtime": RuntimeSection,
}
COMPONENTS = {"items", "target", "label", "split", "item_transforms", "batch_transforms"}


def section(model):
    keys = {key: VALUES for key in model.model_fields if key not in COMPONENTS}
    return st.fixed_dictionaries({}, optional=keys | {"stranger": VALUES})


@settings(max_examples=300)
@given(st.fixed_dictionaries({}, optional={name: section(model) for name, model in CLOSED.items()}))
def test_the_schema_and_the_models_agree(sections):
    tree = {"model": {"name": "mlp"}, **sections, "data": {"source": "PETS", **sections.get("data", {})}}
    problems = Problems()
    Checker(Shapes.shipped(), plant(tree, DEFAULT), problems).check()
    try:
        Config.model_validate(tree)
    except ValidationError:
        assert problems
    else:
        assert not list(problems)
