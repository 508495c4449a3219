import json

import pytest

from fastcli.config.dump import to_yaml
from fastcli.config.explain import PLACES, all_keys, explain, parts
from fastcli.config.load import load
from fastcli.config.problems import Problems
from fastcli.config.shapes import Shapes
from fastcli.config.yaml_reader import parse

PARTS = parts(Shapes.shipped())


def test_every_registered_piece_is_listed(fastcli):
    from fastcli.components import load_components

    registries = load_components()
    listed = {(part.kind, part.name): part for part in PARTS}
    ours = {
        (kind, name): component
        for kind, registry in registries.items()
        for name, component in ((name, registry[name]) for name in registry)
        if component.__module__.startswith("fastcli.")
    }
    assert set(listed) >= set(ours)
    for (kind, name), part in listed.items():
        if (kind, name) in ours and (kind, name) != ("model", "timm"):
            assert [p.name for p in part.parameters] == registries[kind].keys_of(name)
    code, out, err = fastcli("components")
    assert (code, len(out.splitlines())) == (0, 1 + len(PARTS))
    assert err.startswith(f"{len(PARTS)} components")


@pytest.mark.parametrize("kind", PLACES)
def test_every_example_line_is_right(kind, tmp_path):
    for part in (part for part in PARTS if part.kind == kind):
        tree = parse(part.example, "", Problems()).plain()
        tree.setdefault("data", {})["source"] = "PETS"
        tree.setdefault("model", "resnet18")
        path = tmp_path / f"{part.name}.yaml"
        path.write_text(to_yaml(tree))
        load(path, check_files=False)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["losses"], "binary_cross_entropy"),
        (["data.split"], "column"),
        (["train"], "auto"),
        (["batch-transform"], "aug"),
    ],
)
def test_one_kind(fastcli, words, first):
    code, out, _ = fastcli("components", *words)
    assert code == 0
    assert out.splitlines()[0].split() == ["name", "signature", "what"]
    assert out.splitlines()[1].startswith(first)


def test_one_in_full(fastcli):
    code, out, err = fastcli("components", "adamw")
    assert (code, err) == (0, "")
    assert "lr            0.001    a number (at least 0)" in out
    assert "in YAML  optimizer: {name: adamw, lr: 0.001, momentum: 0.9}" in out
    assert fastcli("components", "optimizer", "adamw")[1] == out
    found = json.loads(fastcli("components", "adamw", "--json")[1])["components"]
    assert [part["kind"] for part in found] == ["optimizer"]
    assert found[0]["signature"].startswith("adamw(lr=0.001, ")


def test_a_name_of_two_kinds_shows_both(fastcli):
    names = [part.name for part in PARTS]
    double = next(name for name in names if names.count(name) > 1)
    _, out, _ = fastcli("components", double)
    assert out.count("in YAML") == names.count(double)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["adamz"], "did you mean 'adam'?"),
        (["optimiser"], "did you mean 'optimizer'?"),
        (["optimizer", "adanw"], "did you mean 'adamw'?"),
        (["optimzer", "adam"], "did you mean 'optimizer'?"),
    ],
)
def test_near_misses(fastcli, words, hint):
    code, out, err = fastcli("components", *words)
    assert (code, out) == (2, "")
    assert hint in err


# config explain, config diff.


def test_explain_a_key_a_section_a_place_and_a_parameter(fastcli):
    code, out, _ = fastcli("config", "explain", "data.batch_size")
    assert (code, out) == (
        0, "data.batch_size\nImages per step.\n\nallowed  a whole number (at least 1)\ndefault  64\n",
    )  # fmt: skip
    section = fastcli("config", "explain", "checkpoint")[1]
    assert "keep_best      1        a whole number (at least 0)  How many of the best to keep." in section
    assert "\nadamw " in fastcli("config", "explain", "optimizer")[1]
    assert "\nbinary_cross_entropy " in fastcli("config", "explain", "loss")[1]
    rate = fastcli("config", "explain", "train.lr")[1]
    assert "\nfine_tune" in rate
    assert "default  1e-05" in fastcli("config", "explain", "optimizer.adamw.eps")[1]
    assert json.loads(fastcli("config", "explain", "callbacks.0.patience", "--json")[1])["default"] == "3"


def test_every_key_can_be_explained_and_set():
    shapes = Shapes.shipped()
    keys = all_keys(shapes)
    assert {"data.batch_size", "train.epochs", "optimizer.lr", "data.split.valid_pct", "runtime.device"} <= set(keys)
    for key in keys:
        assert explain(shapes, key).about, key


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("epochs", "did you mean 'train.epochs'?"),
        ("data.bacth_size", "did you mean 'batch_size'?"),
        ("optimizer.adamww", "did you mean 'adamw'?"),
        ("data.batch_size.more", "known: "),
        ("", "known: "),
    ],
)
def test_keys_that_are_none(fastcli, key, hint):
    code, out, err = fastcli("config", "explain", key)
    assert (code, out) == (2, "")
    assert hint in err


def test_diff_of_values_and_not_of_words(fastcli, place):
    (place / "a.yaml").write_text("data: {source: PETS}\nmodel: resnet18\n")
    (place / "b.yaml").write_text(
        "model: {name: resnet18}\ndata:\n  source: PETS\n  batch_size: 64\noptimizer: {name: sgd, momentum: 0.5}\n"
    )
    code, out, _ = fastcli("config", "diff", "a.yaml", "b.yaml")
    lines = [line.split() for line in out.splitlines()]
    assert (code, lines[0]) == (0, ["key", "a.yaml", "b.yaml"])
    assert ["optimizer.name", "adam", "sgd"] in lines
    assert ["optimizer.momentum", "0.9", "0.5"] in lines
    assert ["optimizer.beta2", "0.99", "-"] in lines
    assert not [line for line in lines if line[0].startswith(("data", "model"))]
    run = place / "runs" / "pets" / "20261124-101500-resnet18"
    run.mkdir(parents=True)
    (run / "config.resolved.yaml").write_text(fastcli("config", "show", "a.yaml")[1])
    assert fastcli("config", "diff", "pets", "a.yaml") == (0, "", "pets and a.yaml have the same values\n")
    found = json.loads(fastcli("config", "diff", "pets", "b.yaml", "--json")[1])["differences"]
    assert found["optimizer.beta2"] == {"A": 0.99}
    assert fastcli("config", "diff", "a.yaml", "c.yaml")[0] == 2
    assert "there is no run" in fastcli("config", "diff", "a.yaml", "nowhere")[2]
