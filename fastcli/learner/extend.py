"""More epochs for a training: which recipes it goes through then, and what must be asked where a rate has ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastcli.errors import ConfigError, UsageError
from fastcli.registry import recipes as registry

__all__ = ["extended", "in_turn"]

LENGTHS = ("epochs", "body_epochs")
STEADY = ("fit", "fit_sgdr")
"""Recipes whose rate does not depend on how many epochs there are."""
SCHEDULES = ("schedule", "progressive_resize")
"""Callbacks that do."""
CHOICES = ("restart", "stretch")


def in_turn(recipes: Sequence[Mapping[str, Any]]) -> Callable[[Any], None]:
    """One recipe that runs these (their names under `recipe`) one after the other."""
    bound = [registry.bind(each["recipe"], **{k: v for k, v in each.items() if k != "recipe"}) for each in recipes]

    def run(learner: Any) -> None:
        for recipe in bound:
            recipe(learner)

    return run


def extended(
    recipes: Sequence[Mapping[str, Any]],
    before: Mapping[str, Any],
    config: Mapping[str, Any],
    changed: Sequence[str],
    schedule: str | None,
    done: int,
) -> list[dict[str, Any]]:
    """The recipes that a run goes through which had `recipes`, or else the one of `before`, and now has `config`.

    None of them where its configuration says it all. `done` epochs were trained. Raises ConfigError where `schedule`
    must be chosen and is not, UsageError where it is and need not be.
    """
    key = next((key for key in LENGTHS if f"train.{key}" in changed), None)
    asked = key is not None and _ends(config)
    if schedule is not None and not (schedule in CHOICES and asked):
        what = f"--schedule {schedule} is unknown" if schedule not in CHOICES else f"there is nothing to {schedule}"
        raise UsageError(what, hint="--schedule is for train.epochs=N of a rate that ends: restart or stretch")
    now = {**config["train"]}
    if key is None:
        return [dict(each) for each in recipes]
    _check(now, key, done, before)
    if asked and schedule is None:
        raise ConfigError(_words(now, before, key), hint=_hint(now, before, key), key=f"train.{key}")
    parts = [dict(each) for each in recipes] or [dict(before)]
    planned = sum(each[key] for each in parts)
    if schedule == "restart" and now[key] > planned and key == "epochs":
        rest = {"freeze_epochs": 0} if "freeze_epochs" in now else {}
        return [*parts, {**now, **rest, key: now[key] - planned}]
    if len(parts) == 1:
        return []
    earlier = sum(each[key] for each in parts[:-1])
    return [*parts[:-1], {**parts[-1], key: now[key] - earlier}]


def _ends(config: Mapping[str, Any]) -> bool:
    return config["train"]["recipe"] not in STEADY or any(c["name"] in SCHEDULES for c in config["callbacks"])


def _check(now: Mapping[str, Any], key: str, done: int, before: Mapping[str, Any]) -> None:
    least = done - (now.get("freeze_epochs") or 0)
    if key == "epochs" and now[key] < least:
        raise ConfigError(f"{now[key]} epochs are asked for, and {least} are done", key=f"train.{key}",
                          hint="--fork begins a new run")  # fmt: skip
    if before.get("recipe") != now["recipe"]:
        raise ConfigError("the recipe cannot change in a run that has begun", key="train.recipe")


def _words(now: Mapping[str, Any], before: Mapping[str, Any], key: str) -> str:
    return f"the rate of {now['recipe']} was made for {before[key]} epochs, and {now[key]} are asked for"


def _hint(now: Mapping[str, Any], before: Mapping[str, Any], key: str) -> str:
    stretch = f"--schedule stretch goes on along the curve of {now[key]}, from where it stands on that"
    if key != "epochs" or now[key] <= before[key]:
        return stretch
    return f"--schedule restart adds another cycle of {now[key] - before[key]}; {stretch}"
