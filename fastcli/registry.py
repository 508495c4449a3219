"""One registry per kind of component. Left of `/` in a signature is the program's, right of it is YAML's.

    @optimizers
    def adam(params, /, lr: float = 1e-3, weight_decay: float = 0.01): ...

The program gives `params`, the YAML may give `lr` and `weight_decay`: the signature is the schema. `bind` checks
the YAML's part (unknown keys, types, ranges) and returns the callable that waits for the program's part. Other
people's classes can be registered as they are. A second component of one name is an error.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, overload

from fastcli.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from pydantic import BaseModel

Component = TypeVar("Component", bound=Callable[..., Any])
YAML_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class AlreadyRegisteredError(ValueError):
    """Two components of one kind have the same name."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name!r} is already registered")
        self.component = f"{kind} {name!r}"


class Registry:
    """Components of one kind by name.

    `given` names the positional arguments that the program passes; a component that takes another number of
    positional-only arguments is refused when it is registered, not when it is called.
    """

    def __init__(self, kind: str, given: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.given = given
        self._components: dict[str, Callable[..., Any]] = {}

    @overload
    def __call__(self, component: Component) -> Component: ...
    @overload
    def __call__(self, *, name: str) -> Callable[[Component], Component]: ...
    def __call__(self, component: Component | None = None, *, name: str | None = None) -> Any:
        """Register a function or class under its own name, or under `name`; works as a decorator either way."""
        if component is None:
            return functools.partial(self._register, name=name)
        return self._register(component, name=name)

    def _register(self, component: Component, *, name: str | None) -> Component:
        key = name or component.__name__
        if key in self._components and not _same_definition(self._components[key], component):
            raise AlreadyRegisteredError(self.kind, key)
        given = [p for p in inspect.signature(component).parameters.values() if p.kind is p.POSITIONAL_ONLY]
        if len(given) != len(self.given):
            wanted = f"({', '.join(self.given)}, /, …)" if self.given else "no positional-only arguments"
            raise TypeError(f"{self.kind} {key!r} takes {len(given)} positional-only arguments; expected {wanted}")
        self._components[key] = component
        return component

    def __getitem__(self, name: str) -> Callable[..., Any]:
        try:
            return self._components[name]
        except KeyError:
            raise ConfigError(f"unknown {self.kind} {name!r}", hint=did_you_mean(name, self._components)) from None

    def __contains__(self, name: object) -> bool:
        return name in self._components

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._components))

    def __len__(self) -> int:
        return len(self._components)

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}, {len(self)} components)"

    def keys_of(self, name: str) -> list[str]:
        """The parameters that YAML may give to the component `name`."""
        parameters = inspect.signature(self[name]).parameters.values()
        return [parameter.name for parameter in parameters if parameter.kind in YAML_KINDS]

    def schema(self, name: str) -> type[BaseModel]:
        """The pydantic model of the parameters that YAML may give to the component `name`."""
        return _schema(self[name], name)

    def check(self, name: str, **params: Any) -> dict[str, Any]:
        """`params` converted to their declared types, with every default filled in.

        Raises ConfigError for an unknown component, an unknown parameter or a value of the wrong type.
        """
        from pydantic import ValidationError

        schema = self.schema(name)
        try:
            checked = schema(**params)
        except ValidationError as error:
            raise self._parameter_error(name, error) from None
        return {field: getattr(checked, field) for field in schema.model_fields}

    def bind(self, name: str, **params: Any) -> Callable[..., Any]:
        """The component with YAML's parameters checked and filled in, waiting for the program's arguments."""
        return functools.partial(self[name], **self.check(name, **params))

    def build(self, name: str, /, *given: Any, **params: Any) -> Any:
        """The component called with the program's arguments and YAML's parameters."""
        return self.bind(name, **params)(*given)

    def _parameter_error(self, name: str, error: Any) -> ConfigError:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            hint = did_you_mean(key, self.keys_of(name))
            return ConfigError(f"{self.kind} {name!r} has no parameter {key!r}", hint=hint)
        return ConfigError(f"{self.kind} {name!r}, parameter {key!r}: {first['msg']}")


def _same_definition(first: Callable[..., Any], second: Callable[..., Any]) -> bool:
    """Whether both are one definition, perhaps run twice: a notebook's cell, a plugin that failed and was mended."""
    names = [(getattr(it, "__module__", None), getattr(it, "__qualname__", None)) for it in (first, second)]
    return first is second or (None not in names[0] and names[0] == names[1])


@functools.cache
def _schema(component: Callable[..., Any], name: str) -> type[BaseModel]:
    from pydantic import ConfigDict, create_model

    fields: dict[str, Any] = {}
    for parameter in inspect.signature(component, eval_str=True).parameters.values():
        if parameter.kind in YAML_KINDS:
            annotation = Any if parameter.annotation is parameter.empty else parameter.annotation
            fields[parameter.name] = (annotation, ... if parameter.default is parameter.empty else parameter.default)
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())
    return create_model(name, __config__=config, **fields)


items = Registry("items", given=("root",))
labellers = Registry("label", given=("item",))
targets = Registry("target", given=("classes",))
splitters = Registry("split", given=("items", "labels"))
item_transforms = Registry("item transform")
batch_transforms = Registry("batch transform")
models = Registry("model", given=("inputs", "n_out"))
losses = Registry("loss", given=("target",))
optimizers = Registry("optimizer", given=("params",))
metrics = Registry("metric", given=("target",))
recipes = Registry("recipe", given=("learner",))
callbacks = Registry("callback")
image_searches = Registry("image search", given=("query", "count"))
"""Of `fastcli data search`: no configuration names them."""

REGISTRIES = {
    "items": items,
    "label": labellers,
    "target": targets,
    "split": splitters,
    "item_transform": item_transforms,
    "batch_transform": batch_transforms,
    "model": models,
    "loss": losses,
    "optimizer": optimizers,
    "metric": metrics,
    "recipe": recipes,
    "callback": callbacks,
}
