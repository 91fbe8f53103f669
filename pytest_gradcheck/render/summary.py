"""The summary after a run: a check in brief, and a few lines about all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_gradcheck.report import Report

__all__ = ["brief", "lines"]

FAILURES = 20


def brief(report: Report, whole: bool = False) -> dict[str, Any]:
    """Return what the summary needs of a check, in builtin types that can be sent anywhere."""
    from pytest_gradcheck.render.terminal import headline
    from pytest_gradcheck.verdict import band

    error = report.relative_error
    parameters = report.parameters
    result: dict[str, Any] = {
        "passed": report.passed,
        "verdict": report.verdict,
        "headline": headline(report, 72),
        "checked": sum(parameter.checked for parameter in parameters),
        "points": [point.name for point in report.points],
        "relative_error": error,
        "band": band(error),
        "resolution": max(parameter.resolution for parameter in parameters),
        "evaluations": report.evaluations,
        "seed": report.seed,
        "warnings": [f.message for f in report.findings if f.severity == "warning"],
    }
    if whole:
        result["report"] = report.to_dict()
    return result


def lines(
    tests: Mapping[str, Sequence[Mapping[str, Any]]], verbosity: int, ascii: bool
) -> Iterator[tuple[str, str]]:
    """Yield the lines of the summary, each with its colour or an empty string.

    Quiet: one line. Default: the totals and the checks that are wrong. Verbose: every check, and
    the warnings.
    """
    from pytest_gradcheck.render.terminal import plain_ascii

    checks = [check for test in tests.values() for check in test]
    if not checks:
        return
    yield _totals(tests, checks)
    if verbosity < 0:
        return
    wrong = 0
    for nodeid, test in tests.items():
        for check in test:
            wrong += not check["passed"]
            if verbosity > 0 or (not check["passed"] and wrong <= FAILURES):
                text, colour = _line(nodeid, check)
                yield (plain_ascii(text) if ascii else text), colour
            if verbosity > 0:
                for warning in check["warnings"]:
                    yield f"       {plain_ascii(warning) if ascii else warning}", "yellow"
    if verbosity == 0 and wrong > FAILURES:
        yield f"... and {wrong - FAILURES} more", "red"


def _totals(tests: Mapping[str, Any], checks: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    right = sum(check["passed"] for check in checks)
    calls = sum(check["evaluations"] for check in checks)
    warned = sum(bool(check["warnings"]) for check in checks)
    parts = [f"{right} right"] if right else []
    if right < len(checks):
        parts.append(f"{len(checks) - right} wrong")
    text = (
        f"{len(checks)} check{'s' * (len(checks) != 1)} in {len(tests)} "
        f"test{'s' * (len(tests) != 1)}: {', '.join(parts)}; {calls:,} cost calls"
    )
    if warned:
        text += f"; {warned} with warnings (-v shows them)"
    return text, "green" if right == len(checks) else "red"


def _line(nodeid: str, check: Mapping[str, Any]) -> tuple[str, str]:
    if not check["passed"]:
        return f"FAIL   {nodeid}: {check['headline']}", "red"
    points = len(check["points"])
    at = f" at {points} points" if points > 1 else ""
    return (
        f"{check['verdict']:<6} {nodeid}: {check['checked']} components{at}, relative error "
        f"{check['relative_error']:.1e} ({check['band']}), resolution {check['resolution']:.0e}",
        "green",
    )
