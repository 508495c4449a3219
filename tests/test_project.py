"""Promises of the README and the shipped configurations."""

import ast
import re
from pathlib import Path

import pytest

from fastcli.config.load import load

ROOT = Path(__file__).parent.parent
NAMED = re.compile(r"`(\w+)`")
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_configuration_is_right(path):
    loaded = load(path, check_files=False)
    assert loaded.name == path.stem
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=../fastcli/config/schema.json")
    assert f"fastcli train configs/{path.name}" in text
    assert "Expect" in text


def test_every_file_that_the_readme_names_exists():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:fastcli|configs|benchmarks|runs|\.ci)/[\w./-]+)`", text)
    ours = [name for name in named if "latest" not in name and "<" not in name]
    assert len(ours) >= 9
    assert [name for name in ours if not (ROOT / name).exists()] == []
    configs = re.findall(r"`(\w+\.yaml)`", text)
    assert {name for name in configs if name != "config.resolved.yaml"} >= {path.name for path in CONFIGS}


def test_every_name_in_the_table_for_users_of_fastai_exists():
    import importlib

    from fastcli.components import load_components
    from fastcli.vision import all as facade

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("## For users of fastai")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert len(rows) > 25
    registries = load_components()
    learner = facade.Learner
    for _, here, there in rows:
        for name in re.findall(r"`([\w.]+)`", here):
            owner = learner if name.startswith("learn.") else facade
            first = name.removeprefix("learn.").split(".")[0]
            known = hasattr(owner, first) or hasattr(learner, first) or hasattr(facade.DataLoaders, first)
            assert known or first in ("recorder", "torchvision", "fastcli", "summary", "datasets", "dataloaders"), name
        for kind, name in re.findall(r"`(\w+): (\w+)`", there):
            assert name in registries[kind], (kind, name)
        for dotted in re.findall(r"`(fastcli\.[\w.]+)`", there):
            module, _, attribute = dotted.rpartition(".")
            try:
                importlib.import_module(dotted)
            except ModuleNotFoundError:
                assert hasattr(importlib.import_module(module), attribute), dotted


def test_every_module_that_a_folders_docstring_names_exists():
    for folder in sorted((ROOT / "fastcli").glob("*/__init__.py")):
        text = ast.get_docstring(ast.parse(folder.read_text(encoding="utf-8")))
        assert text, folder
        heads = [line.partition(":")[0] for line in text.splitlines() if line.startswith("- ")]
        listed = [name for head in heads for name in NAMED.findall(head)]
        assert [name for name in listed if not (folder.parent / f"{name}.py").exists()] == [], folder
