"""`fastcli config`: look at configurations without training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcli.cli import complete, console
from fastcli.cli.config_look import diff, explain
from fastcli.cli.init import EXAMPLE as INIT_EXAMPLE
from fastcli.cli.init import init

if TYPE_CHECKING:
    from fastcli.config.load import LoadedConfig

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show, check and describe configurations.")

app.command("init", epilog=INIT_EXAMPLE)(init)
app.command(epilog=console.example("fastcli config explain data.batch_size"))(explain)
app.command(epilog=console.example("fastcli config diff configs/pets.yaml configs/pets_breeds.yaml"))(diff)

ConfigFile = Annotated[
    str, typer.Argument(metavar="CONFIG", help="The YAML file.", show_default=False, autocompletion=complete.configs)
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Values to use instead; ~KEY goes back to the default.",
        autocompletion=complete.overrides,
    ),
]


@app.command(epilog=console.example("fastcli config show configs/pets.yaml data.batch_size=32 --origin"))
def show(
    config: ConfigFile,
    overrides: Overrides = None,
    origin: Annotated[bool, typer.Option("--origin", help="Say behind each value where it comes from.")] = False,
) -> None:
    """Print the merged configuration with all defaults."""
    from fastcli.config.dump import dump
    from fastcli.config.load import load

    loaded = load(config, overrides or (), trust=console.trust())
    notes = {key: str(place) for key, place in loaded.origin.items()} if origin else None
    if console.state.json:
        console.document(_with_origin(loaded) if origin else loaded.with_defaults().model_dump())
    else:
        console.data(dump(loaded.with_defaults(), notes).rstrip("\n"))


@app.command(epilog=console.example("fastcli config validate configs/pets.yaml"))
def validate(config: ConfigFile, overrides: Overrides = None) -> None:
    """Check a configuration; all mistakes are shown at once, and nothing is run."""
    from fastcli.config.load import load

    loaded = load(config, overrides or (), trust=console.trust())
    if console.state.json:
        console.document(_facts(loaded))
    else:
        console.data(f"{config}: ok")


@app.command(epilog=console.example("fastcli config schema > schema.json"))
def schema(
    write: Annotated[bool, typer.Option("--write", hidden=True, help="Renew the schema in the package.")] = False,
) -> None:
    """Print the JSON schema of configurations, for editors."""
    from fastcli.config.shapes import shipped_text

    if write:
        _renew_schema()
    else:
        console.data(shipped_text().rstrip("\n"))


def _facts(loaded: LoadedConfig) -> dict[str, Any]:
    config = loaded.config
    return {
        "ok": True,
        "files": list(loaded.files),
        "name": loaded.name,
        "source": config.data.source,
        "model": config.model.name,
        "recipe": config.train.recipe,
        "seed": config.experiment.seed,
        "plugins": config.plugins,
    }


def _with_origin(loaded: LoadedConfig) -> dict[str, Any]:
    from fastcli.config.marks import dotted

    origin = {dotted(key): str(place) for key, place in loaded.origin.items()}
    return {"config": loaded.with_defaults().model_dump(), "origin": origin}


def _renew_schema() -> None:
    from pathlib import Path

    import fastcli.config
    from fastcli.components import load_components
    from fastcli.config.schema import generate, to_text

    target = Path(fastcli.config.__path__[0]) / "schema.json"
    target.write_text(to_text(generate(load_components())), "utf-8")
    console.say(f"wrote {target}")
