"""A run as a self-contained HTML page, and a report as a card of it.

The page works without scripts: every check can be opened, and all of its points are shown. Scripts
add a filter and turn the points into tabs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from pytest_gradcheck.report.html.pictures import (
    curve_picture,
    errors_picture,
    map_picture,
    scatter_picture,
)
from pytest_gradcheck.report.record import STATES, RunRecord, TestRecord
from pytest_gradcheck.report.summary import totals

__all__ = ["card", "page"]

COMPONENTS = 100
"""Components shown of a check; the JSON report has more."""

CHECKS = 5
"""Checks of a test that are shown, worst first: a loop or Hypothesis may make many."""

FILTERS = {
    "wrong": ("wrong", "refused", "failed"),
    "undecided": ("undecided", "expected", "unchecked", "skipped"),
}
"""The groups of states in the filter."""


def page(run: RunRecord) -> str:
    """Return a page in plain ASCII; other characters are character references."""
    ranked = sorted(run.tests, key=lambda test: (STATES.index(test.state), test.nodeid))
    text = _template("page.html.j2").render(
        run=run,
        totals=totals(run.tests),
        environment=run.to_dict()["environment"],
        tests=[_test(number, test) for number, test in enumerate(ranked)],
        limit=COMPONENTS,
    )
    return text.encode("ascii", "xmlcharrefreplace").decode()


def card(check: Mapping[str, Any]) -> str:
    """Return the card of one check, with its style, for a notebook."""
    text = _template("card.html.j2").render(check=_check(0, check), limit=COMPONENTS)
    return text.encode("ascii", "xmlcharrefreplace").decode()


@functools.cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("pytest_gradcheck.report.html", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": _figure, "digits": _digits, "ratio": _ratio}
    return environment.get_template(name)


def _test(number: int, test: TestRecord) -> dict[str, Any]:
    """Return the template's data of a test."""
    shown = sorted(test.checks, key=lambda check: (check["passed"], -_error(check)))[:CHECKS]
    if test.hypothesis and test.worst is not None:
        shown = [test.worst]
    group = next((name for name, states in FILTERS.items() if test.state in states), "right")
    return {
        "record": test,
        "state": test.state,
        "group": group,
        "checks": [_check(100 * number + k, check) for k, check in enumerate(shown)],
        "left_out": len(test.checks) - len(shown),
    }


def _error(check: Mapping[str, Any]) -> float:
    error: float = check["relative_error"]
    return math.inf if math.isnan(error) else error


def _check(number: int, check: Mapping[str, Any]) -> dict[str, Any]:
    """Return the template's data of a check, its points with their pictures."""
    report = check["report"]
    several = len(report["points"]) > 1
    points = [
        {
            **point,
            "id": f"c{number}p{k}",
            "components": [c for c in report["components"] if c["point"] == point["name"]],
            "pictures": _pictures(drawn, point, f"{number}-{k}"),
            "left_out": 0 if drawn is None else drawn["left_out"],
        }
        for k, (point, drawn) in enumerate(zip(report["points"], check["pictures"], strict=True))
    ]
    return {
        **check,
        "report": report,
        "points": sorted(points, key=lambda point: bool(point["passed"])),
        "several": several,
    }


def _pictures(drawn: Mapping[str, Any] | None, point: Mapping[str, Any], salt: str) -> list[Any]:
    """Return the pictures of a point as inline SVG: maps, then the scatter and the curve.

    Parameters that are right share one picture of their errors: drawing takes time.
    """
    if drawn is None:
        return []
    factor = next((f["factor"] for f in point["findings"] if f["factor"] is not None), None)
    looked_at = [one for one in drawn["maps"] if _is_looked_at(one)]
    right = [one for one in drawn["maps"] if not _is_looked_at(one)]
    wide = [map_picture(one, f"{salt}-{k}") for k, one in enumerate(looked_at)]
    if right:
        wide.append(errors_picture(right, f"{salt}-r"))
    half = []
    if point["verdict"] != "ok" and len(drawn["scatter"]["analytic"]) > 1:
        half.append(scatter_picture(drawn["scatter"], factor, f"{salt}-s"))
    if drawn["curve"] is not None and len(drawn["curve"]["steps"]) > 1:
        half.append(curve_picture(drawn["curve"], f"{salt}-c"))
    return [
        {"svg": Markup(svg), "said": said, "width": width}
        for width, found in (("wide", wide), ("half", half))
        for svg, said in found
    ]


def _is_looked_at(drawn: Mapping[str, Any]) -> bool:
    """Return whether a parameter has a component that is not ok."""
    return any(code > 0 for row in drawn["verdicts"] for code in row)


def _figure(value: float | str) -> str:
    """Return a number in brief; NaN and infinities come as their names."""
    return value if isinstance(value, str) else f"{value:.1e}" if value else "0"


def _digits(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.7g}"


def _ratio(component: Mapping[str, Any]) -> str:
    """Return analytic / numerical, where that has a certain digit."""
    analytic, numerical = component["analytic"], component["numerical"]
    if isinstance(analytic, str) or isinstance(numerical, str) or numerical == 0:
        return ""
    ratio = analytic / numerical
    return f"{ratio:.4g}" if math.isfinite(ratio) else ""
