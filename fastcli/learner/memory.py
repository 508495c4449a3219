"""What was measured on this machine, kept in a file between runs."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fastcli import __version__
from fastcli.errors import FastcliError
from fastcli.run.files import make_directory, read_json, write_json


def key_of(device: torch.device, name: str, facts: Any) -> str:
    """The key of what was measured of `name` and these facts with this device, as many threads and these versions."""
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    everything = [hardware, torch.get_num_threads(), [torch.__version__, __version__], name, facts]
    return hashlib.sha256(json.dumps(everything).encode()).hexdigest()[:16]


def recall(memory: Path | None, key: str) -> dict[str, Any]:
    """What the file `memory` says under `key`; nothing where it is missing or damaged."""
    known = _read(memory).get(key, {})
    return known if isinstance(known, dict) else {}


def remember(memory: Path | None, key: str, found: Mapping[str, Any]) -> None:
    """Write what was found under `key` into the file `memory`, if there is one."""
    if memory is not None:
        make_directory(memory.parent)
        write_json(memory, {**_read(memory), key: dict(found)})


def _processor() -> str:
    """The processor's name and abilities: what decides which kernels run."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags"))})) or platform.processor()


def _read(memory: Path | None) -> dict[str, Any]:
    try:
        known = read_json(memory) if memory is not None else {}
    except FastcliError:  # missing or damaged: it is made anew
        return {}
    return known if isinstance(known, dict) else {}
