"""DataLoaders: the training and validation loaders of one task, and what can be asked of them."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch
from torch import Tensor

from fastcli.data.elements import has_area, like
from fastcli.data.encoders import Encoder
from fastcli.data.items import paths_of
from fastcli.data.loader import Loader
from fastcli.data.plan import Batch, Sampler
from fastcli.data.sources import Sources
from fastcli.data.spatial_encoders import BoxesEncoder, BoxLabels
from fastcli.data.store import Tier
from fastcli.errors import ConfigError
from fastcli.show import show_grid
from fastcli.transforms.batch import BatchPipeline, BatchTransform
from fastcli.transforms.normalize import Normalize
from fastcli.transforms.transform import ItemTransform
from fastcli.types import Image, InputInfo, TargetInfo

if TYPE_CHECKING:
    from fastcli.data.datasets import Datasets, Subset

__all__ = ["DataLoaders", "LoaderOptions", "Sample"]

Sample = list[tuple[Any, Any]]
"""Each part of a sample: its typed element, for drawing, and what it says to people (None for a picture)."""
MOST = 9
Known = TypeVar("Known")


@dataclass(frozen=True)
class LoaderOptions:
    """How loaders are made of datasets."""

    normalize: Normalize | Literal["dataset"] | None = None
    batch_size: int = 64
    valid_batch_size: int | None = None
    sampler: Sampler = "shuffle"
    weights: Sequence[float] | Tensor | None = None
    """By how much each training item, in their order, is drawn."""
    shuffle: bool = True
    drop_last: bool = False
    per_epoch: int | None = None
    """Training items that make an epoch; None for all of them."""
    seed: int = 0
    device: torch.device | str = "cpu"
    cache: Tier | Literal["auto"] = "auto"
    workers: int | None = None
    skip_bad: bool = False
    cache_folder: Path | None = None
    """Where pixels are kept on disk, for later runs too."""
    epochs: int | None = None
    """Epochs to come, where known."""


class DataLoaders:
    """The training and validation loaders of one task, and what a model needs to know of them.

    Any two iterables of batches will do. What needs the blocks and transforms of a `Datasets` (showing, test loaders,
    other options) raises ConfigError for loaders that were not made of one.
    """

    def __init__(
        self,
        train: Any,
        valid: Any,
        input: InputInfo | None = None,
        target: TargetInfo | None = None,
        n_inputs: int = 1,
        *,
        datasets: Datasets | None = None,
        sources: Sources | None = None,
        options: LoaderOptions | None = None,
    ) -> None:
        self.train: Loader = train
        self.valid: Loader = valid
        self.n_inputs = n_inputs
        self._input, self._target = input, target
        self._datasets, self._sources, self._options = datasets, sources, options

    def __repr__(self) -> str:
        return f"DataLoaders({self.train!r}, {self.valid!r})"

    @property
    def input(self) -> InputInfo:
        """What a model needs to know of its input."""
        return _known(self._input, "what their input is")

    @property
    def target(self) -> TargetInfo:
        """What a loss, a metric or a head needs to know of the target."""
        return _known(self._target, "what their target is")

    @property
    def datasets(self) -> Datasets:
        """The datasets that the loaders were made of."""
        return _known(self._datasets, "what samples they are made of")

    @property
    def encoders(self) -> list[Encoder]:
        """The encoder of each block; none for loaders that were not made of blocks."""
        return [] if self._datasets is None else self._datasets.encoders

    @property
    def train_set(self) -> Subset:
        """The training samples, as they are opened."""
        return self.datasets.train

    @property
    def valid_set(self) -> Subset:
        """The validation samples, as they are opened."""
        return self.datasets.valid

    @property
    def vocab(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the model's outputs; empty where the target has none."""
        return self.target.classes

    @property
    def device(self) -> torch.device:
        """Where the batches are."""
        return torch.device(getattr(self.train, "device", "cpu"))

    def to(self, device: torch.device | str) -> DataLoaders:
        """These loaders, with batches on `device` from now on."""
        for loader in (self.train, self.valid):
            loader.device = torch.device(device)
        return self

    def one_batch(self) -> tuple[Tensor, ...]:
        """The first training batch, of the first epoch before a training and of the last one after it."""
        return next(iter(self.train))

    def decode(self, inputs: Tensor) -> Tensor:
        """Pictures for showing, float in [0, 1], from a batch's normalised inputs."""
        return self.train.batches.decode(inputs)

    def new(
        self,
        item_transforms: Sequence[ItemTransform] | None = None,
        batch_transforms: Sequence[BatchTransform] | None = None,
        **options: Any,
    ) -> DataLoaders:
        """Loaders of the same samples with these transforms and options in place of the present ones."""
        before = _known(self._options, "how they were made")
        # Fields are taken one by one: `asdict` would copy the weights and the normalisation.
        kept = {field.name: getattr(before, field.name) for field in dataclasses.fields(before)}
        items = self.train.items.transforms if item_transforms is None else item_transforms
        batches = self.train.batches.transforms if batch_transforms is None else batch_transforms
        return self.datasets.dataloaders(items, batches, **(kept | {"device": self.device} | options))

    def normalized(self, normalize: Normalize | None) -> DataLoaders:
        """The same loaders with another normalisation; what they have decoded is shared."""
        made = copy.copy(self)
        made.train, made.valid = copy.copy(self.train), copy.copy(self.valid)
        for loader in (made.train, made.valid):
            loader.batches = BatchPipeline(loader.batches.transforms, normalize)
        made._options = self._options and dataclasses.replace(self._options, normalize=normalize)
        return made

    def test_loader(self, items: Iterable[Any], *, with_labels: bool = False, batch_size: int | None = None) -> Loader:
        """A loader of other items in their order, as in validation; of inputs alone unless they are labelled too."""
        items, sources = list(items), _known(self._sources, "how samples are made")
        getters = self.datasets.getters if with_labels else self.datasets.getters[: self.n_inputs]
        values = [[getter(item) for item in items] if getter else items for getter in getters]
        paths = paths_of(items)
        names = [str(path) for path in paths]
        elements = sources.elements(values, paths, names.__getitem__, epochs=1)
        return Loader(
            elements, range(len(items)), items=self.valid.items, batches=self.valid.batches, device=self.device,
            batch_size=batch_size or self.valid.batch_size, seed=self.valid.seed, name_of=names.__getitem__,
        )  # fmt: skip

    def samples(self, batch: Sequence[Tensor] | None = None, max_n: int = MOST) -> list[Sample]:
        """Up to `max_n` samples of a batch, by default the first of training, each part decoded for showing.

        Boxes come without those that only fill up the batch, and with the names of what is in them.
        """
        batch = self.one_batch() if batch is None else batch
        encoders, decode = self.datasets.encoders, self.train.batches.decode_element
        sizes = (part.shape[-2:] for part, e in zip(batch, encoders, strict=False) if issubclass(e.element, Image))
        size = next(((size[0], size[1]) for size in sizes), None)
        samples: list[Sample] = []
        for i in range(min(max_n, len(batch[0]))):
            parts = zip(encoders, batch, strict=False)  # a batch without labels has fewer parts
            sample = [(encoder, decode(encoder.element, part[i].detach().cpu(), size)) for encoder, part in parts]
            samples.append(_decoded(sample))
        return samples

    def show_batch(
        self, batch: Sequence[Tensor] | None = None, max_n: int = MOST, *, unique: bool = False, **options: Any
    ) -> Any:
        """Draw samples of a batch with what they are labelled; the options and the result are those of `show_grid`.

        With `unique` the first training item is drawn in several random views.
        """
        if unique:
            loader = self.train
            item = loader.plan(loader.epoch)[0].items[0]
            batch = loader.load(Batch(loader.epoch, 0, (item,) * max_n))
        return show_grid(self.samples(batch, max_n), **options)


def _decoded(sample: Sequence[tuple[Encoder, Any]]) -> Sample:
    """Each element of a sample with its value for people; labels of boxes are the boxes' values."""
    decoded: Sample = []
    present: Any = None
    for encoder, element in sample:
        if isinstance(encoder, BoxLabels) and present is not None:
            decoded[-1] = (decoded[-1][0], encoder.decode(element[present]))
            continue
        if isinstance(encoder, BoxesEncoder):
            present = has_area(element)
            element = like(element[present].as_subclass(Tensor), element)
        decoded.append((element, None if isinstance(element, Image) else encoder.decode(element)))
    return decoded


def _known(value: Known | None, what: str) -> Known:
    if value is None:
        raise ConfigError(f"these loaders do not say {what}", hint="make them with a DataBlock or Datasets")
    return value
