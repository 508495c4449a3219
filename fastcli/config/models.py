"""What a configuration holds: one frozen, closed model per section of the YAML. Descriptions are shown by editors."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

__all__ = [
    "CheckpointSection",
    "Component",
    "Config",
    "DataSection",
    "ExperimentSection",
    "RuntimeSection",
    "Statistics",
    "Train",
]


class Section(BaseModel):
    """A section of the YAML: closed (an unknown key is an error), frozen, and strict about types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Component(BaseModel):
    """A part chosen by its name, with the parameters given to it: `{name: adam, lr: 1e-3}`, or a bare `adam`."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    name: str = Field(min_length=1, description="Which one; `fastcli components` lists them.")

    @model_validator(mode="before")
    @classmethod
    def _from_bare_name(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given

    @property
    def params(self) -> dict[str, Any]:
        """The parameters that were given, without the name."""
        return dict(self.__pydantic_extra__ or {})


class Train(BaseModel):
    """The recipe of the training and its own keys: `{recipe: fine_tune, epochs: 1}`, or a bare `fine_tune`."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    recipe: str | None = Field(None, description="How to train; null: chosen to fit the model.")

    @model_validator(mode="before")
    @classmethod
    def _from_bare_name(cls, given: Any) -> Any:
        return {"recipe": given} if isinstance(given, str) else given

    @property
    def params(self) -> dict[str, Any]:
        """The recipe's keys that were given."""
        return dict(self.__pydantic_extra__ or {})


def chosen_from(
    kind: str, *, by: str = "name", unnamed: str | None = None, other: tuple[str, str] | None = None
) -> WithJsonSchema:
    """Marks a component's place: which registry it is from, and the key that names it.

    `unnamed` is the component meant when no name is given. `other` is a component, and its parameter, that takes every
    name which none is registered under. `schema.generate` puts the components' signatures in the mark's place.
    """
    mark = {"kind": kind, "by": by, "unnamed": unnamed, "other": list(other) if other else None}
    return WithJsonSchema({"x-component": {key: value for key, value in mark.items() if value is not None}})


FolderName = Annotated[
    str,
    Field(
        pattern=r"^[^./\\][^/\\]*$",
        json_schema_extra={"x-expected": "a name without slashes that does not begin with a dot"},
    ),
]


class ExperimentSection(Section):
    """What the run is called, where it is written, and its seed."""

    name: FolderName | None = Field(
        None, description="Folder of the runs, below `output`; null: the name of the YAML file."
    )
    seed: int = Field(42, ge=0, description="Everything random is a function of this number.")
    output: str = Field(
        "runs",
        min_length=1,
        description="Folder that all runs are written to, relative to the working directory.",
        json_schema_extra={"format": "output-path"},
    )
    tags: list[str] = Field([], description="Words to find the run by.")
    notes: str = Field("", description="Free text, kept with the run.")


class Statistics(Section):
    """Mean and standard deviation of the pixels, one number per channel, on the scale of 0 to 1."""

    mean: list[float] = Field(min_length=1, description="Mean of each channel.")
    std: list[Annotated[float, Field(gt=0)]] = Field(min_length=1, description="Standard deviation of each channel.")

    @model_validator(mode="after")
    def _one_per_channel(self) -> Self:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} numbers and std has {len(self.std)}; give one per channel")
        return self


class DataSection(Section):
    """Where the data is, what is input and target, and how batches are made of it."""

    source: str = Field(
        min_length=1,
        description="A known data set (PETS, MNIST_SAMPLE, …), a URL, an archive, a folder or a CSV file.",
        json_schema_extra={"format": "source"},
    )
    items: Annotated[Component, chosen_from("items")] | None = Field(
        None, description="How the items are found below `source`; null: image files, or the rows of a CSV."
    )
    input: Literal["image", "image_bw"] = Field("image", description="What the model sees: colour or grey images.")
    target: Annotated[Component, chosen_from("target")] = Field(
        Component(name="category"),
        description="What is predicted: category, multi_category, regression, mask, points, or a kind from a plugin.",
    )
    label: Annotated[Component, chosen_from("label")] | None = Field(
        None, description="How an item's label is found; null: the name of its folder, or the label column of a CSV."
    )
    split: Annotated[Component, chosen_from("split")] | None = Field(
        None, description="Which items validate; null: folders train and valid where they exist, else 20 % at random."
    )
    classes: list[str] | None = Field(
        None, description="The classes in order; null: the sorted names in the training split."
    )
    item_transforms: list[Annotated[Component, chosen_from("item_transform")]] | None = Field(
        None, description="Done to each image before batches are made; null: resized to the model's size."
    )
    batch_transforms: list[Annotated[Component, chosen_from("batch_transform")]] = Field(
        [], description="Done to whole batches, on the device: augmentation."
    )
    normalize: Literal["auto", "imagenet", "dataset", "none"] | Statistics = Field(
        "auto", description="Pixel statistics: auto (the pretrained model's), imagenet, dataset, none, or {mean, std}."
    )
    batch_size: int = Field(64, ge=1, description="Images per step.")
    sampler: Literal["shuffle", "balanced", "weighted"] = Field(
        "shuffle", description="Order of training: shuffle, balanced (classes equally often) or weighted."
    )
    cache: Literal["auto", "device", "ram", "disk", "off"] = Field(
        "auto", description="Where decoded pixels are kept; auto: the first of device, ram and disk that has room."
    )
    workers: Literal["auto"] | Annotated[int, Field(ge=0)] = Field("auto", description="Threads that decode images.")
    on_bad_image: Literal["error", "skip"] = Field(
        "error", description="An image that cannot be read: stop, or leave it out, listed and counted."
    )
    max_pixels: int = Field(
        178_956_970, ge=1, description="An image of more pixels cannot be read; it is refused before it is decoded."
    )

    @property
    def image_mode(self) -> Literal["L", "RGB"]:
        """How Pillow calls what the model sees."""
        return "L" if self.input == "image_bw" else "RGB"


