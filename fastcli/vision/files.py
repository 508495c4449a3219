"""fastai's helpers for files of pictures by their names; they tell what failed and why, where fastai is silent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fastcli.data import pictures
from fastcli.errors import ConfigError
from fastcli.vision.core import L, get_image_files

__all__ = ["download_images", "resize_image", "resize_images", "resize_to", "verify_image", "verify_images"]


def download_images(
    dest: str | Path, url_file: str | Path | None = None, urls: Sequence[str] | None = None, max_pics: int = 1000,
    n_workers: int = 8, timeout: float = 4, preserve_filename: bool = False,
) -> Any:  # fmt: skip
    """An `L` of the files in `dest` that the first `max_pics` addresses gave; others are printed with reasons."""
    if (url_file is None) == (urls is None):
        raise ConfigError("download_images needs addresses", hint="give urls, or url_file, a file with one a line")
    if urls is None:
        urls = [line.strip() for line in Path(str(url_file)).read_text(encoding="utf-8").splitlines() if line.strip()]
    got = pictures.download_pictures(
        list(urls)[:max_pics], Path(dest), workers=n_workers, timeout=timeout, keep_names=preserve_filename
    )
    _tell(got.failed)
    return L(got.files)


def verify_image(fn: str | Path) -> bool:
    """Whether a file can be opened as a picture."""
    return pictures.why_bad(fn) is None


def verify_images(fns: Iterable[str | Path]) -> Any:
    """An `L` of the files that cannot be opened as pictures; they are printed with reasons."""
    bad = pictures.bad_pictures(fns)
    _tell({str(file): reason for file, reason in bad.items()})
    return L(list(bad))


def resize_to(img: Any, targ_sz: int, use_min: bool = False) -> tuple[int, int]:
    """Width and height of `img` when its longer side, or with `use_min` its shorter one, becomes `targ_sz`."""
    width, height = img.size
    ratio = targ_sz / (min if use_min else max)(width, height)
    return int(width * ratio), int(height * ratio)


def resize_image(
    file: str | Path, dest: str | Path, src: str | Path = ".", max_size: int | None = None, n_channels: int = 3,
    ext: str | None = None, resume: bool = False,
) -> Path:  # fmt: skip
    """The copy in `dest` of a file of `src`, its longer side at most `max_size`; with `resume` one that is there stays.

    Raises DataError for what is no picture.
    """
    target = Path(dest) / file
    target = target if ext is None else target.with_suffix(ext)
    return target if resume and target.is_file() else pictures.shrink(Path(src) / file, target, max_size, n_channels)


def resize_images(
    path: str | Path, max_workers: int | None = None, max_size: int | None = None, recurse: bool = False,
    dest: str | Path = ".", n_channels: int = 3, ext: str | None = None, resume: bool = False,
) -> Any:  # fmt: skip
    """An `L` of the copies in `dest` of all pictures in `path`; files that fail are printed with reasons."""
    made = pictures.shrink_pictures(
        list(get_image_files(path, recurse)), Path(path), Path(dest), most=max_size, channels=n_channels, suffix=ext,
        again=not resume, workers=max_workers,
    )  # fmt: skip
    _tell(made.failed)
    return L(made.files)


def _tell(failed: Any) -> None:
    for name, reason in failed.items():
        print(reason if name in reason else f"{name}: {reason}")  # noqa: T201 - the answer to what a notebook asked
