import sys

import pytest

from fastcli import registry
from fastcli.config.load import load

GOOD = "data: {source: PETS}\nmodel: mlp\n"
PLUGIN = '''
from fastcli.registry import optimizers, labellers

@optimizers
def my_optimizer(params, /, lr: float = 0.5, rule: str = "x"):
    """Mine."""

@labellers
def my_label(item, /, depth: int):
    """Mine too."""
'''


@pytest.fixture(autouse=True)
def forget_plugins():
    """Take out of the registries and of Python what a test's plugins put there."""
    modules = set(sys.modules)
    components = {kind: dict(each._components) for kind, each in registry.REGISTRIES.items()}
    yield
    for name in set(sys.modules) - modules:
        if name.startswith("plugin_"):
            del sys.modules[name]
    for kind, each in registry.REGISTRIES.items():
        each._components = components[kind]


def test_components_of_a_plugin_can_be_named(write, folder):
    write("configs/plugin_one.py", PLUGIN)
    text = "plugins: [plugin_one.py]\noptimizer: {name: my_optimizer, lr: 1}\n"
    loaded = load(write("configs/a.yaml", GOOD + text), ["data.label={name: my_label, depth: 1}"])
    assert loaded.config.plugins == [str(folder / "configs/plugin_one.py")]
    assert loaded.config.optimizer.params == {"lr": 1}
    assert loaded.with_defaults().optimizer.params == {"lr": 1, "rule": "x"}
    assert load("configs/a.yaml").config.optimizer.name == "my_optimizer"


def test_their_parameters_are_checked_like_all_others(write, errors):
    write("plugin_two.py", PLUGIN)
    text = GOOD + "plugins: [plugin_two.py]\noptimizer: {name: my_optimizer, lr: x, rull: y}"
    assert errors(text, "data.label=my_label") == [
        ("optimizer.lr must be a number, not 'x'", None),
        ("optimizer 'my_optimizer' has no parameter 'rull'", "did you mean 'rule'?"),
        ("label 'my_label' needs 'depth'", None),
    ]
    assert errors(GOOD + "plugins: [plugin_two.py]\noptimizer: my_optimiser") == [
        ("unknown optimizer 'my_optimiser'", "did you mean 'my_optimizer'?")
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nothing_of_this_name\n", ", line 1: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("x = 1\nx.y\n", ", line 2: AttributeError: 'int' object has no attribute 'y'"),
        ("x = (\n", ", line 1: SyntaxError: '(' was never closed (plugin_bad.py, line 1)"),
        ("raise SystemExit('bye')\n", ", line 1: SystemExit: bye"),
        ("from fastcli.registry import optimizers\n@optimizers\ndef adam(params, /): ''\n",
         " registers optimizer 'adam', which fastcli has"),
        ("from fastcli.registry import optimizers\n@optimizers\ndef mine(): ''\n",
         ", line 2: TypeError: optimizer 'mine' takes 0 positional-only arguments; expected (params, /, …)"),
    ],
)  # fmt: skip
def test_a_plugin_that_fails_is_named_with_its_line_and_is_not_blamed_twice(write, errors, source, message):
    write("plugin_bad.py", source)
    found = errors(GOOD + "plugins: [plugin_bad.py]\noptimizer: surely_from_the_plugin\nlos: 1")
    assert [what for what, _ in found] == [f"plugin plugin_bad.py{message}", "unknown key 'los'"]


def test_a_mended_plugin_can_be_loaded_in_the_same_process(write, errors):
    write("plugin_mended.py", PLUGIN + "\n1 / 0\n")
    text = GOOD + "plugins: [plugin_mended.py]\noptimizer: my_optimizer"
    assert "ZeroDivisionError" in errors(text)[0][0]
    write("plugin_mended.py", PLUGIN + "\nmended = True # and of another length\n")
    assert load("a.yaml").config.optimizer.name == "my_optimizer"


def test_a_missing_plugin_is_answered_with_its_neighbour(write, errors, folder):
    write("plugin_here.py", PLUGIN)
    assert errors(GOOD + "plugins: [plugin_her.py]\noptimizer: my_optimizer") == [
        (f"plugins.0: no such file: {folder}/plugin_her.py", f"did you mean '{folder}/plugin_here.py'?")
    ]


def test_a_plugin_may_lie_where_python_looks_for_modules(write, folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))  # as `python -m fastcli` does with the working directory
    write("plugin_found.py", PLUGIN.replace("my_optimizer", "found_optimizer"))
    write("a.yaml", GOOD + "plugins: [plugin_found.py]\noptimizer: found_optimizer")
    assert load("a.yaml").config.optimizer.name == "found_optimizer"


def test_a_plugin_must_not_hide_another_module(write, errors):
    write("json.py", "")
    assert errors(GOOD + "plugins: [json.py]")[0][0] == (
        "plugin json.py: ImportError: another module is called 'json'; rename the file"
    )


def test_plugins_must_be_a_list(errors):
    assert errors(GOOD + "plugins: my.py") == [("plugins must be a list of texts, not 'my.py'", "write [my.py]")]
