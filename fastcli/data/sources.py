"""From the values of all samples to the elements that loaders collate: pixels in stores, labels, annotations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from fastcli.data.content import content_key
from fastcli.data.elements import Annotations, Element, Labels, LabelsOfBoxes, Pixels
from fastcli.data.encoders import Encoder, LabelEncoder
from fastcli.data.items import item_path
from fastcli.data.spatial_encoders import AnnotationEncoder, BoxLabels
from fastcli.data.store import Store, Tier
from fastcli.errors import ConfigError, DataError
from fastcli.transforms.item import ItemPipeline
from fastcli.types import Image, Mask


class Sources:
    """How elements are made from values: by which encoders and item transforms, and where pixels are kept."""

    def __init__(
        self,
        encoders: Sequence[Encoder],
        items: ItemPipeline,
        *,
        device: torch.device | str = "cpu",
        cache: Tier | Literal["auto"] = "auto",
        workers: int | None = None,
        skip_bad: bool = False,
        cache_folder: Path | None = None,
        root: Path | None = None,
    ) -> None:
        self.encoders, self.items, self.root = tuple(encoders), items, root
        self._options: dict[str, Any] = {
            "device": device, "tier": cache, "workers": workers, "skip_bad": skip_bad, "cache_folder": cache_folder,
        }  # fmt: skip

    def elements(
        self, values: Sequence[Sequence[Any]], paths: Sequence[Path], name_of: Callable[[int], str] = str,
        *, used: Sequence[int] | None = None, epochs: int | None = None,
    ) -> list[Element]:  # fmt: skip
        """The element of each column of `values`; there may be fewer columns than encoders (inputs alone).

        `used` are the items that will be asked for, in how many `epochs`, where known.
        """
        made: list[Element] = []
        use = {"used": used, "epochs": epochs}
        for encoder, column in zip(self.encoders, values, strict=False):
            made.append(self._element(encoder, column, paths, made, name_of, use))
        return made

    def _element(
        self, encoder: Encoder, values: Sequence[Any], paths: Sequence[Path], made: Sequence[Element],
        name_of: Callable[[int], str], use: dict[str, Any],
    ) -> Element:  # fmt: skip
        if encoder.made_from == "file":
            files = [values]
            load: Callable[[int], Any] = lambda i: encoder.encode_scaled(values[i], self.items.scaling)  # noqa: E731
            name: Callable[[int], str] = name_of
            if issubclass(encoder.element, Mask):
                load = _masks(lambda i: encoder.encode(values[i]), picture_of(made), name_of)
                name, files = lambda i: f"the mask of {name_of(i)}", [values, paths]
            store = Store(load, len(values), prepare=self.items.prepare, name_of=name, uniform=not self.items.random,
                          key=lambda: self._key(encoder, files, use["used"]), element=encoder.element,
                          **use, **self._options)  # fmt: skip
            return Pixels(store)
        if isinstance(encoder, AnnotationEncoder):
            picture = next((e.store for e in made if isinstance(e, Pixels)), None)
            if picture is None:
                raise ConfigError("points and boxes lie on a picture", hint="put an ImageBlock before them")
            return Annotations(encoder.encode_each(values, paths), encoder, picture, self.items.prepare)
        if isinstance(encoder, BoxLabels):
            boxes = next((e for e in reversed(made) if isinstance(e, Annotations)), None)
            if boxes is None:
                raise ConfigError("labels of boxes need boxes", hint="put a BBoxBlock before them")
            return LabelsOfBoxes(encoder.encode_each(values, paths), encoder, boxes)
        return Labels(_all_labels(encoder, values, paths))

    def _key(self, encoder: Encoder, columns: Sequence[Sequence[Any]], used: Sequence[int] | None) -> str | None:
        """What decides the pixels that are made of these columns of files; None where it is not known."""
        how = encoder.signature(), self.items.signature()
        indices = range(len(columns[0])) if used is None else used
        try:
            files = [item_path(column[i]) for column in columns for i in indices]
        except ConfigError:  # pictures that are in memory
            return None
        return None if None in how else content_key(how, indices, len(columns[0]), files, self.root)


def _masks(load: Callable[[int], Any], pictures: Pixels | None, name_of: Callable[[int], str]) -> Callable[[int], Any]:
    """`load`, which raises DataError for a mask that has not the shape of its picture, in whatever resolution."""
    if pictures is None:
        return load
    store = pictures.store

    def checked(i: int) -> Any:
        mask, (height, width) = load(i), store.canvas(i)
        down, across = mask.shape[-2:]
        if abs(down * width - across * height) > max(height, width):  # more than what rounding does
            raise DataError(
                f"{name_of(i)} is {width} x {height} pixels, its mask is {across} x {down}: of another shape",
                hint="is one of them turned, or cut?",
            )
        return mask

    return checked


def _all_labels(encoder: Encoder, values: Sequence[Any], paths: Sequence[Path]) -> Tensor:
    if isinstance(encoder, LabelEncoder):
        labels = encoder.encode_all(values, paths)
    else:
        labels = torch.stack([torch.as_tensor(encoder.encode(value)) for value in values])
    typed: Tensor = labels.as_subclass(encoder.element)
    return typed


def picture_of(elements: Sequence[Element]) -> Pixels | None:
    """The first picture among the elements."""
    for element in elements:
        if isinstance(element, Pixels) and issubclass(element.store.element, Image):
            return element
    return None
