"""The summary after a run: a check in brief, and a few lines about all of them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_gradcheck.report.report import Report, band

__all__ = ["brief", "lines", "totals"]

FAILURES = 20
INDENT = " " * 7

Check = Mapping[str, Any]
"""What `brief` returns, with ``expected``: wrong, in a test that did not fail for it."""


def brief(report: Report, whole: bool = False) -> dict[str, Any]:
    """Return what the summary needs of a check, in builtin types that can be sent anywhere."""
    from pytest_gradcheck.report.terminal import headline

    error = report.relative_error
    parameters = report.parameters
    result: dict[str, Any] = {
        "passed": report.passed,
        "verdict": report.verdict,
        "headline": headline(report, 72),
        "covered": sum(parameter.covered for parameter in parameters),
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
    tests: Mapping[str, Sequence[Check]], verbosity: int, width: int, ascii: bool
) -> Iterator[tuple[str, str]]:
    """Yield the lines of the summary, each with its colour or an empty string.

    Quiet: one line. Default: the totals and the checks that failed a test. Verbose: every check,
    and the warnings.
    """
    from pytest_gradcheck.context import Style
    from pytest_gradcheck.report.terminal import fitted

    for text, colour in _all_lines(tests, verbosity):
        wrapped = textwrap.wrap(text, width, subsequent_indent=INDENT) if verbosity > 0 else [text]
        for line in wrapped:
            yield fitted(line, Style(width, ascii)), colour


def _all_lines(tests: Mapping[str, Sequence[Check]], verbosity: int) -> Iterator[tuple[str, str]]:
    wrong = any(_fails(check) for test in tests.values() for check in test)
    yield totals(tests), "red" if wrong else "green"
    if verbosity < 0:
        return
    failed = 0
    for nodeid, test in tests.items():
        fails = any(_fails(check) for check in test)
        failed += fails
        if verbosity > 0 or (fails and failed <= FAILURES):
            yield from _test(nodeid, test, verbosity)
    if verbosity == 0 and failed > FAILURES:
        yield f"… and {failed - FAILURES} more", "red"
    warned = sum(bool(check["warnings"]) for test in tests.values() for check in test)
    if verbosity == 0 and warned:
        yield f"{_some(warned, 'check')} with warnings (-v shows them)", "yellow"


def totals(tests: Mapping[str, Sequence[Check]]) -> str:
    """Return how many checks there were, and how they ended."""
    checks = [check for test in tests.values() for check in test]
    right = sum(check["passed"] for check in checks)
    expected = sum(check["expected"] for check in checks)
    wrong = len(checks) - right - expected
    calls = sum(check["evaluations"] for check in checks)
    counts = ((right, "right"), (wrong, "wrong"), (expected, "wrong as expected"))
    parts = ", ".join(f"{count} {word}" for count, word in counts if count)
    head = f"{_some(len(checks), 'check')} in {_some(len(tests), 'test')}"
    return f"{head}{f': {parts}' * bool(checks)}; {_some(calls, 'cost call')}"


def _some(count: int, word: str) -> str:
    return f"{count:,} {word}{'s' * (count != 1)}"


def _fails(check: Check) -> bool:
    return not check["passed"] and not check["expected"]


def _test(nodeid: str, checks: Sequence[Check], verbosity: int) -> Iterator[tuple[str, str]]:
    """Yield the lines of a test: its worst check stands for all, of which Hypothesis makes many."""
    worst = max(checks, key=lambda check: (_fails(check), not check["passed"], _error(check)))
    if worst["passed"]:
        word, colour, figures = worst["verdict"], "green", _figures(worst)
    else:
        word, colour = ("FAIL", "red") if _fails(worst) else ("wrong", "yellow")
        figures = worst["headline"]
    if len(checks) > 1:
        nodeid += f" (worst of {len(checks)} checks)"
    if verbosity == 0:
        yield f"{word:<6} {nodeid}: {figures}", colour
        return
    yield f"{word:<6} {nodeid}", colour
    yield f"{INDENT}{figures}", ""
    for warning in dict.fromkeys(warning for check in checks for warning in check["warnings"]):
        yield f"{INDENT}warning: {warning}", "yellow"


def _error(check: Check) -> float:
    error: float = check["relative_error"]
    return math.inf if math.isnan(error) else error


def _figures(check: Check) -> str:
    points = f" at {len(check['points'])} points" * (len(check["points"]) > 1)
    return (
        f"{_some(check['covered'], 'component')}{points}, relative error "
        f"{check['relative_error']:.1e} ({check['band']}), resolution {check['resolution']:.0e}"
    )
