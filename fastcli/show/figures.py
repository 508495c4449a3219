"""Figures that open a window only where there is one, and are never left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastcli.run.files import atomic_path

INK = "#1f2328"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Okabe and Ito's colours, which people with any colour vision tell apart."""
SMALL = 8.5
"""Type size in points."""
DPI = 160
WRITERS = ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")
"""Backends of matplotlib that show nothing."""


def open_figure(width: float, height: float, *, hidden: bool = False) -> Any:
    """An empty figure of this size in inches: pyplot's, which a notebook or window shows, or one that nobody holds.

    The latter when `hidden`, and where matplotlib only writes files: it is gone with its last user.
    """
    if not hidden and _shows_figures():
        from matplotlib import pyplot

        return pyplot.figure(figsize=(width, height))
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _shows_figures() -> bool:
    import matplotlib

    return matplotlib.get_backend().lower() not in WRITERS


def save(figure: Any, path: Path, *, dpi: int = DPI) -> None:
    """Write the figure in the format of the path's suffix (PNG, SVG, PDF), atomically."""
    with atomic_path(path) as unfinished:
        figure.savefig(unfinished, format=path.suffix[1:].lower() or "png", dpi=dpi)
