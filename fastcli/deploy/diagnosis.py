"""What this machine offers to a training, and what to do where it falls short; torch is asked in another process."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from fastcli import __version__
from fastcli.data.download import home
from fastcli.data.memory import available_memory, free_disk
from fastcli.deploy.torch_facts import probe
from fastcli.models.published import hub_cache, torch_cache
from fastcli.run.environment import cpu_name, usable_cores, version_of

Level = Literal["ok", "warning", "error"]
GIB = 2**30
EXTRAS = {"onnx": "onnxruntime", "search": "ddgs", "track": "tensorboard", "sweep": "optuna", "serve": "uvicorn"}
"""A package of each extra."""
MOST_FILES = 20_000
"""Files of a cache whose sizes are added up."""


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis."""

    topic: str
    text: str
    level: Level = "ok"
    advice: str | None = None
    """What to do, where it is no `ok`."""


def diagnose(output: Path = Path("runs"), *, network: bool = False) -> Iterator[Finding]:
    """The findings one by one; `network` also asks whether the Hub answers."""
    yield from versions()
    found = probe()
    yield from imports(found)
    yield from devices(found)
    yield from cores(found.get("threads"))
    yield memory(available_memory())
    yield shared_memory()
    yield from disks(output)
    yield from caches()
    yield from reach(os.environ, network=network)
    yield encoding(getattr(sys.stdout, "encoding", None) or "")


def versions() -> Iterator[Finding]:
    """Python's, fastcli's and those of the packages that it needs and may use."""
    yield Finding("python", f"{platform.python_version()}, {platform.platform(terse=True)}")
    shown, poor = [f"fastcli {__version__}"], []
    for name, least in needed():
        version = version_of(name)
        if version is None:
            poor.append(f"{name} is missing")
        elif _numbers(version) < _numbers(least):
            poor.append(f"{name} {version} is older than {least}")
        else:
            shown.append(f"{name} {version}")
    yield Finding("packages", ", ".join(shown))
    for problem in poor:
        yield Finding("packages", problem, "error", "python -m pip install --upgrade fastcli")
    missing = [extra for extra, package in EXTRAS.items() if version_of(package) is None]
    if missing:
        yield Finding("extras", f"not installed: {', '.join(missing)} (pip install 'fastcli[{missing[0]}]')")


def needed() -> list[tuple[str, str]]:
    """The packages that fastcli needs, and their least versions."""
    try:
        lines = metadata.requires("fastcli") or []
    except metadata.PackageNotFoundError:  # run from a folder without being installed
        return []
    found = [re.match(r"([\w.-]+)>=([\d.]+)$", line) for line in lines]
    return [(match.group(1), match.group(2)) for match in found if match is not None]


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3]]


def imports(found: Mapping[str, Any]) -> Iterator[Finding]:
    """How long the large packages take to import."""
    for name, problem in found.get("problems", {}).items():
        if name != "cuda":
            advice = f"python -m pip install --force-reinstall {name}"
            yield Finding("imports", f"{name} cannot be imported: {problem}", "error", advice)
    times = found.get("imports", {})
    if not times:
        return
    text = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items())
    if sum(times.values()) > 20:
        yield Finding("imports", text, "warning", "slow: is the environment on a network disk? A local one helps")
    else:
        yield Finding("imports", text)


def devices(found: Mapping[str, Any]) -> Iterator[Finding]:
    """What a training would run on."""
    gpus, problem = found.get("gpus", []), found.get("problems", {}).get("cuda")
    for i, gpu in enumerate(gpus):
        text = f"cuda:{i} {gpu['name']}, {gpu['free'] / GIB:.1f} of {gpu['total'] / GIB:.1f} GiB free"
        low = gpu["free"] < 2 * GIB
        advice = "another process holds it (nvidia-smi): end that, or take a smaller data.batch_size" if low else None
        yield Finding("device", text + (", bf16" if gpu["bf16"] else ""), "warning" if low else "ok", advice)
    if found.get("mps"):
        yield Finding("device", f"mps, {cpu_name()}")
    if problem:
        yield Finding(
            "device", f"the GPU does not answer: {problem}", "warning", "is the driver as new as torch's CUDA?"
        )
    if "simd" in found:
        yield Finding("device", f"cpu {cpu_name()}, {found['simd']}")
    if not gpus and not problem and "simd" in found and Path("/dev/nvidia0").exists():
        built = found.get("cuda_built")
        what = f"built for CUDA {built}: is the driver new enough?" if built else "built without CUDA"
        yield Finding("device", f"there is an NVIDIA GPU, and torch does not see it ({what})", "warning",
                      "install torch for your driver's CUDA: https://pytorch.org/get-started")  # fmt: skip


