"""Saving a learner's weights and optimizer, and taking them back: one safetensors file, without pickle.

The model's tensors have their own names, so that anybody can read them; those of the optimizer begin with
`optimizer/`, and the header says in JSON what they mean. A file is replaced at once or not at all, and nothing of a
file that does not fit is taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from fastcli.errors import FastcliError, first_few
from fastcli.models.pretrained import read_weights
from fastcli.optim.optimizer import Optimizer, laid_out_like
from fastcli.run.files import make_directory
from fastcli.run.nested import join_tensors, split_tensors
from fastcli.run.pair import read_words, write_tensors

__all__ = ["load", "read_header", "save", "write"]

SUFFIX = ".safetensors"
PREFIX = "optimizer/"
HEADER = "fastcli"
FORMAT = 1


def save(learner: Any, path: str | Path, with_optimizer: bool = True) -> Path:
    """The file with the model's tensors and the optimizer's state, if it has any; `.safetensors` is added to `path`.

    Raises FastcliError, with an older file intact, where it cannot be written.
    """
    tensors, header = dict(learner.model.state_dict()), {}
    if with_optimizer and learner.optimizer is not None:
        state: dict[str, Tensor] = {}
        header["optimizer"] = {
            "kind": kind_of(learner.optimizer),
            "parameters": parameter_names(learner.model, learner.optimizer),
            "state": split_tensors(learner.optimizer.state_dict(), "state", state),
        }
        tensors |= {PREFIX + name: tensor for name, tensor in state.items()}
    return write(path, tensors, header)


def write(path: str | Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> Path:
    """The file with these tensors, and `header` in JSON before them; `.safetensors` is added to `path`."""
    target = _file(path)
    make_directory(target.parent)
    write_tensors(target, tensors, {HEADER: json.dumps({"format": FORMAT, **header})})
    return target


def load(learner: Any, path: str | Path, with_optimizer: bool | None = None, *, strict: bool = True) -> list[str]:
    """Take the weights and the optimizer's state of a file of `save`, or of a plain state dict.

    Plain ones are `.safetensors`, or torch's files, of which no code is run. Without a state in the file, or with
    `with_optimizer` false, the optimizer starts anew. Returns the model's tensors that the file does not have: none
    when `strict`. Raises FastcliError that names what does not fit, with the learner as it was.
    """
    source, header = read_header(path)
    found = read_weights(source)
    weights = {name: tensor for name, tensor in found.items() if not name.startswith(PREFIX)} if header else found
    saved = header.get("optimizer") if with_optimizer is not False else None
    if with_optimizer and saved is None:
        raise FastcliError(f"{source} has no optimizer state", hint="load it with with_optimizer=False")
    missing = _compare(source, weights, learner.model.state_dict(), strict)
    before, learner.optimizer = learner.optimizer, None
    if saved is not None:
        try:
            learner.optimizer = _restored(learner, source, saved, found)
        except BaseException:
            learner.optimizer = before
            raise
    learner.model.load_state_dict(weights, strict=False)
    return missing


def _restored(learner: Any, source: Path, saved: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    """A new optimizer of the learner with the state of the file."""
    optimizer = learner.create_optimizer()
    if saved["kind"] != kind_of(optimizer):
        raise FastcliError(
            f"{source} has the state of {saved['kind']}, the learner trains with {kind_of(optimizer)}",
            hint="make the learner with that optimizer, or load with with_optimizer=False",
        )
    groups = parameter_names(learner.model, optimizer)
    if saved["parameters"] != groups:
        other = _first_difference(saved["parameters"], groups)
        raise FastcliError(
            f"the optimizer's state in {source} is of other parameters: {other}",
            hint="load with with_optimizer=False, or make the learner as it was saved",
        )
    state = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items() if name.startswith(PREFIX)}
    optimizer.load_state_dict(join_tensors(saved["state"], state))
    for parameter, kept in optimizer.state.items():  # a file knows no memory layout
        kept |= {name: laid_out_like(v, parameter) for name, v in kept.items() if isinstance(v, Tensor)}
    return optimizer


def _compare(source: Path, weights: Mapping[str, Tensor], own: Mapping[str, Tensor], strict: bool) -> list[str]:
    """The model's names that the file does not have; raises FastcliError where the two do not fit."""
    missing = [name for name in own if name not in weights]
    strange = [name for name in weights if name not in own]
    shapes = [f"{name} is {tuple(weights[name].shape)}, not {tuple(own[name].shape)}"
              for name in own if name in weights and weights[name].shape != own[name].shape]  # fmt: skip
    problems = [f"{what} {first_few(names)}" for what, names in (("missing", missing), ("unknown", strange)) if names]
    if shapes or (strict and problems):
        everything = "; ".join([*([first_few(shapes)] if shapes else []), *(problems if strict else [])])
        hint = "make the model as it was saved" + ("" if shapes else ", or load with strict=False")
        raise FastcliError(f"{source} does not fit the model: {everything}", hint=hint)
    if len(missing) == len(own):
        raise FastcliError(f"{source} has no tensor of the model; its first is {next(iter(weights))!r}")
    return missing


def kind_of(optimizer: Any) -> str:
    """The optimizer's class and, of one made of pieces, these."""
    if not isinstance(optimizer, Optimizer):
        return type(optimizer).__name__
    return (
        f"{type(optimizer).__name__}({', '.join(getattr(p, '__name__', type(p).__name__) for p in optimizer.pieces)})"
    )


def parameter_names(model: Any, optimizer: Any) -> list[list[str]]:
    """The names of each group's parameters."""
    names = {id(parameter): name for name, parameter in model.named_parameters(remove_duplicate=False)}
    return [[names.get(id(p), "another's") for p in group["params"]] for group in optimizer.param_groups]


def _first_difference(saved: Sequence[Sequence[str]], own: Sequence[Sequence[str]]) -> str:
    pairs = zip([n for group in saved for n in group], [n for group in own for n in group], strict=False)
    different = next((f"{theirs} in the place of {ours}" for theirs, ours in pairs if theirs != ours), None)
    return different or f"groups of {[len(g) for g in saved]} tensors, not {[len(g) for g in own]}"


def read_header(path: str | Path) -> tuple[Path, dict[str, Any]]:
    """The file at `path`, with or without its suffix, and its header; an empty one for a plain state dict.

    Raises FastcliError where there is no file, and for one of a newer fastcli.
    """
    source = _existing(path)
    if source.suffix != SUFFIX:
        return source, {}
    header: dict[str, Any] = json.loads(read_words(source).get(HEADER, "{}"))
    if header.get("format", FORMAT) != FORMAT:
        raise FastcliError(f"{source} is of format {header['format']}, and this fastcli reads {FORMAT}",
                           hint="install a newer one")  # fmt: skip
    return source, header


def _file(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)


def _existing(path: str | Path) -> Path:
    for candidate in (Path(path), _file(path)):
        if candidate.is_file():
            return candidate
    raise FastcliError(f"there is no file {path}", hint=f"save makes {_file(path)}")
