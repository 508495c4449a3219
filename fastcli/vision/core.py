"""Small helpers that a fastai notebook takes for granted: `tensor`, `L`, `Path.ls`, `untar_data`, statistics."""

from __future__ import annotations

import contextlib
import mimetypes
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastcli.data import download
from fastcli.data.catalog import KNOWN
from fastcli.data.items import image_files
from fastcli.errors import ConfigError
from fastcli.transforms.normalize import CIFAR, IMAGENET, MNIST
from fastcli.types import TargetInfo

try:
    import fastcore.xtras  # noqa: F401 - gives Path its `ls`
    from fastcore.foundation import L
except ImportError as error:
    raise ImportError("fastcli.vision.all needs fastcore and pandas: pip install 'fastcli[notebook]'") from error

__all__ = ["CategoryMap", "L", "URLs", "array", "cifar_stats", "default_device", "first", "get_files",
           "get_image_files", "image_extensions", "imagenet_stats", "mnist_stats", "no_random", "set_seed", "tensor",
           "to_np", "untar_data"]  # fmt: skip

array = np.array
URLs = SimpleNamespace(**{name: known.url for name, known in KNOWN.items()})
"""The address of every known data set, by fastai's name of it."""
imagenet_stats = IMAGENET.mean_list, IMAGENET.std_list
cifar_stats = CIFAR.mean_list, CIFAR.std_list
mnist_stats = MNIST.mean_list, MNIST.std_list


class CategoryMap(L):  # type: ignore[misc]
    """Names of classes; `o2i` says which number a name has."""

    @property
    def o2i(self) -> dict[str, int]:
        """The number of each name."""
        return {name: i for i, name in enumerate(self)}

    def map_objs(self, objs: Iterable[str]) -> Any:
        """The numbers of names."""
        return L(self.o2i[str(name)] for name in objs)

    def map_ids(self, ids: Iterable[int]) -> Any:
        """The names that numbers stand for."""
        return L(self[int(i)] for i in ids)


def tensor(value: Any, *rest: Any, **options: Any) -> Tensor:
    """A tensor of a Pillow image, an array, numbers or a list of tensors; `tensor(1, 2, 3)` is that of a list."""
    if rest:
        value = (value, *rest)
    if isinstance(value, Tensor):
        return value
    if isinstance(value, list | tuple | L) and len(value) and isinstance(value[0], Tensor):
        return torch.stack(list(value))
    if not isinstance(value, list | tuple | int | float | bool):
        value = np.array(value)
    return torch.tensor(value, **options)


def to_np(value: Tensor) -> Any:
    """The values as a numpy array."""
    return value.detach().cpu().numpy()


def first(values: Iterable[Any], predicate: Callable[[Any], bool] | None = None) -> Any:
    """The first value (that `predicate` likes), or None.

    >>> first([1, 2, 3], lambda n: n > 1)
    2
    """
    return next((value for value in values if predicate is None or predicate(value)), None)


def untar_data(
    url: str, archive: Any = None, data: Any = None, c_key: str = "data", force_download: bool = False, base: Any = None
) -> Path:
    """The folder of a known data set, an archive's address or an archive, downloaded and extracted where needed.

    It lies below FASTCLI_HOME. Raises ConfigError for fastai's other ways to say where.
    """
    if archive or data or base:
        raise ConfigError("untar_data keeps data in one place", hint="set FASTCLI_HOME to another")
    return download.untar_data(url, force=force_download)


def get_image_files(path: str | Path, recurse: bool = True, folders: Sequence[str] | None = None) -> Any:
    """An `L` of every image below `path`, sorted, so that it is the same on every machine."""
    return L(image_files(Path(path), recurse=recurse, folders=list(folders) if folders else None))


def get_files(
    path: str | Path,
    extensions: str | Iterable[str] | None = None,
    recurse: bool = True,
    folders: Sequence[str] | None = None,
) -> Any:
    """An `L` of the files below `path`, sorted; hidden ones are left out.

    `folders` keeps only these folders of the first level ("." for the files beside them).
    """
    root, wanted = Path(path), {extensions} if isinstance(extensions, str) else set(extensions or ())
    found = root.rglob("*") if recurse else root.glob("*")
    parts = ((file, file.relative_to(root).parts) for file in found if file.is_file())
    return L(sorted(
        file for file, names in parts
        if not any(name.startswith(".") for name in names)
        and (not wanted or file.suffix.lower() in {extension.lower() for extension in wanted})
        and (not folders or (names[0] if len(names) > 1 else ".") in folders)
    ))  # fmt: skip


image_extensions = {suffix for suffix, kind in mimetypes.types_map.items() if kind.startswith("image/")}


def set_seed(seed: int, reproducible: bool = False) -> None:
    """Seed torch's, numpy's and Python's generators; `reproducible` makes cuDNN deterministic too."""
    torch.manual_seed(seed)
    np.random.seed(seed % (2**32 - 1))
    random.seed(seed)
    if reproducible:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False


@contextlib.contextmanager
def no_random(seed: int = 42, reproducible: bool = True) -> Iterator[None]:
    """Seeded generators for a while, and those of before afterwards."""
    kept = torch.random.get_rng_state(), np.random.get_state(), random.getstate()
    set_seed(seed, reproducible)
    try:
        yield
    finally:
        torch.random.set_rng_state(kept[0])
        np.random.set_state(kept[1])
        random.setstate(kept[2])


def default_device(use: bool | None = None) -> torch.device:
    """The GPU where there is one, else the CPU, which False asks for."""
    if use is False:
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def listed(values: Any) -> list[Any]:
    """`None` as an empty list, one thing as a list of it, and a list as it is."""
    if values is None:
        return []
    return list(values) if isinstance(values, list | tuple | L) else [values]


def target_of(dls: Any) -> TargetInfo | None:
    """What loaders say of their target, or None where they do not know."""
    try:
        return dls.target  # type: ignore[no-any-return]
    except (AttributeError, ConfigError):
        return None
