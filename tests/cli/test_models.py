import json
from pathlib import Path

import pytest

from fastcli.models.published import chosen, front, published


@pytest.fixture
def fastcli(fastcli, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return fastcli


def rows_of(out):
    return [line.split() for line in out.splitlines()[1:]]


def test_the_table_tells_what_timm_published():
    rows = {(row.name, row.size): row for row in published()}
    assert len({row.name for row in published()}) > 1700
    resnet = rows["resnet50.a1_in1k", 224]
    assert (resnet.top1, resnet.params, resnet.gmacs, resnet.license) == (80.38, 25.56, 4.11, "apache-2.0")
    assert (resnet.family, resnet.default, resnet.weights) == ("resnet", True, "timm/resnet50.a1_in1k")
    defaults = [row.name for row in published() if row.default]
    architectures = {name.partition(".")[0] for name in defaults}
    assert len(architectures) == len(set(defaults)) > 1000


def test_the_table_is_of_models_that_timm_has():
    import timm

    assert {row.architecture for row in published()} <= set(timm.list_models())


def test_list_is_by_accuracy_and_within_bounds(fastcli):
    code, out, err = fastcli(
        "models", "list", "--family", "resnet", "--max-params", "30M", "--min-top1", "80", "-n", "9"
    )
    found = rows_of(out)
    assert (code, len(found)) == (0, 9)
    assert all(float(row[1]) >= 80 and float(row[3]) <= 30 for row in found)
    assert [float(row[1]) for row in found] == sorted((float(row[1]) for row in found), reverse=True)
    assert err.startswith("9 of ")
    found = json.loads(fastcli("models", "list", "resnet18", "--json", "-n", "0", "--sort", "name")[1])["models"]
    assert all("resnet18" in row["name"] for row in found)
    assert [row["name"] for row in found] == sorted({row["name"] for row in found})  # each set of weights once
    only = rows_of(fastcli("models", "list", "resnet18*", "--license", "bsd*", "--max-size", "224")[1])
    assert [row[0] for row in only] == ["resnet18.tv_in1k"]


def test_suggestions_gain_accuracy_with_every_step_of_cost(fastcli):
    found = json.loads(fastcli("models", "list", "--suggest", "--max-gmacs", "4", "--json")[1])["models"]
    assert len(found) > 4
    costs, accuracies = [row["gmacs"] for row in found], [row["top1"] for row in found]
    assert (costs, accuracies) == (sorted(costs), sorted(accuracies))
    assert costs[-1] <= 4
    best = max(row.top1 for row in chosen(published(), max_gmacs=4) if row.top1)
    assert accuracies[-1] > best - 0.4
    by_params = front(chosen(published(), max_params=30), lambda row: row.params)
    assert not any(other.params <= row.params and other.top1 > row.top1 for row in by_params for other in by_params)


def test_info_shows_all_weights_of_an_architecture(fastcli):
    code, out, _ = fastcli("models", "info", "resnet18")
    assert code == 0
    assert "weights  resnet18.a1_in1k, downloaded when a training asks for it" in out
    assert "use      model: {name: resnet18}" in out
    assert "resnet18.tv_in1k                   224  69.75" in out
    found = json.loads(fastcli("models", "info", "resnet18.tv_in1k", "--json")[1])
    assert [row["license"] for row in found["weights"]] == ["bsd-3-clause"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["info", "resnet18.tv"], "did you mean 'resnet18.tv_in1k'?"),
        (["info", "resnt18"], "did you mean 'resnet18'?"),
        (["info", "mlp"], "fastcli components mlp"),
        (["list", "--family", "resnets"], "did you mean 'resnet'?"),
        (["list", "--max-params", "30"], "write 30M, 500k or 1.5B"),
        (["list", "--sort", "top2"], "did you mean 'top1'?"),
    ],
)
def test_mistakes_are_answered(fastcli, arguments, error):
    code, out, err = fastcli("models", *arguments)
    assert (code, out) == (2, "")
    assert error in err


def test_nothing_within_the_bounds_is_no_error(fastcli):
    assert fastcli("models", "list", "resnt18") == (
        0, "", "no model is within these bounds · did you mean 'resnet18'?\n",
    )  # fmt: skip


def test_what_is_on_this_machine_is_marked(fastcli, tmp_path):
    snapshot = tmp_path / "hub" / "models--timm--resnet18.a1_in1k" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    assert rows_of(fastcli("models", "list", "--cached")[1]) == []  # a folder without weights
    (snapshot / "model.safetensors").touch()
    assert [row[0] for row in rows_of(fastcli("models", "list", "--cached")[1])] == ["resnet18.a1_in1k"]
    assert "on this machine" in fastcli("models", "info", "resnet18")[1]


def test_the_cache_is_where_the_hub_has_it(monkeypatch):
    from huggingface_hub import constants

    from fastcli.models.published import hub_cache

    assert hub_cache() == Path(constants.HF_HUB_CACHE)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", "/somewhere")
    assert hub_cache() == Path("/somewhere/hub")
