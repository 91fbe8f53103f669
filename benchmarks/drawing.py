"""Pictures for the pages, as SVG: the same on every machine, and good in the dark.

Nothing but text is written, so that a picture can be compared with the one that is kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

STYLE = """<style>
  text { font: 13px system-ui, sans-serif; fill: #333 }
  .faint { fill: #666 }
  .name { font-weight: 600 }
  .right { text-anchor: end }
  .middle { text-anchor: middle }
  .box { fill: #eef1fb; stroke: #8e9bd6 }
  .rule { stroke: #bbb; fill: none }
  .ours { fill: #3f51b5 }
  .other { fill: #b0b6c8 }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd }
    .faint { fill: #aaa }
    .box { fill: #2b3050; stroke: #6f7dc0 }
    .rule { stroke: #666 }
    .ours { fill: #8c9eff }
    .other { fill: #5c627a }
  }
</style>
"""


def text(x: float, y: float, said: str, *classes: str) -> str:
    """Return a line of text."""
    return f'<text x="{x:g}" y="{y:g}" class="{" ".join(classes)}">{escape(said)}</text>\n'


def picture(width: float, height: float, title: str, body: str) -> str:
    """Return a picture with its title for whoever cannot see it."""
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    return f"{head}\n<title>{escape(title)}</title>\n{STYLE}{body}</svg>\n"


def stack(title: str, rows: Sequence[tuple[str, str]], beside: tuple[str, str]) -> str:
    """Return boxes on top of each other, with arrows down, and one that stands by itself."""
    width, high, gap = 520.0, 34.0, 16.0
    body = ""
    for number, (name, subject) in enumerate(rows):
        y = 8 + number * (high + gap)
        body += _box(8, y, width - 16, high, name, subject)
        if number:
            body += f'<path class="rule" d="M60 {y - gap + 2:g}v{gap - 6:g}m-4 -4l4 4l4 -4"/>\n'
    y = 8 + len(rows) * (high + gap)
    body += _box(8, y + 4, width - 16, high, *beside)
    return picture(width, y + high + 14, title, body)


def _box(x: float, y: float, width: float, height: float, name: str, subject: str) -> str:
    box = f'<rect class="box" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5"/>\n'
    baseline = y + height / 2 + 5
    return box + text(x + 12, baseline, name, "name") + text(x + 104, baseline, subject, "faint")


def bars(title: str, unit: str, values: Mapping[str, float], ours: Sequence[str]) -> str:
    """Return a horizontal bar for each name, with its number; `ours` are drawn in full colour."""
    left, longest, right, high = 18 + 8.0 * max(map(len, values)), 260.0, 50.0, 24.0
    scale = longest / (max(values.values()) or 1.0)
    body = text(10, 16, unit, "faint")
    for number, (name, value) in enumerate(values.items()):
        y = 28 + number * high
        kind = "ours" if name in ours else "other"
        wide = max(value * scale, 1.0)
        body += text(left - 10, y + 13, name, "right", "name" if name in ours else "")
        body += f'<rect class="{kind}" x="{left:g}" y="{y:g}" width="{wide:.1f}" height="16"/>\n'
        body += text(left + wide + 6, y + 13, f"{value:g}", "faint")
    return picture(left + longest + right, 36 + len(values) * high, title, body)


def lines(
    title: str, ticks: Sequence[str], series: Mapping[str, Sequence[float]], ours: Sequence[str]
) -> str:
    """Return a line for each name over equally spaced ticks, in per cent from 0 to 100."""
    width, height, left, right, top = 580.0, 350.0, 50.0, 190.0, 34.0
    bottom = height - 40
    across = (width - left - right) / max(len(ticks) - 1, 1)
    body = ""
    for share in (0, 25, 50, 75, 100):
        y = bottom - (bottom - top) * share / 100
        body += (
            f'<path class="rule" stroke-dasharray="2 4" d="M{left:g} {y:g}H{width - right:g}"/>\n'
        )
        body += text(left - 8, y + 4, f"{share} %", "right", "faint")
    for number, tick in enumerate(ticks):
        body += text(left + number * across, bottom + 20, tick, "middle", "faint")
    last = {name: [v for v in values if not math.isnan(v)][-1] for name, values in series.items()}
    ends = _apart({name: bottom - (bottom - top) * value / 100 for name, value in last.items()})
    for name, values in sorted(series.items(), key=lambda one: one[0] in ours):
        points = " ".join(
            f"{left + i * across:.1f},{bottom - (bottom - top) * v / 100:.1f}"
            for i, v in enumerate(values)
            if not math.isnan(v)
        )
        kind = "ours" if name in ours else "other"
        body += f'<polyline class="line {kind}" points="{points}"/>\n'
        body += text(width - right + 12, ends[name] + 4, name, "name" if name in ours else "")
    return picture(width, height, title, LINE_STYLE + body)


LINE_STYLE = """<style>
  .line { fill: none; stroke-width: 1.5 }
  .line.ours { stroke: #3f51b5; stroke-width: 3 }
  .line.other { stroke: #8b91a8 }
  @media (prefers-color-scheme: dark) { .line.ours { stroke: #8c9eff } }
</style>
"""


def _apart(heights: Mapping[str, float], least: float = 16.0) -> dict[str, float]:
    """Return heights of labels that do not overlap, and of which none is below the last line."""
    placed: dict[str, float] = {}
    below = max(heights.values()) + least
    for name, y in sorted(heights.items(), key=lambda one: -one[1]):
        below = min(y, below - least)
        placed[name] = below
    return placed
