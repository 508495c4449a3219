"""timm's own weights: from the local caches without asking the network, else from the hub, else an error in seconds."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastcli.errors import ConfigError, DataError

REACH_SECONDS = 2.0
"""How long a hub may take to answer at all before it counts as out of reach."""
FILES = ("model.safetensors", "pytorch_model.bin")
"""What a repository of timm's calls its weights."""


def hub_weights(config: Mapping[str, Any]) -> Path:
    """The file with the weights that timm's `pretrained_cfg` names, downloaded if it is in no cache yet.

    Raises DataError where it is in no cache and cannot be had, ConfigError where timm has no such weights.
    """
    name = str(config.get("architecture") or "this model")
    if config.get("hf_hub_id"):
        return _from_hub(name, str(config["hf_hub_id"]), config.get("hf_hub_filename"))
    if config.get("url"):
        return _from_url(name, str(config["url"]))
    raise ConfigError(
        f"timm has no pretrained weights for {name}",
        hint="give a file as model.pretrained=PATH, or false to train from scratch",
        key="model.pretrained",
    )


def _from_hub(name: str, repository: str, file: str | None) -> Path:
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    constants.HF_HUB_DISABLE_TELEMETRY = True  # else the versions of what is installed here travel along
    place, _, revision = repository.partition("@")
    files = (file,) if file else FILES
    for candidate in files:
        cached = try_to_load_from_cache(place, candidate, revision=revision or None)
        if isinstance(cached, str):
            return Path(cached)
    cache = Path(constants.HF_HUB_CACHE)
    if constants.HF_HUB_OFFLINE:
        raise _missing(name, repository, cache, "HF_HUB_OFFLINE is set")
    _require_reach(constants.ENDPOINT, name, repository, cache)
    for candidate in files:
        try:
            return Path(hf_hub_download(place, candidate, revision=revision or None, library_name="fastcli"))
        except LocalEntryNotFoundError as error:
            raise _missing(name, repository, cache, str(error)) from error
        except EntryNotFoundError:
            continue
        except Exception as error:  # the hub's network stack raises what it likes
            raise _missing(name, repository, cache, str(error)) from error
    raise _missing(name, repository, cache, f"it holds none of {', '.join(files)}")


def _from_url(name: str, url: str) -> Path:
    import torch.hub

    cache = Path(torch.hub.get_dir()) / "checkpoints"
    path = cache / url.rpartition("/")[2]
    if path.is_file():
        return path
    _require_reach(url, name, url, cache)
    cache.mkdir(parents=True, exist_ok=True)
    found = torch.hub.HASH_REGEX.search(path.name)
    try:
        torch.hub.download_url_to_file(url, str(path), found.group(1) if found else None)
    except (OSError, RuntimeError) as error:
        raise _missing(name, url, cache, str(error)) from error
    return path


def _require_reach(url: str, name: str, source: str, cache: Path) -> None:
    """Raise DataError unless a server answers at `url` soon; even a lookup of its name may hang, hence the thread."""
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(_ask(url)), daemon=True)
    thread.start()
    thread.join(REACH_SECONDS)
    problem = answers[0] if answers else f"no answer from {url} within {REACH_SECONDS:g} s"
    if problem:
        raise _missing(name, source, cache, problem)


def _ask(url: str) -> str:
    """Why `url` cannot be reached, or nothing."""
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "fastcli"})
    try:
        urllib.request.urlopen(request, timeout=REACH_SECONDS).close()
    except urllib.error.HTTPError as answer:
        answer.close()
    except (OSError, ValueError) as error:
        return f"{url}: {getattr(error, 'reason', error)}"
    return ""


def _missing(name: str, source: str, cache: Path, problem: str) -> DataError:
    return DataError(
        f"the pretrained weights of {name} ({source}) are not on this machine, and getting them failed: {problem}",
        hint=f"looked in {cache}; give a file with them as model.pretrained=PATH, or false to start anew",
    )
