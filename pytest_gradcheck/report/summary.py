"""The summary of a run: checks in brief, in a bounded number of lines."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_gradcheck.context import Style
from pytest_gradcheck.report.record import RunRecord, TestRecord
from pytest_gradcheck.report.report import Report, band

__all__ = ["brief", "complete", "drawn", "lines", "totals"]

FAILURES = 20
TESTS = 200
"""Tests listed at most: by default, which lists failures, and in verbose mode."""

CHANGES = 20
INDENT = " " * 7

Check = Mapping[str, Any]
"""The type of `brief`'s result."""

SHORTEST = 32
"""Columns that a name keeps at least."""

WORDS = {
    "wrong": ("FAIL", "red"),
    "refused": ("REFUSED", "red"),
    "failed": ("failed", "red"),
    "expected": ("wrong", "yellow"),
    "skipped": ("skipped", ""),
    "unchecked": ("none", "yellow"),
}
"""The word and the colour of a test's state; other states have the word of their verdict."""


def brief(report: Report) -> dict[str, Any]:
    """Return the parts of a check that the summary needs, as builtin types."""
    from pytest_gradcheck.report.terminal import headline

    error = report.relative_error
    parameters = report.parameters
    return {
        "passed": report.passed,
        "verdict": report.verdict,
        "headline": headline(report, 72),
        "covered": sum(parameter.covered for parameter in parameters),
        "points": [point.name for point in report.points],
        "relative_error": error,
        "band": band(error),
        "resolution": max(parameter.resolution for parameter in parameters),
        "evaluations": report.evaluations,
        "seconds": report.seconds,
        "seed": report.seed,
        "causes": [f.message for f in report.findings if f.severity == "cause"],
        "warnings": [f.message for f in report.findings if f.severity == "warning"],
    }


def complete(report: Report) -> dict[str, Any]:
    """Return the whole of a check, for a file."""
    return {**brief(report), "report": report.to_dict()}


def drawn(report: Report) -> dict[str, Any]:
    """Return the whole of a check with its pictures, for a page."""
    pictures = [None if p.picture is None else p.picture().drawn() for p in report.points]
    return {**complete(report), "pictures": pictures}


def lines(
    run: RunRecord, verbosity: int, slowest: int | None, style: Style
) -> Iterator[tuple[str, str]]:
    """Yield the lines of the summary, each with its colour or an empty string.

    Quiet: one line. Default: the totals and the checks that failed a test. Verbose: every check,
    and the warnings. At every verbosity the number of lines has a bound.

    Parameters
    ----------
    run : RunRecord
    verbosity : int
        pytest's.
    slowest : int or None
        How many of the slowest checks to list, 0 for all; none without.
    style : Style
    """
    from pytest_gradcheck.report.terminal import fitted

    for text, colour in _all_lines(run, verbosity, slowest, style.width):
        if verbosity > 0:
            wrapped = textwrap.wrap(text, style.width, subsequent_indent=INDENT)
        else:
            wrapped = [text]
        for line in wrapped:
            yield fitted(line, style), colour


def _all_lines(
    run: RunRecord, verbosity: int, slowest: int | None, width: int
) -> Iterator[tuple[str, str]]:
    yield totals(run.tests), _colour(run)
    if verbosity < 0:
        return
    shown = [test for test in run.tests if _is_shown(test, verbosity)]
    most = TESTS if verbosity > 0 else FAILURES
    for test in shown[:most]:
        yield from _test(test, verbosity, width)
    if len(shown) > most:
        yield f"… and {len(shown) - most} more", _colour(run)
    warned = sum(bool(check["warnings"]) for test in run.tests for check in test.checks)
    if verbosity == 0 and warned:
        yield f"{_some(warned, 'check')} with warnings (-v shows them)", "yellow"
    for change in run.changes[:CHANGES]:
        yield f"worse  {change['test']}: {change['message']}", "yellow"
    if len(run.changes) > CHANGES:
        yield f"… and {len(run.changes) - CHANGES} more that got worse", "yellow"
    if slowest is not None:
        yield from _slowest(run.tests, slowest or None)


def _is_shown(test: TestRecord, verbosity: int) -> bool:
    """Return whether a test has a line of its own."""
    if verbosity > 0:
        return bool(test.checks or test.refusals)
    return test.state in ("wrong", "refused") or (test.state == "failed" and bool(test.checks))


