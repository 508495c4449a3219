"""How much memory and disk this process may still take."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

UNKNOWN = 2 * 2**30
"""Bytes assumed where the system does not tell."""
UNLIMITED = 2**62
_promised: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


def available_memory() -> int:
    """Bytes of RAM that are free for us, the limits of containers and batch jobs included, less what is promised."""
    return max(0, min(_system_memory(), _cgroup_memory()) - sum(list(_promised.values())))


def promise(owner: Any, n_bytes: int) -> None:
    """Set aside RAM that `owner` will fill but has not touched yet, so that the system still counts it as free."""
    _promised[owner] = max(0, n_bytes)


def _system_memory() -> int:
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return UNKNOWN


def _cgroup_memory(root: Path = Path("/sys/fs/cgroup"), groups: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes left under the tightest limit above this process (cgroup v2, then v1); very large where there is none."""
    return min((left for folder in _cgroups(root, groups) for left in _left(folder)), default=UNLIMITED)


def _cgroups(root: Path, groups: Path) -> Iterator[Path]:
    """The folders that may tell a limit: in a container the root itself, in a batch job one somewhere below it."""
    yield root
    yield root / "memory"
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") > 1):
        if controllers not in ("", "memory"):
            continue
        base = root / controllers
        below = base / path.lstrip("/")
        yield from (folder for folder in (below, *below.parents) if folder.is_relative_to(base) and folder != base)


def _left(folder: Path) -> Iterator[int]:
    """Bytes left in one group. Cached file contents count as used there, but make way when memory is needed."""
    for limit, used, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            yield int((folder / limit).read_text()) - int((folder / used).read_text()) + _counted(folder, cached)
        except (OSError, ValueError):
            continue


def _counted(folder: Path, name: str) -> int:
    for line in (folder / "memory.stat").read_text().splitlines():
        if line.startswith(f"{name} "):
            return int(line.split()[1])
    return 0


def free_disk(folder: Path) -> int:
    """Bytes that may still be written into `folder`, which need not be there yet."""
    there = next(part for part in (folder, *folder.parents) if part.exists())
    return shutil.disk_usage(there).free
