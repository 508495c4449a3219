"""Groups of items that one looks at together: those of a cell of the confusion matrix, the misses of a label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from fastcli.report.interpret import Interpretation


class Group(NamedTuple):
    """Items, the largest losses first."""

    title: str
    items: list[int]
    wrong: bool


def groups_of(found: Interpretation) -> dict[str, Group]:
    """The groups by the key that the page knows them by; none for targets whose items stand each for itself."""
    order = found.losses.argsort(descending=True)
    if found.target.kind == "category":
        return _cells(found, order)
    return _mistakes(found, order) if found.target.kind == "multi_category" else {}


def _cells(found: Interpretation, order: Tensor) -> dict[str, Group]:
    members: dict[tuple[int, int], list[int]] = defaultdict(list)
    true, said = found.targets.reshape(-1)[order].tolist(), found.decisions[order].tolist()
    for item, i, j in zip(order.tolist(), true, said, strict=True):
        members[i, j].append(item)
    names = found.classes
    made: dict[str, Group] = {}
    for (i, j), items in members.items():
        title = f"{names[i]}, rightly seen" if i == j else f"{names[i]} seen as {names[j]}"
        made[f"{i}-{j}"] = Group(title, items, i != j)
    return made


def _mistakes(found: Interpretation, order: Tensor) -> dict[str, Group]:
    given, true = found.decisions.bool()[order], found.targets.bool()[order]
    made: dict[str, Group] = {}
    for word, wrong in (("missed", ~given & true), ("wrongly given", given & ~true)):
        for k, name in enumerate(found.classes):
            items = order[wrong[:, k]].tolist()
            if items:
                made[f"{name}:{word}"] = Group(f"{name}, {word}", items, True)
    return made


def in_turn(groups: Mapping[str, Group], most: int, first: Sequence[int] = ()) -> list[int]:
    """Items in the order in which they deserve a picture, each once: `first`, then the first of each group, and so on.

    Of equals the groups of mistakes come before the others, and large groups before small ones.
    """
    ordered = sorted(groups.values(), key=lambda group: (not group.wrong, -len(group.items)))
    ranked = [group.items[rank] for rank in range(most) for group in ordered if rank < len(group.items)]
    return list(dict.fromkeys([*first, *ranked]))
