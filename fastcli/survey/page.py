"""A report as one HTML page with its pictures: no other files, no network, no script; everything in it is escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape
from pathlib import Path

from fastcli.survey.check import Report
from fastcli.survey.examine import thumbnail
from fastcli.survey.findings import Entry, Finding

SHOWN = 60
"""Entries of a finding that are shown with pictures; the others are counted."""
FEW_SHOWN = 12
"""The same for notes, which are seldom looked at."""
PLURAL = {"error": "errors", "warning": "warnings", "note": "notes"}
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #59636e; --paper: #fff; --line: #d8dee4; --box: #f6f8fa;
  --error: #b3261e; --warning: #9a6700; --note: #0b5cad }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --dim: #9198a1; --paper: #0d1117; --line: #30363d;
  --box: #161b22; --error: #ff8a80; --warning: #e3b341; --note: #79b8ff } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 1200px; padding: 32px 24px }
h1 { font-size: 24px; margin: 0 0 4px } h2 { font-size: 17px; margin: 36px 0 4px } p { margin: 0 0 12px }
.dim, figcaption span { color: var(--dim) }
table { border-collapse: collapse; margin: 16px 0 } td, th { padding: 4px 20px 4px 0; text-align: left;
  border-bottom: 1px solid var(--line) } td.n { text-align: right; font-variant-numeric: tabular-nums }
.error { color: var(--error) } .warning { color: var(--warning) } .note { color: var(--note) } b { font-weight: 600 }
.entries { display: flex; flex-wrap: wrap; gap: 12px } .entry { background: var(--box); border: 1px solid var(--line);
  border-radius: 8px; padding: 8px; display: flex; flex-wrap: wrap; gap: 8px; max-width: 100% }
figure { margin: 0; width: 150px } figcaption { font-size: 12px; line-height: 1.35; overflow-wrap: anywhere }
img, .none { width: 150px; height: 120px; object-fit: contain; display: block; border-radius: 4px;
  background: var(--paper) } .none { display: grid; place-items: center; color: var(--dim); font-size: 12px }
.detail { font-size: 13px; width: 0; min-width: 100%; color: var(--dim); overflow-wrap: anywhere }
.detail:only-child { width: auto } a { color: inherit }
"""


def page(report: Report, title: str) -> str:
    """The page; errors first, each finding with its pictures."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}: data check</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f'<p class="dim">{escape(overview(report))}</p>',
        _contents(report.findings),
        *(_section(i, finding, report.samples.root) for i, finding in enumerate(report.findings)),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def overview(report: Report) -> str:
    """Pictures, classes and what was found, in one line."""
    samples = report.samples
    parts = [f"{len(samples):,} pictures", f"{samples.size('train'):,} + {samples.size('valid'):,} in the split"]
    if samples.classes:
        parts.insert(1, f"{len(samples.classes):,} classes")
    found = [f"{n} {severity if n == 1 else PLURAL[severity]}" for severity, n in report.tally.items() if n]
    return " · ".join([*parts, ", ".join(found) or "nothing found"])


def _contents(findings: Iterable[Finding]) -> str:
    rows = [
        f'<tr><td class="{f.severity}"><b>{f.severity}</b></td>'
        f'<td><a href="#f{i}">{escape(f.what)}</a></td><td class="n">{f.count:,}</td></tr>'
        for i, f in enumerate(findings)
    ]
    return f"<table>{''.join(rows)}</table>" if rows else "<p>Nothing is wrong that this looks for.</p>"


def _section(number: int, finding: Finding, root: Path) -> str:
    most = FEW_SHOWN if finding.severity == "note" else SHOWN
    entries = "".join(_entry(entry, root) for entry in finding.entries[:most])
    left = finding.count - most
    more = f'<p class="dim">… and {left:,} more</p>' if left > 0 else ""
    hint = f" <span class=dim>{escape(finding.hint)}</span>" if finding.hint else ""
    return (
        f'<h2 id="f{number}"><span class="{finding.severity}">{finding.severity}</span> {escape(finding.what)} '
        f'<span class="dim">({finding.count:,})</span></h2><p>{hint}</p><div class="entries">{entries}</div>{more}'
    )


def _entry(entry: Entry, root: Path) -> str:
    pictures = "".join(
        _figure(root / file, name) for file, name in list(zip(entry.files, entry.names, strict=True))[:8]
    )
    left = f'<div class="detail">… {len(entry.files) - 8} more</div>' if len(entry.files) > 8 else ""
    detail = f'<div class="detail">{escape(entry.detail)}</div>' if entry.detail else ""
    return f'<div class="entry">{pictures}{left}{detail}</div>'


def _figure(path: Path, name: str) -> str:
    """The picture with its name."""
    content = thumbnail(path)
    if content is None:
        drawn = '<div class="none">no picture</div>'
    else:
        drawn = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(content).decode()}">'
    return f"<figure>{drawn}<figcaption>{escape(name)}</figcaption></figure>"
