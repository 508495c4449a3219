"""What commands must not import: asked of a fresh Python, so that other tests' imports do not count."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fastcli

HEAVY = {"torch", "torchvision", "timm", "pydantic", "rich", "numpy", "yaml", "matplotlib", "PIL"}
BAD = Path(__file__).parents[1] / "config" / "mistakes.yaml"
PACKAGE = Path(fastcli.__file__).parent


def imported(statement):
    """The heavy packages that a statement brought in."""
    script = (
        "import sys\n"
        f"{statement}\n"
        "print('imported', *{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split()) & HEAVY


def imported_by_command(*arguments, code=0):
    return imported(f"from fastcli.cli import run\nassert run({arguments!r}) == {code}")


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_imports_nothing_heavy(option):
    assert imported_by_command(option) == set()


def test_a_bad_file_dies_before_pydantic():
    statement = (
        f"from fastcli.config.load import load\ntry: load({str(BAD)!r})\nexcept Exception as error: error.problems"
    )
    assert imported(statement.replace("\ntry: ", "\ntry:\n    ")) == {"yaml"}


# Typer itself reads arguments by pydantic; that is 0.07 s.


def test_no_command_about_configurations_needs_torch(tmp_path):
    good = tmp_path / "a.yaml"
    good.write_text("data: {source: PETS}\nmodel: resnet18")
    assert imported_by_command("config", "--help") <= {"pydantic"}
    assert imported_by_command("config", "schema") <= {"pydantic"}
    assert imported_by_command("config", "validate", str(BAD), code=2) <= {"yaml", "pydantic"}
    assert imported_by_command("config", "validate", str(good)) == {"yaml", "pydantic"}
    assert imported_by_command("config", "show", str(good), "--origin") == {"yaml", "pydantic"}


LATE = {"timm", "rich", "matplotlib", "torchmetrics", "pandas", "sklearn", "safetensors", "huggingface_hub"}
"""What the library imports inside the functions that use it."""


def imports_at_the_top(module):
    """The packages that a module imports when it is imported itself."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_large_packages_are_imported_where_they_are_used():
    modules = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "vision" / "all.py"]  # it offers them
    assert len(modules) > 150
    early = {(module.name, name) for module in modules for name in imports_at_the_top(module) if name in LATE}
    assert early == set()


def test_looking_at_components_needs_no_torch(tmp_path):
    (tmp_path / "a.yaml").write_text("data: {source: PETS}\nmodel: resnet18")
    assert imported_by_command("components") <= {"pydantic"}
    assert imported_by_command("config", "explain", "train.lr") <= {"pydantic"}
    file = str(tmp_path / "a.yaml")
    assert imported_by_command("config", "diff", file, file) == {"yaml", "pydantic"}


def test_looking_at_models_needs_no_torch():
    assert imported_by_command("models", "list", "--suggest") <= {"pydantic"}
    assert imported_by_command("models", "info", "resnet18") <= {"pydantic"}


def test_looking_at_runs_needs_no_torch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        run = tmp_path / "runs" / "pets" / name
        run.mkdir(parents=True)
        (run / "config.resolved.yaml").write_text("data: {source: PETS}\n")
        (run / "metrics.jsonl").write_text('{"epoch": 0, "valid_loss": 0.5}\n')
    assert imported_by_command("runs", "list") <= {"pydantic"}
    curves = imported_by_command("runs", "compare", "-o", "a.png", "-o", "a.html")
    assert curves == {"pydantic", "yaml", "matplotlib", "numpy", "PIL"}


def test_doctor_needs_torch_in_another_process_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTCLI_HOME", str(tmp_path))
    statement = "from fastcli.deploy import diagnosis\ndiagnosis.probe = lambda: {}\nlist(diagnosis.diagnose())"
    assert imported(statement) == set()
