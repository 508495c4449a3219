"""The command line: one thin file per command that parses, calls one function, and shows.

One idea: commands import what is heavy inside their bodies, so that `--help` and a bad file answer at once. Errors
travel up to `main`, which alone turns them into words and exit codes. Rejected: Rich help pages and pretty tracebacks
(they double the time to the first answer), and one flag per setting (`KEY=VALUE` reaches every key of the YAML).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, NoReturn

import typer

from fastcli import __version__
from fastcli.cli import config, console, data, models, runs
from fastcli.cli.bench import bench
from fastcli.cli.components import components
from fastcli.cli.doctor import doctor
from fastcli.cli.evaluate import evaluate
from fastcli.cli.init import EXAMPLE as INIT_EXAMPLE
from fastcli.cli.init import init
from fastcli.cli.lr_find import lr_find
from fastcli.cli.predict import predict
from fastcli.cli.resume import resume
from fastcli.cli.show_batch import show_batch
from fastcli.cli.train import train
from fastcli.errors import FastcliError, UsageError

app = typer.Typer(
    name="fastcli",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Train image models from a YAML file.",
)
app.command(epilog=INIT_EXAMPLE)(init)
app.command(epilog=console.example("fastcli train configs/pets.yaml train.epochs=3 --seed 1"))(train)
app.command(epilog=console.example("fastcli resume latest train.epochs=10"))(resume)
app.command("lr-find", epilog=console.example("fastcli lr-find configs/pets.yaml --apply"))(lr_find)
app.command("show-batch", epilog=console.example("fastcli show-batch configs/mnist_sample.yaml --item 0"))(show_batch)
app.command(epilog=console.example("fastcli bench configs/mnist_sample.yaml data.batch_size=256 --steps 50"))(bench)
app.command(epilog=console.example("fastcli predict photos/ --top-k 3 -o answers.csv"))(predict)
app.command("eval", epilog=console.example("fastcli eval latest --fail-under accuracy=0.9"))(evaluate)
app.add_typer(runs.app, name="runs")
app.add_typer(models.app, name="models")
app.add_typer(config.app, name="config")
app.command(epilog=console.example("fastcli components adamw"))(components)
app.command(epilog=console.example("fastcli doctor --json"))(doctor)
app.add_typer(data.app, name="data")

GLOBAL_OPTIONS = ("-q", "--quiet", "-v", "--verbose", "--json", "--plain", "--trust-plugins", "--version")
INTERRUPTED = 130


def _sets(option: str) -> Callable[[bool], None]:
    """Keeps an option as soon as it is read, so that a mistake further on is already shown as asked."""

    def keep(value: bool) -> None:
        setattr(console.state, option, value)

    return keep


def _show_version(wanted: bool) -> None:
    if wanted:
        console.data(f"fastcli {__version__}")
        raise typer.Exit


@app.callback()
def global_options(
    quiet: Annotated[bool, typer.Option("-q", "--quiet", callback=_sets("quiet"), help="Errors only.")] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", callback=_sets("verbose"), help="More words; tracebacks of bugs too.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", callback=_sets("json"), help="One JSON document, or JSON lines, on stdout.")
    ] = False,
    plain: Annotated[bool, typer.Option("--plain", callback=_sets("plain"), help="No bars, no colours.")] = False,
    trust_plugins: Annotated[
        bool,
        typer.Option("--trust-plugins", callback=_sets("trust_plugins"), help="Import also plugins that a run names."),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options that every command takes, before or after its name; their callbacks have kept them."""


def main() -> NoReturn:
    """Run the command in `sys.argv` and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """The exit code of the command in `arguments`, after showing its result or what went wrong."""
    console.tolerate_any_text()
    console.reset()
    command = typer.main.get_command(app)
    try:
        result = command.main(global_options_first(arguments), prog_name="fastcli", standalone_mode=False)
        console.flush()
    except FastcliError as error:
        return console.fail(error)
    except typer.TyperException as error:
        return _fail_usage(error)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever is left is a bug of ours
        return console.fail_unexpected(error)
    return result if isinstance(result, int) else 0


def global_options_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with the global options in front, so that they may stand anywhere before a `--`.

    >>> global_options_first(["config", "show", "pets.yaml", "--json", "--", "-q"])
    ['--json', 'config', 'show', 'pets.yaml', '--', '-q']
    """
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    ours = [word for word in arguments[:end] if word in GLOBAL_OPTIONS]
    return [*ours, *(word for word in arguments[:end] if word not in GLOBAL_OPTIONS), *arguments[end:]]


def _fail_usage(error: typer.TyperException) -> int:
    """Show a mistake on the command line, or the help where that is the answer."""
    text = error.format_message().rstrip(".")
    if text.lstrip().startswith("Usage:"):  # a command without arguments
        console.complain(text)
        return error.exit_code
    context = getattr(error, "ctx", None)
    hint = f"{context.command_path} --help" if context is not None else None
    return console.fail(UsageError(text[:1].lower() + text[1:], hint=hint))
