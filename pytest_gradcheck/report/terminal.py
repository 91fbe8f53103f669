"""A report as text for the terminal: the verdict first, then where, then why.

At most 60 lines whatever the size of the problem, no line wider than the style allows, and plain
ASCII where the style asks for it.
"""

from __future__ import annotations

import itertools
import math
import re
import textwrap
from collections.abc import Iterable, Sequence

from pytest_gradcheck.context import Style
from pytest_gradcheck.report.map import error_map
from pytest_gradcheck.report.report import (
    VERDICTS,
    Component,
    Finding,
    ParameterReport,
    PointReport,
    Report,
    band,
    failing,
)

__all__ = ["failure_text", "fitted", "headline", "plain_ascii"]

LINES = 60
PARAMETERS = 20
COMPONENTS = 10
POINTS = 6
FINDINGS = 6

UNPROVED = ("canary", "stationary", "vacuous")
"""Codes of findings that fail a check in which no component is wrong."""

GAP = "  "
SHORTEST = 12
"""Columns of a name below which a table gives up others of its columns."""

PREFIX = 23 - 8
"""pytest puts ``E       GradientError: `` before the first line, and only its margin of 8 before
the others, which the style's width already allows for."""

ASCII = str.maketrans({"×": "x", "…": "~", "─": "-"})


def failure_text(report: Report, style: Style) -> str:
    """Return the whole text of a report.

    Examples
    --------
    >>> from pytest_gradcheck import check_gradients
    >>> report = check_gradients(lambda x: x * x, lambda x: 6 * x, 2.0)
    >>> print(str(report).splitlines()[0])
    bug at theta: 3.000 × the numerical gradient
    """
    point = report.worst_point
    narrower = style._replace(width=style.width - PREFIX)
    lines = [fitted(headline(report, narrower.width), narrower), *_context(report, point)]
    lines += ["", *_parameter_table(point, style.width)]
    if point.components:
        lines += ["", *_component_table(point, style.width)]
    shown = _distinct(report.findings)
    if shown:
        lines += [""]
        for finding in shown[:FINDINGS]:
            kind = f"{finding.severity} ({finding.code})"
            lines += _wrapped(f"{kind}: {finding.message}", style.width)
        if len(shown) > FINDINGS:
            lines.append(f"… and {len(shown) - FINDINGS} more findings")
    patches = [f.parameter for f in shown if f.code == "partial" and f.point == point.name]
    drawn = error_map(point, patches[0] or "", style) if patches else []
    if len(lines) + len(drawn) <= LINES:
        lines += drawn
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], "…"]
    return "\n".join(fitted(line, style) for line in lines)


def plain_ascii(text: str) -> str:
    """Return `text` without a character that an ASCII terminal cannot show."""
    return text.translate(ASCII).encode("ascii", "backslashreplace").decode()


def fitted(line: str, style: Style) -> str:
    """Return a line of a report as the style has it, cut where it is too wide."""
    if style.ascii:
        return plain_ascii(_cut(plain_ascii(line), style.width))
    return _cut(line, style.width)


def headline(report: Report, width: int) -> str:
    """Return the verdict with the worst component, in one line of at most `width` columns."""
    if report.passed:
        return _cut(f"{report.verdict}: {_agreeing(report.parameters)}", width)
    bad = failing(report.settings)
    if report.components and report.components[0].verdict in bad:
        return _worst_in_a_line(report.components[0], width)
    unnamed = [finding for finding in report.findings if finding.code == "unnamed"]
    if unnamed:
        name = unnamed[0].parameter or "theta"
        what = "off along a random direction, by what no component explains"
        return _cut(f"{report.verdict} in {name}: {what}", width)
    unproved = [finding for finding in report.findings if finding.code in UNPROVED]
    if unproved:
        return _cut(f"{unproved[0].code}: {unproved[0].message}", width)
    return _cut("inconclusive: no component could be decided", width)


def _agreeing(parameters: Sequence[ParameterReport]) -> str:
    """Return how many components agree, and with what."""
    checked = sum(parameter.checked for parameter in parameters)
    covered = sum(parameter.covered for parameter in parameters)
    if covered == checked:
        return f"{checked} components agree with their differences"
    return f"{covered:,} components agree along random directions"


def _worst_in_a_line(worst: Component, width: int) -> str:
    what = _comparison(worst)
    room = width - len(f"{worst.verdict} at : ") - len(what)
    if room < 12 and what.endswith(" the numerical gradient"):
        what = what.replace(" the numerical gradient", " numerical")
        room = width - len(f"{worst.verdict} at : ") - len(what)
    return _cut(f"{worst.verdict} at {_middle(worst.name, max(room, 12))}: {what}", width)


def _comparison(component: Component) -> str:
    """Return how a gradient compares with its approximation, in a few words."""
    if not math.isfinite(component.analytic):
        return f"the gradient is {component.analytic}"
    if component.verdict == "nonfinite":
        return "the cost is not finite on either side"
    if component.verdict == "inconclusive":
        return "cannot be decided"
    if component.verdict == "kink":
        return "the cost has a kink"
    ratio = _ratio(component)
    if ratio is None:
        return f"{component.analytic:.4g}, numerically {component.numerical:.4g}"
    return f"{ratio} × the numerical gradient"


