"""The comparison of several runs as one HTML file that needs nothing else: curves to point at, figures, differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from fastcli.report.compare import Curves, figures_of, look_of
from fastcli.report.numbers import dwarfed, finite, series
from fastcli.run.files import atomic_write

WIDTH, HEIGHT = 420, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 8, 24
DASHES = {"-": "", "--": "6 4", ":": "2 3", "-.": "8 3 2 3"}

STYLE = """
:root{--ink:#1f2328;--muted:#59636e;--line:#d9dee4;--ground:#fff;--card:#f6f8fa;color-scheme:light dark}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--muted:#9198a1;--line:#30363d;--ground:#0d1117;--card:#161b22}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1360px;padding:2rem 1.25rem;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0 0 1rem}h2{font-size:1.05rem;margin:2rem 0 .5rem}
.key{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem}.key label{display:flex;align-items:center;gap:.45rem}
.key small,figcaption small{color:var(--muted)}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(330px,1fr));gap:1rem;margin-top:1rem}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.7rem .8rem .4rem}
figcaption{font-weight:600}svg{width:100%;height:auto;display:block}
svg text{fill:var(--muted);font-size:11px}.grid{stroke:var(--line)}.curve{fill:none;stroke-width:2}
.dot{stroke:var(--card);stroke-width:1.5}.dot:hover{r:6}
@media(prefers-color-scheme:dark){.curve,.dot,.key svg{filter:brightness(1.35)}}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.3rem .9rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right}td.best{font-weight:700}code{font-size:.92em}
"""

SCRIPT = """
for(const box of document.querySelectorAll('.key input'))box.addEventListener('change',()=>{
for(const part of document.querySelectorAll('.run-'+box.value))part.style.display=box.checked?'':'none'})
"""


def write_page(
    runs: Sequence[Curves],
    path: Path,
    *,
    first: str | None = None,
    differences: Mapping[str, Sequence[str]] | None = None,
    figures: Sequence[Mapping[str, float | None]] = (),
    lower_is_better: bool | None = None,
) -> None:
    """Write the page. `figures` are those of each run's best epoch, `differences` the values by key, a run each."""
    names = figures_of(runs, first)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width,initial-scale=1">',
        f"<title>{len(runs)} runs compared</title><style>{STYLE}</style>",
        f"<h1>{len(runs)} runs compared</h1>",
        _key(runs),
        f"<div class=panels>{''.join(_panel(runs, name) for name in names)}</div>",
        _figures(runs, names, figures, first, lower_is_better),
        _differences(runs, differences or {}),
        f"<script>{SCRIPT}</script></html>\n",
    ]
    atomic_write(path, "\n".join(part for part in parts if part))


def _key(runs: Sequence[Curves]) -> str:
    lines = []
    for i, run in enumerate(runs):
        colour, dashes = look_of(i)
        stroke = (f'<svg viewBox="0 0 30 8" style="width:30px" aria-hidden=true><path d="M0 4H30" stroke="{colour}" '
                  f'stroke-width=3 stroke-dasharray="{DASHES[dashes]}"/></svg>')  # fmt: skip
        note = f" <small>{escape(run.note)}</small>" if run.note else ""
        box = f'<input type=checkbox checked value={i} aria-label="show {run.letter}">'
        lines.append(f"<label>{box}{stroke}<b>{run.letter}</b> {escape(run.name)}{note}</label>")
    return f"<div class=key>{''.join(lines)}</div>"


def _panel(runs: Sequence[Curves], name: str) -> str:
    values = finite(value for run in runs for value in series(run.rows, name))
    epochs = finite(value for run in runs for value in series(run.rows, "epoch"))
    if not values or not epochs:
        return f"<figure><figcaption>{escape(name)}</figcaption><p>no finite values</p></figure>"
    scale = _Scale(values, epochs, logarithmic=dwarfed(values))
    lines = "".join(_line(i, run, name, scale) for i, run in enumerate(runs))
    note = " <small>log scale</small>" if scale.logarithmic else ""
    drawing = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role=img aria-label="{escape(name)} by epoch">{scale.axes()}{lines}'
    return f"<figure><figcaption>{escape(name)}{note}</figcaption>{drawing}</svg></figure>"


