"""The comparison of two runs: what got worse since an earlier report.

The earlier run is a file of ``--gradcheck-report run.json``. A test that is no longer checked is
reported; a new test has nothing to be compared with.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_gradcheck.report.record import SCHEMA, RunRecord, TestRecord

__all__ = ["changes", "earlier"]

WORSE = 10.0
"""A relative error or a resolution is worse if it is this many times as large."""

SLOWER = 1.5
"""A check is slower if it makes this many times the cost calls; less may depend on the
processor."""

FEW = 100
"""Cost calls below which no check is slow."""

FLOOR = 1e-5
"""Errors and resolutions below this are rounding."""


def earlier(path: Path) -> Mapping[str, Any]:
    """Read the report of an earlier run: a file, or the last that is in a folder.

    Raises
    ------
    ValueError
        Where the file is no such report, or one of another schema.
    FileNotFoundError
        Where a folder holds none.
    """
    if path.is_dir():
        found = sorted(path.glob("*.json"), key=lambda file: (file.stat().st_mtime, file.name))
        if not found:
            raise FileNotFoundError(f"no .json file in {path}")
        path = found[-1]
    run = json.loads(path.read_text(encoding="utf-8"))
    schema = run.get("schema") if isinstance(run, dict) else None
    if schema != SCHEMA:
        raise ValueError(
            f"{path} is no report of this version (its schema is {schema}, where {SCHEMA} is due): "
            "write it anew with --gradcheck-report"
        )
    checked: Mapping[str, Any] = run
    return checked


def changes(old: Mapping[str, Any], new: RunRecord) -> tuple[dict[str, str], ...]:
    """Return what got worse, each with its test, its kind and a sentence.

    Parameters
    ----------
    old : mapping
        What `earlier` read.
    new : RunRecord

    Returns
    -------
    tuple of dict
        ``{"test": ..., "kind": ..., "message": ...}``, in the order of the tests.
    """
    before: dict[str, list[Mapping[str, Any]]] = {}
    for check in old["checks"]:
        before.setdefault(check["test"], []).append(check)
    now = {test.nodeid: test for test in new.tests}
    return tuple(
        {"test": nodeid, "kind": kind, "message": message}
        for nodeid in sorted(before)
        for kind, message in _worse(before[nodeid], now.get(nodeid))
    )


def _worse(old: list[Mapping[str, Any]], test: TestRecord | None) -> Iterator[tuple[str, str]]:
    """Yield what got worse in one test, kind by kind."""
    if test is None or not test.checks:
        how = "the test did not run" if test is None else f"the test ended as {test.outcome}"
        yield "no longer checked", f"no longer checked: {how}"
        return
    new = list(test.checks)
    if _any_wrong(new) and not _any_wrong(old):
        yield "newly wrong", f"newly wrong: {test.worst['headline'] if test.worst else ''}"
        return
    if _undecided(new) and not (_undecided(old) or _any_wrong(old)):
        yield "newly undecided", f"newly undecided, was {old[0]['verdict']}"
    for name, word in (("relative_error", "relative error"), ("resolution", "resolution")):
        before, now = _largest(old, name), _largest(new, name)
        if now > WORSE * max(before, FLOOR):
            yield f"larger {word}", f"{word} {now:.1e}, was {before:.1e}"
    calls, earlier_calls = (sum(check["evaluations"] for check in checks) for checks in (new, old))
    if calls > SLOWER * max(earlier_calls, FEW) and len(new) <= len(old):
        yield "slower", f"slower: {calls:,} cost calls, was {earlier_calls:,}"


def _any_wrong(checks: list[Mapping[str, Any]]) -> bool:
    return any(not check["passed"] for check in checks)


def _undecided(checks: list[Mapping[str, Any]]) -> bool:
    return any(check["verdict"] in ("inconclusive", "kink") for check in checks)


def _largest(checks: list[Mapping[str, Any]], name: str) -> float:
    """Return the largest figure of a name; NaN counts as infinite."""
    values = [float(check[name]) for check in checks]
    return max((math.inf if math.isnan(value) else value for value in values), default=0.0)
