"""How much memory this process may still take."""

from __future__ import annotations

import os
from pathlib import Path

UNKNOWN = 2 * 2**30
"""Bytes assumed where the system does not tell."""


def available_memory() -> int:
    """Bytes of RAM that are free for us, the limit of a container included."""
    return max(0, min(_system_memory(), _cgroup_memory()))


def _system_memory() -> int:
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return UNKNOWN


def _cgroup_memory(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes left under the container's limit (cgroup v2, then v1); very large where there is none."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            return int((root / limit).read_text()) - int((root / used).read_text())
        except (OSError, ValueError):
            continue
    return 2**62


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
