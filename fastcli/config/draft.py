"""A commented configuration for an arrangement of pictures, which trains as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastcli.survey.layout import Layout, printable, shown
from fastcli.survey.samples import Samples
from fastcli.survey.sizes import Sizes

SMALL = 96
"""Pictures of no more pixels a side are learnt from scratch, as they are: photographs' features say little of them."""
WIDTH = 118
EPOCHS = {"mask": 8, "category": 4}
STEPS = 8
"""Training steps that an epoch should have at least, if there are pictures enough."""


def draft(layout: Layout, samples: Samples, sizes: Sizes | None, source: str, name: str, schema: str) -> str:
    """The text of the YAML file `name`; `source` is written as its data, `schema` is where editors find the schema."""
    small = sizes is not None and max(sizes.median) <= SMALL
    head = [
        f"# yaml-language-server: $schema={schema}",
        "#",
        *wrapped(f"{layout.words[:1].upper()}{layout.words[1:]}: {summary(samples, sizes)}"),
        *(line for remark in layout.remarks for line in wrapped(f"- {remark}")),
        "#",
        *(f"#   {line}" for line in next_commands(name)),
        "#",
        "# Any key can be set for one run: train.epochs=10 data.batch_size=16. All keys: fastcli config show " + name,
        "",
    ]
    body = ["data:", *(f"  {line}" for line in _data(layout, samples, sizes, source, small)), *_rest(layout, small)]
    return "\n".join(head + body) + "\n"


def next_commands(name: str) -> list[str]:
    """What can be done with the configuration, in order."""
    name = quoted(name)
    commands = {
        f"fastcli data check {name}": "corrupt files, duplicates, odd labels",
        f"fastcli lr-find {name} --apply": "a learning rate for this data",
        f"fastcli train {name}": "writes runs/",
    }
    width = max(map(len, commands))
    return [f"{command:{width}}  # {words}" for command, words in commands.items()]


def quoted(name: str) -> str:
    """The name as a shell takes it.

    >>> quoted("my bears.yaml"), quoted("bears.yaml")
    ("'my bears.yaml'", 'bears.yaml')
    """
    import shlex

    return shlex.quote(printable(name))


def summary(samples: Samples, sizes: Sizes | None) -> str:
    """Classes, counts, split and sizes in one line."""
    train, valid = samples.size("train"), samples.size("valid")
    parts = [f"{train:,} + {valid:,} pictures (training + validation)"]
    counts = samples.counts()
    if counts:
        named = [f"{label} {counts[label]:,}" for label in samples.classes]
        parts.insert(0, f"{len(counts)} classes ({shown(named)})")
    if sizes is not None:
        parts.append(str(sizes))
    return " · ".join(parts)


def wrapped(text: str) -> list[str]:
    """The text as lines of a comment; nothing in it can end the comment."""
    import textwrap

    lines = textwrap.wrap(printable(text), WIDTH, break_long_words=False, break_on_hyphens=False)
    return [f"# {line}" for line in lines]


def _data(layout: Layout, samples: Samples, sizes: Sizes | None, source: str, small: bool) -> list[str]:
    """The lines of the section `data`."""
    lines = [f"source: {flow(source)}"]
    if layout.items:
        lines.append(f"items: {flow(_bare(layout.items))}")
    if layout.target != "category":
        lines.append(f"target: {layout.target}")
    lines += _remarked(f"label: {flow(_bare(layout.label))}", layout.label_words)
    lines.append(f"split: {flow(_bare(layout.split))}{_split_words(layout)}")
    lines += _transforms(layout, sizes, small)
    if (size := batch_size(samples.size("train"), 8 if layout.target == "mask" else 64)) != 64:
        lines.append(f"batch_size: {size}")
    return lines


def _remarked(line: str, words: str) -> list[str]:
    """The line with a comment behind it, or above it where it would be too long."""
    whole = f"{line}  # {printable(words)}"
    return [whole] if len(whole) < WIDTH else [f"# {printable(words)}", line]


def _split_words(layout: Layout) -> str:
    return {
        "stratified": "  # a fifth of each class, drawn by the seed",
        "random": "  # a fifth, drawn by the seed",
        "column": "  # as the table says",
    }.get(layout.split["name"], "")


def _transforms(layout: Layout, sizes: Sizes | None, small: bool) -> list[str]:
    if small and sizes is not None:
        size = max(sizes.median)
        resize = "[]  # all have one size" if sizes.equal else f"[{{name: resize, size: {size}}}]"
        return [f"item_transforms: {resize}"]
    if layout.target == "mask":
        return ["item_transforms: [{name: resize, size: 224, method: squish}]", "batch_transforms: [aug_transforms]"]
    return [
        "item_transforms: [{name: random_resized_crop, size: 224, min_scale: 0.5}]  # each epoch sees other parts",
        "batch_transforms: [aug_transforms]  # turned, mirrored, brighter or darker, …",
    ]


def _rest(layout: Layout, small: bool) -> list[str]:
    epochs = EPOCHS.get(layout.target, 4)
    if layout.target == "mask":
        model = "{name: unet, architecture: resnet34, pretrained: true}"
        lines = [f"model: {model}"]
    elif small:
        lines = ["model: {name: resnet18, pretrained: false}  # any timm architecture by its name"]
    else:
        lines = ["model: {name: resnet18, pretrained: true}  # any timm architecture by its name"]
    if layout.target == "category":
        lines.append("metrics: [error_rate]")
    if small and layout.target != "mask":
        return [*lines, "train: {recipe: fit_one_cycle, epochs: 5, lr: 1e-2}"]
    return [*lines, f"train: {{recipe: fine_tune, epochs: {epochs}, lr: 2e-3}}"]


def batch_size(n: int, most: int = 64) -> int:
    """The largest power of two up to `most` with which an epoch of `n` pictures has steps enough.

    >>> batch_size(10_000), batch_size(120), batch_size(3)
    (64, 8, 2)
    """
    size = most
    while size > 4 and n < size * STEPS:
        size //= 2
    while size > n > 0:
        size //= 2
    return size


def flow(value: Any) -> str:
    """A value as YAML in one line.

    >>> flow({"name": "regex", "pattern": "^(.+)_"}), flow("no")
    ('{name: regex, pattern: ^(.+)_}', "'no'")
    """
    import yaml

    from fastcli.config.dump import Dumper

    text: str = yaml.dump(value, Dumper=Dumper, sort_keys=False, default_flow_style=True, allow_unicode=True,
                          width=float("inf"))  # fmt: skip
    return text.removesuffix("...\n").rstrip("\n")


def _bare(choice: Any) -> Any:
    """A component without parameters by its name alone."""
    return choice["name"] if len(choice) == 1 else dict(choice)


def relative_source(source: Path, output: Path) -> str:
    """The data as the configuration names it: relative to its folder where it lies below, else the whole path."""
    here = output.absolute().parent
    try:
        return source.absolute().relative_to(here).as_posix()
    except ValueError:
        return str(source.absolute())


def lines_about(layout: Layout, samples: Samples, sizes: Sizes | None) -> Sequence[str]:
    """What was found, in a few lines for people."""
    return [f"{layout.words}: {summary(samples, sizes)}", *(f"  {remark}" for remark in layout.remarks)]