def _ratio(component: Component) -> str | None:
    """Return analytic over numerical, or None where rounding leaves no digit of it."""
    if abs(component.numerical) <= 2 * component.error_bar or not component.numerical:
        return None
    ratio = component.analytic / component.numerical
    if not math.isfinite(ratio) or not 1e-3 <= abs(ratio) < 1e5:
        return f"{ratio:.3g}" if math.isfinite(ratio) and ratio else None
    return f"{ratio:.3f}" if abs(ratio - 1) >= 5e-3 else f"{ratio:.7f}".rstrip("0")


def _context(report: Report, point: PointReport) -> list[str]:
    """Return how much is wrong, where it was looked at, and what it took."""
    totals: dict[str, int] = {}
    for parameter in point.parameters:
        for verdict, count in parameter.counts.items():
            totals[verdict] = totals.get(verdict, 0) + count
    checked = sum(parameter.checked for parameter in point.parameters)
    size = sum(parameter.size for parameter in point.parameters)
    off = [f"{totals[word]} {word}" for word in reversed(VERDICTS[1:]) if totals.get(word)]
    of = f"{checked}" if checked == size else f"{checked} looked at ({size} in all)"
    covered = sum(parameter.covered for parameter in point.parameters)
    seen = f"{covered:,} seen along random directions; " if covered > checked else ""
    lines = [
        f"{', '.join(off) or 'none wrong'}, of {of}; "
        f"relative error {_figure(point.relative_error)} ({band(point.relative_error)})",
        f"{seen}{report.evaluations} cost calls, seed {report.seed}",
    ]
    lines += list(report.notes)
    if len(report.points) > 1:
        lines += [
            f"{'ok  ' if other.passed else 'FAIL'} {other.name}: {other.verdict}, relative error "
            f"{_figure(other.relative_error)}{' (shown)' if other is point else ''}"
            for other in report.points[:POINTS]
        ]
        if len(report.points) > POINTS:
            lines.append(f"… and {len(report.points) - POINTS} more points")
    return lines


def _parameter_table(point: PointReport, width: int) -> list[str]:
    rows = list(point.parameters)
    left_out = ""
    if len(rows) > PARAMETERS:
        rows = sorted(rows, key=_badness)[:PARAMETERS]
        left_out = f"… and {len(point.parameters) - PARAMETERS} more parameters, none worse"
    lines = _table(
        ("parameter", "shape", "checked", "not ok", "rel. error", "verdict"),
        [
            (
                row.name,
                "×".join(map(str, row.shape)) or "scalar",
                str(row.checked),
                str(row.checked - row.counts["ok"]),
                _figure(row.relative_error),
                row.verdict,
            )
            for row in rows
        ],
        "lrrrrl",
        width,
        ("shape", "checked", "not ok"),
    )
    return [*lines, left_out] if left_out else lines


def _badness(row: ParameterReport) -> tuple[int, float]:
    return -VERDICTS.index(row.verdict), -row.relative_error


def _component_table(point: PointReport, width: int) -> list[str]:
    lines = _table(
        ("worst", "analytic", "numerical", "ratio", "rel. error", "verdict"),
        [
            (
                component.name,
                f"{component.analytic:.7g}",
                f"{component.numerical:.7g}",
                _ratio(component) or "",
                _figure(component.relative_error),
                component.verdict,
            )
            for component in point.components[:COMPONENTS]
        ],
        "lrrrrl",
        width,
        ("rel. error", "verdict"),
    )
    total = sum(row.checked - row.counts["ok"] for row in point.parameters)
    if total > COMPONENTS:
        lines.append(f"… and {total - COMPONENTS} more")
    return lines


def _table(
    head: Sequence[str], rows: Sequence[Sequence[str]], align: str, width: int, spare: Sequence[str]
) -> list[str]:
    """Return aligned rows under a head, at most `width` wide.

    Where that is too narrow, the columns named in `spare` go, in their order, and then the names in
    the first column are shortened.
    """
    kept = list(range(len(head)))
    widths = [max(len(row[i]) for row in [head, *rows]) for i in kept]

    def room() -> int:
        return width - sum(widths[i] + len(GAP) for i in kept[1:])

    for name in spare:
        if room() < min(widths[0], SHORTEST):
            kept.remove(head.index(name))
    widths[0] = min(widths[0], max(room(), SHORTEST))
    names = [head[0], *_shortened([row[0] for row in rows], widths[0])]

    def line(name: str, cells: Sequence[str]) -> str:
        texts = [name, *(cells[i] for i in kept[1:])]
        padded = [
            text.ljust(widths[i]) if align[i] == "l" else text.rjust(widths[i])
            for i, text in zip(kept, texts, strict=True)
        ]
        return GAP.join(padded).rstrip()

    return [line(name, cells) for name, cells in zip(names, [head, *rows], strict=True)]


def _shortened(names: Sequence[str], width: int) -> list[str]:
    """Return names at most `width` wide, without the beginning that all of them have in common."""
    if len(names) < 2 or all(len(name) <= width for name in names):
        return [_middle(name, width) for name in names]
    ends = zip(min(names), max(names), strict=False)  # what these two share, all do
    shared = "".join(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], ends))
    common = re.sub(r"\w*$", "", shared)
    return [_middle(f"…{name[len(common) :]}" if common else name, width) for name in names]


def _distinct(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings without those that another point made in the same words."""
    return list({(f.code, f.message): f for f in findings}.values())


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="  ", break_long_words=True)


def _figure(value: float) -> str:
    return f"{value:.1e}" if value else "0"


def _middle(text: str, width: int) -> str:
    """Return `text` shortened in its middle: names differ at their ends."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
