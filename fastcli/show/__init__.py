"""Showing: one sample, a grid of samples, a picture, a function.

One idea: `draw(element, axes, decoded)` has a kernel for each semantic type, and everything that shows samples calls
it; a user's type is shown everywhere once it has registered its kernel.

    @register_kernel(draw, Track)
    def draw_track(track, axes, decoded=None): axes.plot(*track.T)

- `figures`: figures that open a window only where there is one, and are never left behind
- `lettering`: text in any script without a missing glyph
- `kernels`: `draw`, and its kernels for pictures, masks, points, boxes and labels
- `pictures`: `show_image`, `show_images`, `plot_function`
- `grid`: `show_grid`, `show_results`

Rejected: a `show` method on tensors (types would have to travel with every tensor), and pyplot's open figures where
nobody can see them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastcli.show.figures import save
    from fastcli.show.grid import show_grid, show_results
    from fastcli.show.kernels import draw, in_words, write_title
    from fastcli.show.pictures import plot_function, show_image, show_images

__all__ = ["draw", "in_words", "plot_function", "save", "show_grid", "show_image", "show_images", "show_results",
           "write_title"]  # fmt: skip
HOMES = {
    "save": "figures",
    "show_grid": "grid",
    "show_results": "grid",
    "draw": "kernels",
    "in_words": "kernels",
    "write_title": "kernels",
    "plot_function": "pictures",
    "show_image": "pictures",
    "show_images": "pictures",
}


def __getattr__(name: str) -> Any:
    """What this package offers, imported when it is asked for: plots of plain numbers need `figures` and no torch."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
