"""What torch sees of this machine and how long it takes to import, asked in another process: it may fail or crash."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

PATIENCE = 180
"""Seconds that importing torch may take."""

PROBE = """
import json, sys, time
found = {"imports": {}, "problems": {}}
for name in ("torch", "torchvision", "timm", "matplotlib", "pydantic"):
    start = time.perf_counter()
    try:
        __import__(name)
    except BaseException as error:
        found["problems"][name] = f"{type(error).__name__}: {error}"
    found["imports"][name] = time.perf_counter() - start
if "torch" not in found["problems"]:
    import torch
    found["threads"] = torch.get_num_threads()
    found["cuda_built"] = torch.version.cuda
    found["simd"] = torch.backends.cpu.get_cpu_capability()
    found["mps"] = torch.backends.mps.is_available()
    found["gpus"] = []
    try:
        for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
            free, total = torch.cuda.mem_get_info(i)
            found["gpus"].append({"name": torch.cuda.get_device_name(i), "free": free, "total": total,
                                  "bf16": torch.cuda.is_bf16_supported()})
    except Exception as error:
        found["problems"]["cuda"] = f"{type(error).__name__}: {error}"
print(json.dumps(found))
"""


def probe() -> dict[str, Any]:
    """What another process says that imports torch and the others: seconds, devices, problems."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"problems": {"torch": str(error)}}
    try:
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"problems": {"torch": f"importing it ends the process: {last}"}}
    return found
