from pathlib import Path

import pytest

from fastcli.config.dump import dump
from fastcli.config.load import load

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


def test_there_are_configs():
    assert {"pets.yaml", "mnist_sample.yaml", "folder.yaml", "csv.yaml"} <= {path.name for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_config_is_valid_and_stays_so_when_written_out(path, tmp_path):
    loaded = load(path, check_files=False)
    copy = tmp_path / "copy.yaml"
    copy.write_text(dump(loaded.with_defaults()))
    assert load(copy, check_files=False).config == loaded.with_defaults()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_config_opens_with_the_schema_and_its_command(path):
    lines = path.read_text().splitlines()
    assert lines[0] == "# yaml-language-server: $schema=../fastcli/config/schema.json"
    assert any("fastcli train" in line for line in lines if line.startswith("#"))
