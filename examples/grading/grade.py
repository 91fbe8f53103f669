"""Grade submissions of a class with partial credit, from reports as JSON.

Every submission is checked by the same tests, one folder a student::

    pytest tests --gradcheck-report reports/NAME.json

``python grade.py reports`` prints a mark for each: a right parameter earns its share of the test's
points, so a student with one wrong bias keeps the points of everything else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

POINTS = 10.0
"""Points of a test."""

PASSING = ("ok", "kink", "inconclusive")
"""Verdicts on a parameter that earn its share."""


def credit(run: Mapping[str, Any]) -> dict[str, float]:
    """Return the points of every test of a run: shares of its parameters that are right."""
    earned = {test["test"]: 0.0 for test in run["tests"]}
    for check in run["checks"]:
        rows = [row for point in check["points"] for row in point["parameters"]]
        right = sum(row["verdict"] in PASSING for row in rows)
        share = POINTS * right / len(rows)
        earned[check["test"]] = max(earned[check["test"]], share)
    return earned


def main(folder: Path) -> None:
    """Print the marks of all reports in a folder."""
    for path in sorted(folder.glob("*.json")):
        earned = credit(json.loads(path.read_text(encoding="utf-8")))
        total = f"{sum(earned.values()):.1f} of {POINTS * len(earned):.0f}"
        print(f"{path.stem:<20} {total}")
        for test, points in earned.items():
            print(f"    {points:4.1f}  {test}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
