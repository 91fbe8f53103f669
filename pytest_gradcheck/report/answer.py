"""The answer of a report in one sentence, and figures in words that agree with the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePath

from pytest_gradcheck.report.report import (
    Component,
    Finding,
    ParameterReport,
    PointReport,
    Report,
    band,
    failing,
)

__all__ = ["answer", "explanation", "figure", "figure_words", "place", "ratio"]

WRONG = ("suspect", "bug", "nonfinite")

PLACES = ("unnamed", "line", "output")
"""Codes of findings that tell the place of an error, and no cause."""

UNPROVED = ("canary", "stationary", "vacuous")
"""Codes of findings that fail a check in which no component is wrong."""


def answer(report: Report) -> str:
    """Return the cause, if one explains all errors, else the verdict and the worst component.

    It ends with the line at which the error enters, if that is known.
    """
    return _answer(report) + place(report)


def place(report: Report) -> str:
    """Return the file and the line at which the error enters, in brackets, or an empty string."""
    for finding in report.worst_point.findings:
        if finding.code == "line" and finding.where is not None:
            path, line = finding.where
            return f" ({PurePath(path).name}:{line})"
    return ""


def _answer(report: Report) -> str:
    if report.passed:
        return f"{report.verdict}: {_agreeing(report.parameters)}"
    cause = explanation(report)
    if cause is not None:
        return cause.message
    worst = report.worst_point.components[:1]
    if worst and worst[0].verdict in failing(report.settings):
        return f"{worst[0].verdict} at {worst[0].name}: {_comparison(worst[0])}"
    for finding in report.findings:
        if finding.code == "unnamed":
            what = "off along a random direction, by what no component explains"
            return f"{report.verdict} in {finding.parameter or 'theta'}: {what}"
        if finding.severity == "cause" and finding.code != "line":
            return finding.message
        if finding.code in UNPROVED:
            return f"{finding.code}: {finding.message}"
    return "inconclusive: no component could be decided"


def explanation(report: Report) -> Finding | None:
    """Return the finding that explains all errors at the worst point, if there is one.

    A law of the whole matrix may be broken where each of its components is right.
    """
    if report.passed:
        return None
    point = report.worst_point
    wrong = {parameter.name for parameter in point.parameters if parameter.verdict in WRONG}
    found = [f for f in point.findings if f.code not in PLACES]
    causes = [f for f in found if f.severity == "cause"]
    if not wrong:
        unfit = any(c.verdict in failing(report.settings) for c in point.components)
        return causes[0] if causes and not unfit else None
    covering = (c for c in causes if wrong <= ({c.parameter} | set(c.parameters)))
    return next(covering, None)


def _agreeing(parameters: Sequence[ParameterReport]) -> str:
    """Return a phrase with the number of components that agree."""
    checked = sum(parameter.checked for parameter in parameters)
    covered = sum(parameter.covered for parameter in parameters)
    size = sum(parameter.size for parameter in parameters)
    undecided = sum(parameter.counts["inconclusive"] for parameter in parameters)
    if undecided:
        rest = ", and the others agree" if undecided < checked else ""
        return f"{undecided:,} of {checked:,} components cannot be decided{rest}"
    if covered < size:
        return f"{covered:,} of {size:,} components were looked at, and agree"
    if covered == checked == 1:
        return "1 component agrees with its difference"
    if covered == checked:
        return f"{checked} components agree with their differences"
    return f"{covered:,} components agree along random directions"


def _comparison(component: Component) -> str:
    """Compare a component with its approximation in a few words."""
    if not math.isfinite(component.analytic):
        return f"the gradient is {component.analytic}"
    if component.verdict == "nonfinite":
        return "the cost is not finite on either side"
    if component.verdict == "inconclusive":
        return "cannot be decided"
    if component.verdict == "kink":
        return "the cost has a kink"
    said = ratio(component)
    if said in (None, "0"):
        return f"{component.analytic + 0.0:.4g}, numerically {component.numerical:.4g}"
    return f"{said} x the numerical {'derivative' if component.output else 'gradient'}"


def ratio(component: Component) -> str | None:
    """Return analytic / numerical in a readable form, or None if no digit is certain.

    Examples
    --------
    >>> from types import SimpleNamespace as Of
    >>> values = (8.0, -1 / 365, 1.0001, 1e-7)
    >>> [ratio(Of(analytic=v, numerical=1.0, error_bar=1e-12)) for v in values]
    ['8.000', '-1/365', '1.0001', '1e-07']
    """
    if abs(component.numerical) <= 2 * component.error_bar or not component.numerical:
        return None
    value = component.analytic / component.numerical
    if not value:
        return "0"
    if not math.isfinite(value):
        return None
    count = round(1 / abs(value))
    if 3 <= count < 10_000 and abs(abs(value) * count - 1) < 1e-6:
        return f"{'-' if value < 0 else ''}1/{count}"
    if not 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}"
    return f"{value:.3f}" if abs(value - 1) >= 5e-3 else f"{value:.7f}".rstrip("0")


def figure(value: float) -> str:
    """Return a relative error with two digits."""
    return f"{value:.1e}" if value else "0"


def figure_words(point: PointReport) -> str:
    """Return the course's figure with its band, or a remark where the band contradicts the verdict.

    One wrong component among large right ones leaves it small, and differences within error bars
    may make it large.
    """
    error = point.relative_error
    word = band(error)
    said = f"relative error {figure(error)}"
    if any(p.verdict in WRONG for p in point.parameters) and word in ("great", "good"):
        return f"{said} over all, too small to show it"
    if point.verdict not in WRONG and word in ("look closer", "bug"):
        return f"{said} over all, within the error bars"
    return f"{said} ({word})"
