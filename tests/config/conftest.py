from pathlib import Path

import pytest

from fastcli.config.load import load
from fastcli.config.problems import InvalidConfigError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(folder):
    """Writes a file into the working directory; gives back its name."""

    def write(name, text):
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text) if isinstance(text, bytes) else path.write_text(text)
        return name

    return write


@pytest.fixture
def errors(write):
    """The messages and hints of all mistakes in a YAML text with these overrides."""

    def errors(text, *overrides, name="a.yaml", **options):
        with pytest.raises(InvalidConfigError) as caught:
            load(write(name, text), overrides, **options)
        return [(problem.message, problem.hint) for problem in caught.value.problems]

    return errors