class _Scale:
    """Places of values and epochs in a panel."""

    def __init__(self, values: Sequence[float], epochs: Sequence[float], *, logarithmic: bool) -> None:
        self.logarithmic = logarithmic
        low, high = self._to(min(values)), self._to(max(values))
        room = 0.06 * (high - low) or max(abs(high), 1e-6) * 0.1
        self.low, self.high = low - room, high + room
        self.first, self.last = min(epochs), max(epochs)

    def x(self, epoch: float) -> float:
        """From the left."""
        share = (epoch - self.first) / (self.last - self.first) if self.last > self.first else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """From the top."""
        return TOP + (self.high - self._to(value)) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)

    def axes(self) -> str:
        """Four horizontal lines with their values, and the first and last epoch."""
        parts = []
        for i in range(4):
            level = self.low + (self.high - self.low) * (i + 0.5) / 4
            value = 10**level if self.logarithmic else level
            y = self.y(value)
            parts.append(f'<path class=grid d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
                         f'<text x={LEFT - 6} y={y + 4:.1f} text-anchor=end>{value:.3g}</text>')  # fmt: skip
        ends = dict.fromkeys([self.first, self.last])
        parts += [f"<text x={self.x(e):.1f} y={HEIGHT - 6} text-anchor=middle>{e:g}</text>" for e in ends]
        return "".join(parts)

    def _to(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value


def _line(i: int, run: Curves, name: str, scale: _Scale) -> str:
    """A run's curve, broken where a value is missing, with a dot to point at for each epoch."""
    colour, dashes = look_of(i)
    points = [(e, v) for e, v in zip(series(run.rows, "epoch"), series(run.rows, name), strict=True)]
    path, pen = "", "M"
    for epoch, value in points:
        if math.isnan(value) or math.isnan(epoch):
            pen = "M"
            continue
        path += f"{pen}{scale.x(epoch):.1f} {scale.y(value):.1f}"
        pen = "L"
    dots = "".join(_dot(run, name, e, v, colour, scale) for e, v in points if not math.isnan(v + e))
    curve = f'<path class=curve d="{path}" stroke="{colour}" stroke-dasharray="{DASHES[dashes]}"/>'
    return f"<g class=run-{i}>{curve}{dots}</g>"


def _dot(run: Curves, name: str, epoch: float, value: float, colour: str, scale: _Scale) -> str:
    best = epoch == run.best_epoch
    words = f"{run.letter} · epoch {epoch:g} · {name} {value:.5g}{' · best' if best else ''}"
    radius = 4.5 if best else 2.5
    place = f"cx={scale.x(epoch):.1f} cy={scale.y(value):.1f}"
    return f'<circle class=dot {place} r={radius} fill="{colour}"><title>{escape(words)}</title></circle>'


def _figures(
    runs: Sequence[Curves],
    names: Sequence[str],
    figures: Sequence[Mapping[str, float | None]],
    first: str | None,
    lower_is_better: bool | None,
) -> str:
    if not figures:
        return ""
    known = finite(row.get(first or "") for row in figures)
    best = (min if lower_is_better else max)(known) if known and lower_is_better is not None else None
    head = "".join(f"<th class=n>{escape(name)}" for name in names)
    lines = []
    for run, row in zip(runs, figures, strict=True):
        cells = []
        for name in names:
            value = row.get(name)
            mark = " best" if name == first and value is not None and value == best else ""
            cells.append(f'<td class="n{mark}">{"–" if value is None else f"{value:.4f}"}')
        lines.append(f"<tr><td><b>{run.letter}</b> {escape(run.name)}{''.join(cells)}")
    table = f"<table><tr><th>run{head}{''.join(lines)}</table>"
    return f"<h2>Figures of the best epoch</h2><div class=scroll>{table}</div>"


def _differences(runs: Sequence[Curves], differences: Mapping[str, Sequence[str]]) -> str:
    if not differences:
        return "<h2>What differs</h2><p>The configurations are the same.</p>"
    head = "".join(f"<th>{run.letter}" for run in runs)
    lines = "".join(
        f"<tr><td><code>{escape(key)}</code>{''.join(f'<td>{escape(value)}' for value in values)}"
        for key, values in differences.items()
    )
    return f"<h2>What differs</h2><div class=scroll><table><tr><th>key{head}{lines}</table></div>"
