"""Getting pictures together: downloading many, finding bad ones, making small copies; all say what failed and why."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import PIL.Image as Pillow

from fastcli.data.fetch import Patience, fetch
from fastcli.data.items import IMAGE_EXTENSIONS
from fastcli.data.threads import each
from fastcli.errors import DataError
from fastcli.run.files import atomic_path
from fastcli.transforms.image import open_image

__all__ = ["Gathered", "bad_pictures", "download_pictures", "shrink", "shrink_pictures", "why_bad"]


@dataclass(frozen=True)
class Gathered:
    """The files that were made, and why there is none of the others."""

    files: list[Path] = field(default_factory=list)
    failed: Mapping[str, str] = field(default_factory=dict)
    """The reason for each address or file."""


def why_bad(path: str | os.PathLike[str]) -> str | None:
    """Why a file cannot be opened as a picture; None where it can, to its last pixel."""
    try:
        open_image(path)
    except DataError as error:
        return error.message
    return None


def bad_pictures(paths: Iterable[str | os.PathLike[str]], workers: int | None = None) -> dict[Path, str]:
    """The files that cannot be opened as pictures, in their order, and why."""
    files = [Path(path) for path in paths]
    found = each(why_bad, files, workers)
    return {file: reason for file, reason in zip(files, found, strict=True) if reason is not None}


def download_pictures(
    urls: Sequence[str], folder: Path, *, workers: int = 8, timeout: float = 4.0, keep_names: bool = False
) -> Gathered:
    """The pictures at these addresses, in `folder`; what is no picture is not kept.

    A file is named after its address (a digest of it, or with `keep_names` its own name), so that a second call brings
    nothing twice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {_target(url, folder, keep_names): url for url in urls}
    patience = Patience(connect=timeout, read=timeout, retries=1)

    def get(target: Path) -> str | None:
        if target.is_file():
            return None
        try:
            fetch(wanted[target], target, patience=patience)
        except (DataError, OSError, ValueError) as error:
            return getattr(error, "message", None) or str(error)
        if (reason := why_bad(target)) is not None:
            target.unlink()
        return reason

    reasons = each(get, list(wanted), workers)
    pairs = list(zip(wanted, reasons, strict=True))
    return Gathered([t for t, why in pairs if why is None], {wanted[t]: why for t, why in pairs if why is not None})


def _target(url: str, folder: Path, keep_name: bool) -> Path:
    name = Path(unquote(urlsplit(url).path)).name
    suffix = Path(name).suffix.lower()
    if keep_name and name:
        return folder / name
    known = suffix.lstrip(".") in IMAGE_EXTENSIONS
    return folder / f"{hashlib.sha256(url.encode()).hexdigest()[:20]}{suffix if known else '.jpg'}"


def shrink(source: Path, target: Path, most: int | None = None, channels: int = 3) -> Path:
    """`target`: the picture upright, in grey or colour, its longer side at most `most` pixels. Raises DataError."""
    pixels = open_image(source, mode="L" if channels == 1 else "RGB").permute(1, 2, 0).numpy()
    picture = Pillow.fromarray(pixels[..., 0] if channels == 1 else pixels)
    if most is not None:
        picture.thumbnail((most, most), Pillow.Resampling.LANCZOS, reducing_gap=3.0)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as unfinished:
        picture.save(unfinished, format=Pillow.registered_extensions().get(target.suffix.lower(), "PNG"))
    return target


def shrink_pictures(
    files: Sequence[Path], root: Path, folder: Path, *, most: int | None = None, channels: int = 3,
    suffix: str | None = None, again: bool = True, workers: int | None = None,
) -> Gathered:  # fmt: skip
    """Copies in `folder` of pictures below `root`, as `shrink` makes them; without `again` those there are stay."""

    def make(file: Path) -> Path | str:
        target = folder / file.relative_to(root)
        target = target if suffix is None else target.with_suffix(suffix)
        if target.is_file() and not again:
            return target
        try:
            return shrink(file, target, most, channels)
        except (DataError, OSError, ValueError) as error:
            return getattr(error, "message", None) or str(error)

    made = list(zip(files, each(make, files, workers), strict=True))
    return Gathered([t for _, t in made if isinstance(t, Path)], {str(f): t for f, t in made if isinstance(t, str)})
