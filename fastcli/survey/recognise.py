"""Which arrangement a folder of pictures has, of those that are understood."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fastcli.errors import DataError, UsageError, did_you_mean
from fastcli.survey.layout import Layout, Listing, folder_layout, name_layout
from fastcli.survey.masks import mask_layout
from fastcli.survey.tables import table_in, table_layout

KINDS = ("masks", "folders", "table", "names")
SUPPORTED = """a folder per class (cat/1.jpg), these below train/ and valid/, a CSV or TSV with a column of file \
names, names that begin with the class (cat_1.jpg), or masks/1.png for images/1.jpg"""


def recognise(source: Path, kind: str | None = None) -> Layout:
    """The arrangement of a folder or a table of pictures; `kind` (one of `KINDS`) where several can be seen.

    Raises DataError where none is recognised, with those that are.
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"no layout {kind!r}", hint=did_you_mean(kind, KINDS))
    if source.is_file():
        return table_layout(source)
    listing = Listing.of(source)
    if not listing.pictures:
        raise DataError(f"no pictures below {source}", hint=_other_files(listing))
    finders: dict[str, Callable[[Listing], Layout | None]] = {
        "masks": mask_layout, "folders": folder_layout, "table": table_in, "names": name_layout,
    }  # fmt: skip
    found = {name: layout for name, finder in finders.items() if (layout := finder(listing)) is not None}
    if kind is not None and kind not in found:
        raise DataError(f"{source} is not arranged as {kind}", hint=f"it could be: {', '.join(found) or 'nothing'}")
    if not found:
        raise DataError(f"cannot tell the classes of the {len(listing.pictures):,} pictures in {source}",
                        hint=f"what is understood: {SUPPORTED}")  # fmt: skip
    chosen = kind or next(iter(found))
    return _with_remarks(found[chosen], [found[name] for name in found if name != chosen])


def _with_remarks(layout: Layout, others: Sequence[Layout]) -> Layout:
    """The layout, with how else the folder could be read."""
    seen = tuple(f"could also be {other.words}: --as {other.kind}" for other in others)
    return replace(layout, remarks=(*layout.remarks, *seen))


def _other_files(listing: Listing) -> str:
    endings = Counter(PurePosixPath(name).suffix or "no extension" for name in listing.others)
    seen = ", ".join(f"{n:,} {ending}" for ending, n in endings.most_common(5))
    return f"other files are there: {seen}" if seen else "it holds no files"
