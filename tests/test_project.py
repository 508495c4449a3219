"""Promises of the README and the shipped configurations."""

import re
from pathlib import Path

import pytest

from fastcli.config.load import load

ROOT = Path(__file__).parent.parent
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