def cores(threads: int | None, quota: float | None = None) -> Iterator[Finding]:
    """The processor cores, and whether torch takes more than it is given."""
    quota = cpu_quota() if quota is None else quota
    text = f"{usable_cores()} usable" + (f", {quota:g} by the container's quota" if quota else "")
    text += f", torch takes {threads} threads" if threads else ""
    if quota and threads and threads > max(1, round(quota)) and "OMP_NUM_THREADS" not in os.environ:
        advice = f"threads wait for each other then: export OMP_NUM_THREADS={max(1, round(quota))}"
        yield Finding("cores", text, "warning", advice)
    else:
        yield Finding("cores", text)


def cpu_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """The cores that a container may use at a time; None where there is no limit."""
    for quota, period in (
        (root / "cpu.max", None),
        (root / "cpu" / "cpu.cfs_quota_us", root / "cpu" / "cpu.cfs_period_us"),
    ):
        try:
            words = quota.read_text().split() + ([] if period is None else period.read_text().split())
            return int(words[0]) / int(words[1]) if int(words[0]) > 0 else None
        except (OSError, ValueError, IndexError, ZeroDivisionError):
            continue
    return None


def memory(free: int) -> Finding:
    """RAM, the limits of containers and batch jobs included."""
    text = f"{free / GIB:.1f} GiB may be used (the limits of a container or job included)"
    if free < GIB / 2:
        return Finding("memory", text, "error", "end other programs, or give the container more (--memory)")
    if free < 2 * GIB:
        return Finding("memory", text, "warning", "data.cache=disk, a smaller data.batch_size or smaller pictures")
    return Finding("memory", text)


def shared_memory(path: Path = Path("/dev/shm")) -> Finding:
    """The shared memory, which programs with worker processes need."""
    if not path.is_dir():
        return Finding("shared memory", "this system has no /dev/shm; fastcli decodes in threads and needs none")
    total, _, free = shutil.disk_usage(path)
    text = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free; fastcli decodes in threads and needs none"
    return Finding("shared memory", text)


def disks(output: Path) -> Iterator[Finding]:
    """Where runs, data and pixels are written: is there room, and may we."""
    temporary = Path(tempfile.gettempdir())
    for what, folder, key in (("runs", output, "experiment.output"), ("data", home(), "FASTCLI_HOME"),
                              ("temporary files", temporary, "TMPDIR")):  # fmt: skip
        there = next(part for part in (folder.absolute(), *folder.absolute().parents) if part.exists())
        free = free_disk(folder)
        text = f"{what}: {folder}, {free / GIB:.1f} GiB free"
        if not os.access(there, os.W_OK):
            level: Level = "error" if what == "runs" else "warning"
            yield Finding("disk", f"{what}: {there} may not be written to", level, f"choose another with {key}")
        elif free < GIB / 4:
            yield Finding("disk", text, "error" if what == "runs" else "warning", f"free some, or set {key}")
        elif free < 5 * GIB:
            yield Finding("disk", text, "warning", f"fastcli runs clean, or set {key} to a folder on a larger disk")
        else:
            yield Finding("disk", text)


def caches() -> Iterator[Finding]:
    """What is kept on this machine: data and decoded pixels, the Hub's weights, torch's weights."""
    for what, folder in (("data and pixels", home()), ("weights of the Hub", hub_cache()),
                         ("weights of torch", torch_cache())):  # fmt: skip
        n, size, more = _size(folder)
        shown = f"{n:,} files, {size / GIB:.1f} GiB" if n else "empty"
        yield Finding("caches", f"{what}: {folder}, {'more than ' if more else ''}{shown}")


def _size(folder: Path) -> tuple[int, int, bool]:
    """Files in a folder, their bytes, and whether there are more."""
    n = size = 0
    for base, _, files in os.walk(folder):
        for name in files:
            try:
                size += Path(base, name).lstat().st_size
            except OSError:
                continue
            n += 1
            if n >= MOST_FILES:
                return n, size, True
    return n, size, False


def reach(environ: Mapping[str, str], *, network: bool) -> Iterator[Finding]:
    """Whether weights can be downloaded."""
    if environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        yield Finding("network", "HF_HUB_OFFLINE is set: weights come from the cache or from files alone")
        return
    if not network:
        yield Finding("network", "not asked; --network tries to reach the Hub")
        return
    url = environ.get("HF_ENDPOINT") or "https://huggingface.co"
    problem = _ask(url)
    if problem:
        advice = "model.pretrained=FILE or false works without; behind a proxy, set HTTPS_PROXY"
        yield Finding("network", f"{url} does not answer: {problem}", "warning", advice)
    else:
        yield Finding("network", f"{url} answers")


def _ask(url: str) -> str:
    """Why `url` cannot be reached, or nothing."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=3).close()
    except urllib.error.HTTPError as answer:
        answer.close()
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
    return ""


def encoding(name: str) -> Finding:
    """Whether names in any script can be shown."""
    if name.lower().replace("-", "") in ("utf8", "utf8sig"):
        return Finding("text", f"{name}")
    return Finding("text", f"the terminal's encoding is {name or 'unknown'}", "warning", "export PYTHONUTF8=1")
