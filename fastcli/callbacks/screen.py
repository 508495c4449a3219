"""Screen: where words for a person go, a terminal with a live bar or a plain stream; and its first and last line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

STYLES = {"head": "bold", "best": "bold green", "": ""}


class Screen:
    """Prints lines to `stream`, above a bar while there is one.

    `live`: may move the cursor; `colour`: may colour; `width` in columns, None for what the terminal says, or for
    lines of any length where there is no terminal; `quiet`: print nothing.
    """

    def __init__(
        self, stream: TextIO, width: int | None = None, *, live: bool = False, colour: bool = False, quiet: bool = False
    ) -> None:
        self.stream = stream
        self.live = live and not quiet
        self.colour = colour
        self.quiet = quiet
        self._width = width
        self._bar: Any = None

    @classmethod
    def for_stream(
        cls, stream: TextIO, *, plain: bool = False, quiet: bool = False, environ: Mapping[str, str] = os.environ
    ) -> Screen:
        """The screen for `stream` as it is: live on a terminal unless `plain`, coloured unless NO_COLOR is set."""
        live = stream.isatty() and not plain and environ.get("TERM") != "dumb"
        return cls(stream, live=live, colour=live and not environ.get("NO_COLOR"), quiet=quiet)

    def __repr__(self) -> str:
        kind = "quiet" if self.quiet else "live" if self.live else "plain"
        return f"Screen({kind}, {self.width or 'any'} columns)"

    @property
    def width(self) -> int | None:
        """Columns, asked anew each time because a window can be resized; None where lines may have any length."""
        if self._width is not None:
            return self._width
        if not self.stream.isatty():
            return None
        try:
            return os.get_terminal_size(self.stream.fileno()).columns
        except OSError:
            return 80

    @property
    def draws_boxes(self) -> bool:
        """Whether the stream's encoding has the characters of a bar."""
        try:
            "━─·…".encode(getattr(self.stream, "encoding", None) or "utf-8")
        except (UnicodeEncodeError, LookupError):
            return False
        return True

    def line(self, text: str, style: str = "") -> None:
        """Print one or more lines; `style` is one of `STYLES`."""
        if self.quiet:
            return
        text = self._encodable(text)
        if self._bar is not None:
            self._bar.console.print(self._styled(text, style), soft_wrap=True)
        elif self.colour and style:
            self._console().print(self._styled(text, style), soft_wrap=True)
        else:
            self.stream.write(text + "\n")
            self.stream.flush()

    def draw(self, bar: str, done: int) -> None:
        """Show `bar` as the last line, in place of the bar before; its first `done` characters are coloured."""
        if not self.live:
            return
        from rich.text import Text

        if self._bar is None:
            self._start_bar()
        text = Text(self._encodable(bar), no_wrap=True, overflow="crop")
        if self.colour:
            text.stylize("cyan", 0, done)
        self._bar.update(text, refresh=True)

    def clear(self) -> None:
        """Take the bar away and leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _start_bar(self) -> None:
        import sys

        from rich.live import Live

        console = self._console()
        self._bar = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=sys.stdout is self.stream,
            redirect_stderr=sys.stderr.isatty(),  # what others print goes above the bar; a file stays a file
        )
        self._bar.start()
        console.show_cursor(True)  # a killed process cannot bring it back

    def _console(self) -> Any:
        from rich.console import Console

        return Console(
            file=self.stream,
            width=self._width,
            force_terminal=True,
            no_color=not self.colour,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def _styled(self, text: str, style: str) -> Any:
        from rich.text import Text

        return Text(text, style=STYLES[style] if self.colour else "")

    def _encodable(self, text: str) -> str:
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        return text.encode(encoding, "replace").decode(encoding)


def resolved_line(
    *,
    version: str,
    experiment: str,
    model: str,
    parameters: int,
    pretrained: bool,
    kind: str,
    n_out: int,
    train: int,
    valid: int,
    device: str,
    precision: str,
    channels_last: bool,
    cache: str,
    seed: int,
    width: int | None = None,
) -> str:
    """The first line of a training: everything that was resolved, broken between facts where `width` is too small.

    >>> print(resolved_line(version="0.1.0", experiment="pets", model="resnet34", parameters=21_300_000,
    ...     pretrained=True, kind="category", n_out=2, train=5912, valid=1478, device="cuda", precision="bf16",
    ...     channels_last=True, cache="device", seed=42, width=100))
    fastcli 0.1 · pets · resnet34 (21.3 M, pretrained) · 2 classes · 5,912 + 1,478 images ·
      cuda bf16 channels_last · data on device · seed 42
    """
    origin = "pretrained" if pretrained else "from scratch"
    images = f"{train:,} + {valid:,} images" if valid else f"{train:,} images"
    places = {"device": "data on device", "ram": "data in RAM", "disk": "data on disk", "off": "data streamed"}
    facts = [
        f"fastcli {'.'.join(version.split('.')[:2])}",
        experiment,
        f"{model} ({_count(parameters)}, {origin})",
        _outputs(kind, n_out),
        images,
        " ".join([device, precision, *(["channels_last"] if channels_last else [])]),
        places.get(cache, f"data {cache}"),
        f"seed {seed}",
    ]
    return joined(facts, width)


def pace_line(
    *, img_per_s: float, wait: float, ratio: float | None, memory: int | None, width: int | None = None
) -> str:
    """The line before the last: how fast a training was, how near its limit, and what it needed.

    >>> pace_line(img_per_s=3240.4, wait=0.012, ratio=0.974, memory=2_254_857_830)
    'trained at 3240 img/s · 0.97 of the limit · 1% waiting for data · peak memory 2.1 GiB'
    """
    facts = [f"trained at {img_per_s:.0f} img/s", *([f"{ratio:.2f} of the limit"] if ratio is not None else [])]
    facts += [f"{wait:.0%} waiting for data", *([f"peak memory {memory / 2**30:.1f} GiB"] if memory else [])]
    return joined(facts, width)


def final_line(
    *,
    seconds: float,
    run: str,
    figure: tuple[str, float] | None = None,
    next_command: str = "fastcli predict image.jpg",
    verb: str = "done in",
    width: int | None = None,
) -> str:
    """The last line of a training: how long, the best figure, where it is, and what can follow.

    >>> final_line(seconds=5.06, run="runs/pets/latest", figure=("error_rate", 0.0041))
    'done in 5.1 s · error_rate 0.0041 · runs/pets/latest · next: fastcli predict image.jpg'
    """
    best = [f"{figure[0]} {figure[1]:.4f}"] if figure else []
    return joined([f"{verb} {duration(seconds)}", *best, run, f"next: {next_command}"], width)


def joined(facts: Sequence[str], width: int | None = None) -> str:
    """The facts between dots, a new indented line begun before one that `width` has no room for.

    >>> print(joined(["one", "two", "three"], 12))
    one · two ·
      three
    """
    lines = [""]
    for fact in facts:
        start = " · " if lines[-1].strip() else ""
        if start and width and len(lines[-1] + start + fact + " ·") > width:
            lines[-1] += " ·"
            lines.append("  ")
            start = ""
        lines[-1] += start + fact
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(5.06), duration(725), duration(7980)
    ('5.1 s', '12 min 05 s', '2 h 13 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _count(n: int) -> str:
    """A number of parameters.

    >>> _count(21_300_000), _count(25_450), _count(785)
    ('21.3 M', '25.4 k', '785')
    """
    return f"{n / 1e6:.1f} M" if n >= 1e6 else f"{n / 1e3:.1f} k" if n >= 1e3 else str(n)


def _outputs(kind: str, n: int) -> str:
    classes, labels, numbers = ("class", "classes"), ("label", "labels"), ("number", "numbers")
    n, word = {
        "category": (n, classes), "mask": (n, classes), "multi_category": (n, labels),
        "points": (n // 2, ("point", "points")),
    }.get(kind, (n, numbers))  # fmt: skip
    return f"{n:,} {word[n != 1]}"
