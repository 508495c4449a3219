"""What a run ran on: versions, machine, device, git commit and command, without secrets."""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("fastcli", "torch", "torchvision", "timm", "numpy", "pillow", "safetensors")
SECRET = re.compile(
    r"((?:api[_-]?key|token|secret|passw(?:or)?d|credential)\w*['\"]?\s*[=:]\s*)[^\s,}\]]+", re.IGNORECASE
)
LOGIN = re.compile(r"(://)[^/\s@]+@")


def environment(device: str | None = None, plugins: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What this process runs on, as JSON values: `device` a torch device, `plugins` files and their SHA-256."""
    return {
        "python": platform.python_version(),
        "packages": {name: version_of(name) for name in PACKAGES},
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "device": device,
        "device_name": device_name(device) if device else None,
        "git": git_state(Path.cwd()),
        "plugins": dict(plugins or {}),
        "command": without_secrets(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])),
    }


def without_secrets(text: str) -> str:
    """`text` with the values of keys, tokens and passwords as stars.

    >>> without_secrets("callbacks=[{name: wandb, api_key: abc123}] data.source=https://me:pw@example.org/a.zip")
    'callbacks=[{name: wandb, api_key: ***}] data.source=https://***@example.org/a.zip'
    """
    return LOGIN.sub(r"\1***@", SECRET.sub(r"\1***", text))


def cpu_name() -> str:
    """The model of the processor as its maker calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    if not names and sys.platform == "darwin":
        names = [_output(["sysctl", "-n", "machdep.cpu.brand_string"]) or ""]
    return (names[0] if names else "") or platform.processor() or platform.machine()


def usable_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def device_name(device: str) -> str:
    """The name of a torch device's hardware, such as `NVIDIA H100`."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return str(torch.cuda.get_device_name(device))
    return cpu_name()  # an Apple GPU is named by its processor


def git_state(directory: Path) -> dict[str, Any] | None:
    """The commit of the working tree and whether tracked files differ from it; None outside of git."""
    commit = _output(["git", "rev-parse", "HEAD"], directory)
    if not commit:
        return None
    # core.fsmonitor is a program that the .git of somebody else may name
    calm = ["git", "-c", "core.fsmonitor=false", "status", "--porcelain", "--untracked-files=no"]
    changes = _output(calm, directory)
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _output(command: Sequence[str], directory: Path | None = None) -> str | None:
    """What a command prints; None when it is missing, fails or takes longer than 5 s."""
    calm = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # else `git status` writes to the user's index
    try:
        done = subprocess.run(command, cwd=directory, env=calm, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def version_of(package: str) -> str | None:
    """The version of an installed package; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
