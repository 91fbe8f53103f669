"""Reports as files: every check of a run as JSON, as a page of HTML or as a Markdown table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_gradcheck.report.summary import totals

__all__ = ["write"]

SCHEMA = 1

Tests = Mapping[str, Sequence[Mapping[str, Any]]]


def write(path: Path, tests: Tests) -> None:
    """Write the checks of a run to a file, in the form that its suffix names."""
    forms = {".json": _json, ".html": _html, ".md": _markdown}
    text = forms[path.suffix](tests)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _json(tests: Tests) -> str:
    checks = [
        {"test": nodeid, **check["report"]} for nodeid, test in tests.items() for check in test
    ]
    return json.dumps({"schema": SCHEMA, "checks": checks}, indent=2, allow_nan=False) + "\n"


def _html(tests: Tests) -> str:
    from pytest_gradcheck.report.html import page

    return page(tests, totals(tests))


def _markdown(tests: Tests) -> str:
    rows = [_row(nodeid, check) for nodeid, test in tests.items() for check in test]
    head = ["| test | verdict | components | relative error | worst |", "|---|---|---|---|---|"]
    return "\n".join(["# Gradient checks", "", totals(tests), "", *head, *rows]) + "\n"


def _row(nodeid: str, check: Mapping[str, Any]) -> str:
    error = check["relative_error"]
    figure = f"{error:.1e} ({check['band']})" if math.isfinite(error) else str(error)
    worst = "" if check["passed"] else check["headline"]
    cells = (f"`{nodeid}`", check["verdict"], str(check["covered"]), figure, worst)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
