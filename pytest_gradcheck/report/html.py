"""Every check of a run as one page of HTML that needs nothing beside itself, the worst first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, StrictUndefined

__all__ = ["page"]

COMPONENTS = 100
"""Components shown of a check; the JSON report has them all."""

TEMPLATE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Gradient checks: {{ totals }}</title>
<style>
:root { color-scheme: light dark; --wrong: #b3261e; --expected: #8a6100; --right: #1b6e3c; }
@media (prefers-color-scheme: dark) {
  :root { --wrong: #ff8a80; --expected: #ffd166; --right: #7ddc9c; }
}
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
details { border: 1px solid #8886; border-radius: 6px; margin: .6rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; }
th, td { padding: .15rem .8rem .15rem 0; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child, td:last-child, th:last-child { text-align: left; }
.wrong { color: var(--wrong); }
.expected { color: var(--expected); }
.right { color: var(--right); }
code { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>Gradient checks</h1>
<p>{{ totals }}</p>
{% for check in checks %}
{%- set report = check.report %}
<details{% if check.state == "wrong" %} open{% endif %}>
<summary><strong class="{{ check.state }}">{{ report.verdict }}</strong>
<code>{{ check.test }}</code>: {{ check.headline }}</summary>
<p>Relative error {{ report.relative_error | figure }} ({{ check.band }});
{{ report.evaluations }} cost calls; seed {{ report.seed }}
{%- for note in report.notes %}; {{ note }}{% endfor %}</p>
{% if report.findings %}
<ul>
{% for finding in report.findings %}
<li><strong>{{ finding.severity }}: {{ finding.code }}</strong>
<span style="white-space: pre-wrap">{{ finding.message }}</span>
{%- if report.points | length > 1 %} (at {{ finding.point }}){% endif %}</li>
{% endfor %}
</ul>
{% endif %}
{% for point in report.points %}
<div class="scroll"><table>
<caption>{{ point.name }}: {{ point.verdict }}, relative error {{ point.relative_error | figure }}
</caption>
<thead><tr><th>parameter</th><th>shape</th><th>checked</th><th>not ok</th><th>relative error</th>
<th>resolution</th><th>verdict</th></tr></thead>
<tbody>
{% for row in point.parameters %}
<tr><td><code>{{ row.name }}</code></td><td>{{ row.shape | join("\u00d7") or "scalar" }}</td>
<td>{{ row.checked }} of {{ row.size }}
{%- if row.covered > row.checked %}, {{ row.covered }} seen{% endif %}</td>
<td>{{ row.checked - row.counts.ok }}</td>
<td>{{ row.relative_error | figure }}</td><td>{{ row.resolution | figure }}</td>
<td>{{ row.verdict }}</td></tr>
{% endfor %}
</tbody>
</table></div>
{% endfor %}
{% if report.components %}
<div class="scroll"><table>
<caption>Components, the worst first
{%- if report.components | length > limit %}: {{ limit }} of {{ report.components | length }}
{%- endif %}</caption>
<thead><tr><th>component</th><th>analytic</th><th>numerical</th><th>error bar</th>
<th>relative error</th><th>point</th><th>verdict</th></tr></thead>
<tbody>
{% for row in report.components[:limit] %}
<tr><td><code>{{ row.name }}</code></td><td>{{ row.analytic | digits }}</td>
<td>{{ row.numerical | digits }}</td><td>{{ row.error_bar | figure }}</td>
<td>{{ row.relative_error | figure }}</td><td>{{ row.point }}</td><td>{{ row.verdict }}</td></tr>
{% endfor %}
</tbody>
</table></div>
{% endif %}
</details>
{% else %}
<p>No gradient was checked.</p>
{% endfor %}
</body>
</html>
"""


def page(tests: Mapping[str, Sequence[Mapping[str, Any]]], totals: str) -> str:
    """Return a page in plain ASCII: what is beyond it stands there as character references."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"figure": _figure, "digits": _digits}
    checks = [{**check, "state": _state(check)} for test in tests.values() for check in test]
    text = environment.from_string(TEMPLATE).render(
        checks=sorted(checks, key=_badness), totals=totals, limit=COMPONENTS
    )
    return text.encode("ascii", "xmlcharrefreplace").decode()


def _state(check: Mapping[str, Any]) -> str:
    if check["passed"]:
        return "right"
    return "expected" if check["expected"] else "wrong"


def _badness(check: Mapping[str, Any]) -> tuple[int, float]:
    error = check["relative_error"]
    rank = ("wrong", "expected", "right").index(check["state"])
    return rank, -math.inf if math.isnan(error) else -error


def _figure(value: float | str) -> str:
    """Return a small number in brief; what is no number came as its name."""
    return value if isinstance(value, str) else f"{value:.1e}" if value else "0"


def _digits(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.7g}"
