"""The model's card: the README of a run, which also says what a model hub wants to know."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastcli.errors import first_few
from fastcli.run.environment import without_secrets

MOST_CLASSES = 40


TASKS = {"category": "image-classification", "multi_category": "image-classification", "mask": "image-segmentation",
         "points": "keypoint-detection"}  # fmt: skip
"""What the Hub calls the task of each kind of target; regression has no name there."""


def model_card(
    *,
    name: str,
    model: str,
    data: Mapping[str, Any],
    figures: Mapping[str, float],
    config: str,
    environment: Mapping[str, Any],
    classes: Sequence[str] = (),
    parameters: int | None = None,
    epoch: int | None = None,
    predict: str = "fastcli predict image.jpg",
    license: str | None = None,
    tags: Sequence[str] = (),
    kind: str = "category",
) -> str:
    """The card as Markdown with front matter: what was trained, on what, how good it is, how to use and repeat it.

    `data` describes the data by words to values (source, images for training, …), `figures` are the losses and
    metrics of the validation split after `epoch`, `config` is the resolved YAML, `environment` that of the run, `kind`
    the target's.
    """
    about = f"`{_code(model)}`" + (f", {parameters / 1e6:,.1f} M parameters" if parameters else "")
    described = {**data, **({"classes": first_few(classes, MOST_CLASSES)} if classes else {})}
    when = f" after epoch {epoch}" if epoch is not None else ""
    return "\n".join(
        [
            _front_matter(figures, license, tags, TASKS.get(kind)),
            f"# {_escape(name)}",
            "",
            f"An image model trained with [fastcli](https://pypi.org/project/fastcli/): {about}.",
            "",
            *_section("Data", _table(("", ""), described)),
            *_section(f"Figures{when}, on the validation split", _table(("figure", "value"), figures)),
            "![history](plots/history.png)",
            "",
            *_section("Predict", _fence(predict, "sh")),
            "The classes, the preprocessing and the weights are read from this directory.",
            "",
            *_section("Train it again", _fence("fastcli train config.resolved.yaml", "sh")),
            *_section("Configuration", _fence(without_secrets(config), "yaml")),
            *_section("Environment", _table(("", ""), _flat(environment))),
        ]
    )


def _front_matter(figures: Mapping[str, float], license_name: str | None, tags: Sequence[str], task: str | None) -> str:
    import yaml

    fields: dict[str, Any] = {"license": license_name} if license_name else {}
    fields |= {"library_name": "fastcli", **({"pipeline_tag": task} if task else {})}
    fields["tags"] = list(dict.fromkeys([*([task] if task else []), "fastcli", *tags]))
    metrics = [figure for figure in figures if not figure.endswith("loss")]
    if metrics:
        fields["metrics"] = metrics
    return f"---\n{yaml.safe_dump(fields, allow_unicode=True, sort_keys=False)}---\n"


def _section(title: str, body: str) -> list[str]:
    return [f"## {title}", "", body, ""]


def _table(head: tuple[str, str], rows: Mapping[str, Any]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    return "\n".join([*lines, *(f"| {_escape(key)} | {_escape(_shown(value))} |" for key, value in rows.items())])


def _shown(value: Any) -> str:
    """A value as people write it.

    >>> _shown(0.99314), _shown(12396), _shown(True), _shown(None)
    ('0.9931', '12,396', 'yes', 'unknown')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "unknown"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _flat(environment: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under their last name, those that are unknown left out.

    >>> _flat({"python": "3.11", "git": {"commit": "abc", "dirty": False}, "device_name": None})
    {'python': '3.11', 'git commit': 'abc', 'git dirty': False}
    """
    flat: dict[str, Any] = {}
    for key, value in environment.items():
        words = f"{prefix}{key}".replace("_", " ").removeprefix("packages ")
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{words} ")
        elif value is not None:
            flat[words] = value
    return flat


def _escape(words: str) -> str:
    """`words` on one line as plain text in Markdown, in a table too.

    >>> _escape("a|b *c* <d>")
    'a\\\\|b \\\\*c\\\\* &lt;d&gt;'
    """
    words = " ".join(words.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#$~])", r"\\\1", words)


def _code(words: str) -> str:
    return " ".join(words.replace("`", "'").split())


def _fence(body: str, language: str) -> str:
    """A block of code whose fence is longer than any inside."""
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", body)), default=0))
    return f"{ticks}{language}\n{body.rstrip()}\n{ticks}"
