"""All findings about a data set: its files, its doubles, its classes and its splits."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastcli.data.split_file import relative_name
from fastcli.survey.class_names import spelt_alike
from fastcli.survey.examine import Facts, examine_all
from fastcli.survey.faults import file_faults
from fastcli.survey.findings import Entry, Finding, Severity, by_severity, tally
from fastcli.survey.samples import Samples
from fastcli.survey.twins import groups_of_twins
from fastcli.transforms.reading import MAX_PIXELS

FEW = 5
"""Training pictures of a class below which little can be learnt of it."""
IMBALANCE = 10


@dataclass(frozen=True)
class Report:
    """What a check found."""

    samples: Samples
    facts: list[Facts]
    findings: list[Finding]

    @property
    def tally(self) -> dict[Severity, int]:
        """How many kinds of errors, warnings and notes there are."""
        return tally(self.findings)

    def as_data(self) -> dict[str, Any]:
        """It as plain data."""
        return {
            "root": str(self.samples.root),
            "pictures": len(self.samples),
            "train": self.samples.size("train"),
            "valid": self.samples.size("valid"),
            "classes": dict(sorted(self.samples.counts().items())),
            **{f"{severity}s": n for severity, n in self.tally.items()},
            "findings": [finding.as_data() for finding in self.findings],
        }


def check(
    samples: Samples, *, max_pixels: int = MAX_PIXELS, lenient: bool = False, workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:  # fmt: skip
    """The report on all pictures, each decoded in full; `lenient` where training leaves out what it cannot read."""
    facts = examine_all([s.path for s in samples.all], max_pixels=max_pixels, workers=workers, progress=progress)

    def name_of(path: Path) -> str:
        return relative_name(path, samples.root)

    findings = [
        *(Finding("error", "arrangement", problem, (Entry(()),)) for problem in samples.problems),
        *file_faults(facts, name_of, lenient=lenient),
        *mask_faults(samples, facts, name_of, max_pixels),
        *doubles(samples, facts, name_of),
        *class_faults(samples),
    ]
    return Report(samples, facts, by_severity(findings))


def mask_faults(
    samples: Samples, facts: Sequence[Facts], name_of: Callable[[Path], str], max_pixels: int
) -> Iterator[Finding]:
    """Masks that cannot be decoded or are of another shape than their picture."""
    pairs = [(s.mask, f) for s, f in zip(samples.all, facts, strict=True) if s.mask is not None]
    masks = examine_all([mask for mask, _ in pairs], max_pixels=max_pixels)
    bad = []
    for mask, (_, picture) in zip(masks, pairs, strict=True):
        (width, height), (across, down) = picture.size, mask.size
        if mask.fault:
            bad.append(Entry((name_of(mask.path),), mask.fault))
        elif not picture.fault and abs(down * width - across * height) > max(width, height):
            files = (name_of(picture.path), name_of(mask.path))
            bad.append(Entry(files, f"{width} x {height} and {across} x {down}"))
    if bad:
        yield Finding("error", "mask", "masks that do not fit", tuple(bad), "is one of them turned, or cut?")


def doubles(samples: Samples, facts: Sequence[Facts], name_of: Callable[[Path], str]) -> Iterator[Finding]:
    """Files of the same content, and pictures that look the same: within a split, across splits, across classes."""
    by_content: dict[bytes, list[int]] = {}
    for i, one in enumerate(facts):
        if one.n_bytes and samples.all[i].split:
            by_content.setdefault(one.digest, []).append(i)
    same = [group for group in by_content.values() if len({os.path.realpath(facts[i].path) for i in group}) > 1]
    yield from _doubles("duplicate", "the same file", same, samples, name_of)
    singles = [group[0] for group in by_content.values() if facts[group[0]].looks is not None]
    twins = groups_of_twins([look for i in singles if (look := facts[i].looks) is not None])
    alike = [[i for t in group for i in by_content[facts[singles[t]].digest]] for group in twins]
    yield from _doubles("near duplicate", "looks the same", alike, samples, name_of)


def _doubles(
    kind: str, words: str, groups: Sequence[Sequence[int]], samples: Samples, name_of: Callable[[Path], str]
) -> Iterator[Finding]:
    """Three findings about groups of pictures that are one: a leak, a contradiction, a mere double."""
    sure = kind == "duplicate"
    serious: Severity = "error" if sure else "warning"
    across, between, within = [], [], []
    for group in groups:
        members = [samples.all[i] for i in group]
        files, splits = tuple(name_of(m.path) for m in members), tuple(m.split for m in members)
        labels = {frozenset(m.labels) for m in members}
        if len(labels) > 1:
            named = sorted("|".join(sorted(some)) for some in labels)
            between.append(Entry(files, f"classes {', '.join(named)}"))
        if len(set(splits)) > 1:
            across.append(Entry(files, splits=splits))
        elif len(labels) == 1:
            within.append(Entry(files))
    if across:
        yield Finding(serious, f"{kind} across splits", f"{words} in training and validation", tuple(across),
                      "figures of the validation are too good: keep one of each, or split by groups")  # fmt: skip
    if between:
        yield Finding(serious, "conflicting labels" if sure else "conflicting labels of near duplicates",
                      f"{words} in two classes", tuple(between), "keep the right one")  # fmt: skip
    if within:
        yield Finding("warning", kind, f"{words} more than once", tuple(within), "keep one of each")


def class_faults(samples: Samples) -> Iterator[Finding]:
    """Classes that are missing in a split, rare, or spelt nearly alike."""
    train, valid = samples.counts("train"), samples.counts("valid")
    if not train and not valid:
        return
    only = {"valid": sorted(set(valid) - set(train)), "train": sorted(set(train) - set(valid))}
    if only["valid"]:
        yield _about(only["valid"], "error", "class missing", "classes in validation alone", valid,
                     "they are unknown to training: add pictures of them, or take them out")  # fmt: skip
    if only["train"]:
        yield _about(only["train"], "warning", "class missing", "classes without a picture to validate", train,
                     "how well they are known is not measured")  # fmt: skip
    rare = sorted(name for name, n in train.items() if n < FEW)
    if rare:
        yield _about(rare, "warning", "rare class", f"classes with fewer than {FEW} training pictures", train, "")
    if alike := spelt_alike(samples.classes):
        entries = tuple(Entry((), f"{first!r} and {second!r} ({why})") for first, second, why in alike)
        yield Finding("warning", "class names", "classes that may be one", entries, "rename one if they are")
    yield from _imbalance(train)


def _about(names: Sequence[str], severity: Severity, kind: str, what: str, counts: Counter[str], hint: str) -> Finding:
    entries = tuple(Entry((), f"{name!r}: {counts[name]:,} picture{'s' if counts[name] != 1 else ''}")
                    for name in names)  # fmt: skip
    return Finding(severity, kind, what, entries, hint)


def _imbalance(train: Counter[str]) -> Iterator[Finding]:
    if len(train) < 2:
        return
    (most, n_most), (least, n_least) = train.most_common()[0], train.most_common()[-1]
    if n_most > IMBALANCE * n_least:
        text = f"{n_most:,} of {most!r}, {n_least:,} of {least!r}"
        yield Finding("warning", "imbalance", f"classes of very different size, {n_most // n_least} to 1",
                      (Entry((), text),), "data.sampler: balanced, and balanced accuracy or f1_score")  # fmt: skip
