import json
import sys
from pathlib import Path

import pytest

from fastcli.deploy import diagnosis, torch_facts
from fastcli.deploy.diagnosis import Finding, cores, cpu_quota, devices, disks, encoding, imports, memory, reach

GOOD = {
    "imports": {"torch": 1.5, "timm": 2.0}, "problems": {}, "threads": 2, "simd": "AVX2", "mps": False, "gpus": [],
    "cuda_built": "12.8",
}  # fmt: skip


@pytest.fixture
def fastcli(fastcli, place, monkeypatch):
    for name, folder in (("HF_HUB_CACHE", "hub"), ("TORCH_HOME", "torch")):
        monkeypatch.setenv(name, str(place / folder))
    monkeypatch.setattr(diagnosis, "probe", lambda: GOOD)
    monkeypatch.setattr(diagnosis, "available_memory", lambda: 8 * 2**30)
    monkeypatch.setattr(diagnosis, "free_disk", lambda folder: 50 * 2**30)

    return fastcli


def test_a_good_machine(fastcli):
    code, out, err = fastcli("doctor")
    assert code == 0
    assert err.endswith("training is possible\n")
    for topic in (
        "python",
        "packages",
        "imports",
        "device",
        "cores",
        "memory",
        "shared memory",
        "disk",
        "caches",
        "network",
    ):
        assert any(line[9:].startswith(topic) for line in out.splitlines()), topic
    assert "torch 1.5 s" in out
    found = json.loads(fastcli("doctor", "--json")[1])
    assert found["ok"]
    assert {one["level"] for one in found["findings"]} <= {"ok", "warning"}


def test_warnings_say_what_to_do_and_end_well(fastcli, monkeypatch):
    monkeypatch.setattr(diagnosis, "available_memory", lambda: 2**30)
    code, out, err = fastcli("doctor")
    assert code == 0
    assert "→ data.cache=disk, a smaller data.batch_size" in out
    assert "warning" in err


def test_what_makes_training_impossible_ends_with_1(fastcli, monkeypatch):
    monkeypatch.setattr(diagnosis, "probe", lambda: {"problems": {"torch": "OSError: libcudart.so: no such file"}})
    code, out, err = fastcli("doctor", "--json")
    assert code == 1
    assert not json.loads(out)["ok"]
    assert err.endswith("no training is possible\n")


def test_torch_is_asked_in_another_process(monkeypatch):
    monkeypatch.setattr(
        torch_facts, "PROBE", "import json; print('noise'); print(json.dumps({'imports': {}, 'simd': 'x'}))"
    )
    assert torch_facts.probe()["simd"] == "x"
    monkeypatch.setattr(torch_facts, "PROBE", "import os; os.abort()")
    assert "ends the process" in torch_facts.probe()["problems"]["torch"]
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert "/nowhere/python" in torch_facts.probe()["problems"]["torch"]


def levels(findings):
    return [one.level for one in findings]


def test_each_trouble_has_its_level_and_advice(tmp_path, monkeypatch):
    full = {"name": "H100", "free": 2**30, "total": 80 * 2**30, "bf16": True}
    found = list(devices({**GOOD, "gpus": [full]}))
    assert (found[0].level, "nvidia-smi" in (found[0].advice or "")) == ("warning", True)
    assert levels(devices({**GOOD, "problems": {"cuda": "driver too old"}}))[0] == "warning"
    assert levels(imports({"imports": {"torch": 30.0}})) == ["warning"]
    assert levels(imports({"imports": {"timm": 1.0}, "problems": {"timm": "x"}})) == ["error", "ok"]
    assert memory(2**28).level == "error"
    assert encoding("ascii") == Finding("text", "the terminal's encoding is ascii", "warning", "export PYTHONUTF8=1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [one.advice for one in cores(32, 4.0)] == ["threads wait for each other then: export OMP_NUM_THREADS=4"]
    assert levels(cores(4, 4.0)) == ["ok"]
    assert levels(reach({"HF_HUB_OFFLINE": "1"}, network=True)) == ["ok"]
    assert levels(reach({"HF_ENDPOINT": "http://127.0.0.1:9"}, network=True)) == ["warning"]
    monkeypatch.setattr(diagnosis, "free_disk", lambda folder: 2**20)
    assert next(iter(disks(tmp_path))).level == "error"


def test_a_containers_share_of_cores(tmp_path):
    assert cpu_quota(tmp_path) is None
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cpu_quota(tmp_path) is None
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert cpu_quota(tmp_path) == 1.5
    old = tmp_path / "old" / "cpu"
    old.mkdir(parents=True)
    (old / "cpu.cfs_quota_us").write_text("400000\n")
    (old / "cpu.cfs_period_us").write_text("100000\n")
    assert cpu_quota(tmp_path / "old") == 4.0


def test_the_needed_packages_are_those_of_the_project():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert {name for name, _ in diagnosis.needed()} == {line.partition(">=")[0] for line in project["dependencies"]}
