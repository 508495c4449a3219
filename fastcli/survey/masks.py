"""Pictures with a mask each: masks/1.png for images/1.jpg, or 1_mask.png beside 1.jpg."""

from __future__ import annotations

from pathlib import PurePosixPath

from fastcli.survey.layout import MASK_FOLDERS, Layout, Listing

MASK_ENDINGS = ("_mask", "-mask", "_seg", "_label", "_gt")


def mask_layout(listing: Listing) -> Layout | None:
    """Two folders side by side, or endings of names, by which every picture has its mask; else None."""
    by_folder: dict[str, list[PurePosixPath]] = {}
    for name in map(PurePosixPath, listing.pictures):
        by_folder.setdefault(str(name.parent), []).append(name)
    for folder, masks in by_folder.items():
        if PurePosixPath(folder).name.lower() not in MASK_FOLDERS:
            continue
        for pictures, names in by_folder.items():
            if PurePosixPath(pictures).parent == PurePosixPath(folder).parent and pictures != folder:
                suffix = _suffix(names, {mask.name for mask in masks})
                if suffix is not None:
                    return _layout(pictures, PurePosixPath(folder).name, suffix)
    return _beside(by_folder)


def _suffix(pictures: list[PurePosixPath], masks: set[str]) -> str | None:
    """What follows a picture's name, without its extension, in the name of its mask: the same for all.

    >>> _suffix([PurePosixPath("i/1.jpg"), PurePosixPath("i/2.jpg")], {"1_P.png", "2_P.png"})
    '_P.png'
    """
    first = pictures[0].stem
    for mask in sorted(masks, key=len):
        if mask.startswith(first):
            suffix = mask.removeprefix(first)
            if all(picture.stem + suffix in masks for picture in pictures):
                return suffix
    return None


def _beside(by_folder: dict[str, list[PurePosixPath]]) -> Layout | None:
    for folder, names in by_folder.items():
        masks = {name.name for name in names if name.stem.lower().endswith(MASK_ENDINGS)}
        pictures = [name for name in names if name.name not in masks]
        extensions = {name.suffix.lstrip(".").lower() for name in pictures}
        if not masks or not pictures or extensions & {name.rpartition(".")[2].lower() for name in masks}:
            continue  # with equal extensions the masks would count as pictures
        suffix = _suffix(pictures, masks)
        if suffix is not None:
            return _layout(folder, ".", suffix, sorted(extensions))
    return None


def _layout(pictures: str, masks: str, suffix: str, extensions: list[str] | None = None) -> Layout:
    where = f"{masks}/" if masks != "." else "beside it, "
    items = {"name": "image_files", **({"path": pictures} if pictures != "." else {})}
    if extensions:
        items["extensions"] = extensions  # type: ignore[assignment]
    return Layout(
        "masks",
        f"a mask for each picture ({where}…{suffix})",
        {"name": "mask_file", "folder": masks, "suffix": suffix},
        {"name": "random", "valid_pct": 0.2},
        items,
        target="mask",
        label_words="the path of the mask; its values are the codes of classes",
    )
