"""Reports as files: every check of a run as JSON or as a Markdown table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["write"]

SCHEMA = 1

Tests = Mapping[str, Sequence[Mapping[str, Any]]]


def write(path: Path, tests: Tests) -> None:
    """Write the checks of a run to a file, in the form that its suffix names."""
    text = _markdown(tests) if path.suffix == ".md" else _json(tests)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _json(tests: Tests) -> str:
    checks = [
        {"test": nodeid, **check["report"]} for nodeid, test in tests.items() for check in test
    ]
    return json.dumps({"schema": SCHEMA, "checks": checks}, indent=2, allow_nan=False) + "\n"


def _markdown(tests: Tests) -> str:
    rows = [_row(nodeid, check) for nodeid, test in tests.items() for check in test]
    head = ["| test | verdict | components | relative error | worst |", "|---|---|---|---|---|"]
    return "\n".join(["# Gradient checks", "", *head, *rows]) + "\n"


def _row(nodeid: str, check: Mapping[str, Any]) -> str:
    error = check["relative_error"]
    figure = f"{error:.1e} ({check['band']})" if math.isfinite(error) else str(error)
    worst = "" if check["passed"] else check["headline"]
    cells = (nodeid, check["verdict"], str(check["checked"]), figure, worst)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