def _colour(run: RunRecord) -> str:
    """Return red for failures, yellow for warnings, else green."""
    if any(test.state in ("wrong", "refused") for test in run.tests):
        return "red"
    passing = [check for test in run.tests for check in test.checks if check["passed"]]
    return "yellow" if any(check["verdict"] == "suspect" for check in passing) else "green"


def totals(tests: Sequence[TestRecord]) -> str:
    """Return the numbers of checks by result, in one line."""
    checked = [test for test in tests if test.checks]
    checks = [(test, check) for test in checked for check in test.checks]
    right = sum(check["passed"] for _, check in checks)
    suspects = sum(check["passed"] and check["verdict"] == "suspect" for _, check in checks)
    expected = sum(test.is_expected(check) for test, check in checks)
    calls = sum(check["evaluations"] for _, check in checks)
    parts = [
        f"{count} {word}"
        for count, word in (
            (right - suspects, "right"),
            (suspects, "suspect but passed"),
            (len(checks) - right - expected, "wrong"),
            (expected, "wrong as expected"),
        )
        if count
    ]
    head = f"{_some(len(checks), 'check')} in {_some(len(checked), 'test')}"
    return "; ".join(
        [
            f"{head}{': ' * bool(parts)}{', '.join(parts)}",
            _some(calls, "cost call"),
            *_others(tests),
        ]
    )


def _others(tests: Iterable[TestRecord]) -> Iterator[str]:
    """Yield the numbers of tests without a check, by reason."""
    tests = tuple(tests)
    codes = Counter(refusal.code for test in tests for refusal in test.refusals)
    if codes:
        yield f"{sum(codes.values())} refused ({', '.join(sorted(codes))})"
    skipped = sum(test.state == "skipped" for test in tests)
    if skipped:
        yield f"{skipped} skipped"


def _some(count: int, word: str) -> str:
    return f"{count:,} {word}{'s' * (count != 1)}"


def _test(test: TestRecord, verbosity: int, width: int) -> Iterator[tuple[str, str]]:
    """Yield the lines of a test, which show its worst check."""
    worst = test.worst
    verdict = "none" if worst is None else str(worst["verdict"])
    word, colour = WORDS.get(test.state, (verdict, "yellow" if verdict == "suspect" else "green"))
    if worst is None:
        words = test.refusals[0].message.splitlines()[0] if test.refusals else test.reason
    else:
        words = _figures(worst) if worst["passed"] else worst["headline"]
    name = test.nodeid
    if len(test.checks) > 1:
        every = "smallest" if test.hypothesis and test.state == "wrong" else "worst"
        name += f" ({every} of {len(test.checks)} {'examples' if test.hypothesis else 'checks'})"
    if verbosity == 0:
        yield _both(f"{word:<6} ", name, words, width), colour
        return
    yield f"{word:<6} {name}", colour
    yield f"{INDENT}{words}", ""
    for warning in dict.fromkeys(text for check in test.checks for text in check["warnings"]):
        yield f"{INDENT}warning: {warning}", "yellow"


def _both(word: str, name: str, words: str, width: int) -> str:
    """Return a name and its figures in one line; the name is cut, not the figures."""
    room = max(SHORTEST, width - len(word) - len(": ") - len(words))
    if len(name) > room:
        name = "…" + name[len(name) - room + 1 :]
    return f"{word}{name}: {words}"


def _slowest(tests: Sequence[TestRecord], most: int | None) -> Iterator[tuple[str, str]]:
    """Yield the slowest checks, with their calls and the time of a call."""
    checks = [(check["seconds"], test.nodeid, check) for test in tests for check in test.checks]
    checks.sort(key=lambda one: (-one[0], one[1]))
    if not checks:
        return
    yield f"slowest {_some(len(checks[:most]), 'check')}", ""
    for seconds, name, check in checks[:most]:
        calls = check["evaluations"]
        each = 1e6 * seconds / max(1, calls)
        yield f"{seconds:8.3f} s {calls:>9,} calls {each:>9,.0f} us each  {name}", ""


def _figures(check: Check) -> str:
    points = f" at {len(check['points'])} points" * (len(check["points"]) > 1)
    return (
        f"{_some(check['covered'], 'component')}{points}, relative error "
        f"{check['relative_error']:.1e}{_band(check)}, resolution {check['resolution']:.0e}"
    )


def _band(check: Check) -> str:
    """Return the course's word for a relative error, unless it contradicts the verdict."""
    contradicts = check["passed"] and check["band"] in ("look closer", "bug")
    return "" if contradicts else f" ({check['band']})"