class CheckpointSection(Section):
    """Which states of the training are kept."""

    monitor: str | None = Field(None, description="The figure that decides which is best; null: the validation loss.")
    keep_best: int = Field(1, ge=0, description="How many of the best to keep.")
    keep_last: int = Field(2, ge=1, description="How many of the newest to keep.")
    every_minutes: float = Field(15.0, ge=0, description="Minutes between two saves within an epoch.")


class RuntimeSection(Section):
    """On what, and how fast: things that should not change the result."""

    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:[0-9]+)?|mps)$",
        description="auto, cpu, cuda, cuda:0 or mps.",
        json_schema_extra={"x-expected": "auto, cpu, cuda, cuda:0 (or another number) or mps"},
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="Numbers used in the model.")
    channels_last: Literal["auto"] | bool = Field("auto", description="Memory layout that convolutions like.")
    compile: Literal["auto"] | bool = Field("auto", description="Compile the model with torch.compile.")
    graph: Literal["auto"] | bool = Field("auto", description="Launch small training steps on a GPU as one CUDA graph.")
    deterministic: Literal["off", "warn", "strict"] = Field(
        "warn", description="Operations that may differ from run to run: allowed, warned of, or refused."
    )
    devices: int = Field(1, ge=1, description="How many devices to train on.")


class Config(Section):
    """The whole configuration of a training."""

    version: Literal[1] = Field(1, description="Version of this format.")
    plugins: list[Annotated[str, Field(json_schema_extra={"format": "file-path"})]] = Field(
        [], description="Python files that register components of your own, relative to this file."
    )
    experiment: ExperimentSection = Field(ExperimentSection(), description="Name, seed and place of the run.")
    data: DataSection = Field(description="The data and how batches are made of it.")
    model: Annotated[Component, chosen_from("model", other=("timm", "architecture"))] = Field(
        description="linear, mlp, or any timm architecture by its name."
    )
    loss: Annotated[Component, chosen_from("loss")] | None = Field(
        None, description="What training makes small; null: chosen to fit the target."
    )
    optimizer: Annotated[Component, chosen_from("optimizer", unnamed="adam")] = Field(
        Component(name="adam"), description="How the weights follow the gradients."
    )
    metrics: list[Annotated[Component, chosen_from("metric")]] | None = Field(
        None, description="Figures shown after each epoch; null: chosen to fit the target."
    )
    train: Annotated[Train, chosen_from("recipe", by="recipe", unnamed="*")] = Field(
        Train(), description="The recipe of the training, with its own keys."
    )
    callbacks: list[Annotated[Component, chosen_from("callback")]] = Field(
        [], description="Extras that take part in the training."
    )
    checkpoint: CheckpointSection = Field(CheckpointSection(), description="Which states are kept.")
    runtime: RuntimeSection = Field(RuntimeSection(), description="Device, precision and speed.")

    @property
    def network(self) -> str:
        """The model in words: `resnet34`, and for one that is built around an architecture both, `unet resnet34`."""
        return " ".join([self.model.name, *filter(None, [self.model.params.get("architecture")])])

    @model_validator(mode="before")
    @classmethod
    def _optimizer_is_adam(cls, given: Any) -> Any:
        optimizer = given.get("optimizer") if isinstance(given, dict) else None
        if isinstance(optimizer, dict) and "name" not in optimizer:
            return {**given, "optimizer": {"name": "adam", **optimizer}}
        return given
