import gc
from weakref import WeakKeyDictionary

import pytest
import torch

from fastcli.data import memory
from fastcli.data.memory import available_memory, free_disk, promise
from fastcli.data.store import Store

STAT = "anon 5\ninactive_file 30\ntotal_inactive_file 40\n"


def group(folder, limit, used, *, version=2, stat=STAT):
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in zip((*names, "memory.stat"), (limit, used, stat), strict=True):
        (folder / name).write_text(f"{value}\n")


def left(root, groups="0::/\n"):
    (root / "groups").write_text(groups)
    return memory._cgroup_memory(root / "cgroup", root / "groups")


def test_no_limit(tmp_path):
    assert left(tmp_path) == memory.UNLIMITED
    group(tmp_path / "cgroup", "max", 100)
    assert left(tmp_path) == memory.UNLIMITED
    assert memory._cgroup_memory(tmp_path / "no", tmp_path / "no") == memory.UNLIMITED


def test_a_container_sees_its_limit_at_the_root_and_cached_files_do_not_count(tmp_path):
    group(tmp_path / "cgroup", 1000, 400)
    assert left(tmp_path) == 630
    group(tmp_path / "cgroup" / "memory", 1000, 600, version=1)
    assert left(tmp_path) == 440


@pytest.mark.parametrize(
    ("version", "groups", "base"),
    [(2, "0::/slice/job\n", ""), (1, "5:pids:/slice\n4:memory:/slice/job\n0::/\n", "memory")],
)
def test_the_tightest_limit_above_a_batch_job_counts(version, groups, base, tmp_path):
    folder = tmp_path / "cgroup" / base
    group(folder / "slice" / "job", 900, 100, version=version, stat="")
    assert left(tmp_path, groups) == 800
    group(folder / "slice", 500, 200, version=version, stat="")
    assert left(tmp_path, groups) == 300
    group(folder / "other", 50, 10, version=version, stat="")
    assert left(tmp_path, groups) == 300


@pytest.mark.parametrize("version", [1, 2])
def test_a_store_keeps_to_the_limit_of_its_group(version, tmp_path, monkeypatch):
    folder, groups = tmp_path / "cgroup" / ("memory" if version == 1 else ""), tmp_path / "groups"
    groups.write_text("4:memory:/job\n" if version == 1 else "0::/job\n")
    within = memory._cgroup_memory
    monkeypatch.setattr(memory, "_promised", WeakKeyDictionary())
    monkeypatch.setattr(memory, "_cgroup_memory", lambda: within(tmp_path / "cgroup", groups))

    def tier():
        load = lambda i: torch.zeros(3, 10, 10, dtype=torch.uint8)  # noqa: E731
        return Store(load, 100, uniform=True, workers=1, epochs=1).tier  # 30,000 bytes

    group(folder / "job", 100_000, 30_000, version=version, stat="")
    assert tier() == "off"
    group(folder / "job", 100_000, 20_000, version=version, stat="")
    assert tier() == "ram"
    group(folder / "job", 100_000, 70_000, version=version, stat="inactive_file 50000\ntotal_inactive_file 50000\n")
    assert tier() == "ram"


def test_what_is_promised_is_not_available(monkeypatch):
    class Owner:
        pass

    monkeypatch.setattr(memory, "_promised", WeakKeyDictionary())
    monkeypatch.setattr(memory, "_system_memory", lambda: 1000)
    monkeypatch.setattr(memory, "_cgroup_memory", lambda: 2000)
    assert available_memory() == 1000
    owner, other = Owner(), Owner()
    promise(owner, 100)
    promise(other, 30)
    promise(owner, 60)
    assert available_memory() == 910
    promise(owner, -5)
    assert available_memory() == 970
    del other
    gc.collect()
    assert available_memory() == 1000


def test_free_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    assert free_disk(tmp_path / "a" / "b") > 0
