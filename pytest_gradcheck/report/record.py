"""The record of a run, from which all reports are rendered.

It has every test with a check or a marker: also one that was skipped, that ended before its check,
that failed after it, or whose pair could not be checked. All of it is plain Python, so that workers
can send it and files can hold it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["SCHEMA", "Environment", "Journal", "Refusal", "RunRecord", "TestRecord"]

SCHEMA = 2
"""The version of the JSON file; ``report.schema.json`` describes it."""

STATES = ("wrong", "refused", "failed", "undecided", "expected", "unchecked", "skipped", "right")
"""The states of a test, the worst first."""

RED = frozenset(STATES[:3])
"""States of tests that fail a run."""

LISTED = 1000
"""Components of a check that a file lists at most; it counts the others."""


@dataclass(frozen=True)
class Refusal:
    """A pair that could not be checked: the code and the message of its `ProblemError`."""

    code: str
    message: str


@dataclass(frozen=True)
class TestRecord:
    """The result of a test.

    Attributes
    ----------
    nodeid : str
    path : str
        The file, relative to the root of the tests.
    line : int
        In that file, from 1 on; 0 where pytest does not know it.
    outcome : str
        pytest's: ``passed``, ``failed``, ``error``, ``skipped``, ``xfailed`` or ``xpassed``.
    seconds : float
        Duration of all its phases, in its last run.
    reruns : int
        The number of its reruns.
    reason : str
        Why it was skipped or expected to fail; or the first line of its error.
    checks : tuple of mapping
        Each check, from `summary.brief`.
    refusals : tuple of Refusal
    unchecked : bool
        Whether a marked test ended without a check.
    """

    __test__ = False  # no test class, in spite of its name

    nodeid: str
    path: str = ""
    line: int = 0
    outcome: str = "passed"
    seconds: float = 0.0
    reruns: int = 0
    reason: str = ""
    checks: tuple[Mapping[str, Any], ...] = ()
    refusals: tuple[Refusal, ...] = ()
    unchecked: bool = False

    @property
    def failed(self) -> bool:
        """Whether pytest counts it against the run."""
        return self.outcome in ("failed", "error")

    def is_expected(self, check: Mapping[str, Any]) -> bool:
        """Return whether a check is wrong in a test that did not fail for it."""
        return not check["passed"] and not self.failed

    @property
    def state(self) -> str:
        """One of `STATES`."""
        wrong = any(not check["passed"] for check in self.checks)
        if self.failed:
            return "wrong" if wrong else "refused" if self.refusals else "failed"
        if wrong:
            return "expected"
        if self.outcome == "skipped" and not self.checks:
            return "skipped"
        if not self.checks:
            return "unchecked"
        undecided = any(check["verdict"] != "ok" for check in self.checks)
        return "undecided" if undecided else "right"

    @property
    def worst(self) -> Mapping[str, Any] | None:
        """The check that represents the test: of Hypothesis's many the last failing one."""
        failing = [check for check in self.checks if not check["passed"]]
        if failing and self.hypothesis:
            return failing[-1]
        return max(self.checks, key=_badness, default=None)

    @property
    def hypothesis(self) -> bool:
        """Whether Hypothesis made the checks: many examples, of which the last is the smallest."""
        return any(check.get("hypothesis") for check in self.checks)


def _badness(check: Mapping[str, Any]) -> tuple[bool, float]:
    error: float = check["relative_error"]
    return not check["passed"], math.inf if math.isnan(error) else error


@dataclass(frozen=True)
class Environment:
    """The environment of a run; unknown entries are empty."""

    date: str = ""
    python: str = ""
    numpy: str = ""
    pytest: str = ""
    plugin: str = ""
    platform: str = ""
    kernels: str = ""
    commit: str = ""
    branch: str = ""


@dataclass(frozen=True)
class RunRecord:
    """A run of pytest.

    Attributes
    ----------
    tests : tuple of TestRecord
        In the order of their names, whatever the number of workers.
    environment : Environment
    settings : mapping
        Of the command line and the ini file: those that differ from the defaults.
    exit_status : int
        pytest's.
    cut_short : bool
        Whether the run was interrupted.
    troubles : tuple of str
        Faults of the run itself: a gate that is not met, say.
    changes : tuple of mapping
        Changes for the worse since an earlier run; see `compare`.
    """

    tests: tuple[TestRecord, ...] = ()
    environment: Environment = field(default_factory=Environment)
    settings: Mapping[str, Any] = field(default_factory=dict)
    exit_status: int = 0
    cut_short: bool = False
    troubles: tuple[str, ...] = ()
    changes: tuple[Mapping[str, Any], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no gradient check failed the run."""
        return not self.troubles and not any(test.state in RED for test in self.tests)

    def counts(self) -> dict[str, int]:
        """Return how many tests are in each state, the worst first."""
        found = [test.state for test in self.tests]
        return {state: found.count(state) for state in STATES if state in found}

    def to_dict(self) -> dict[str, Any]:
        """Return the run as plain JSON types, as its schema describes them."""
        return {
            "schema": SCHEMA,
            "passed": self.passed,
            "exit_status": self.exit_status,
            "cut_short": self.cut_short,
            "environment": dataclasses.asdict(self.environment),
            "settings": dict(self.settings),
            "totals": {
                "tests": len(self.tests),
                "checks": sum(len(test.checks) for test in self.tests),
                "evaluations": sum(c["evaluations"] for test in self.tests for c in test.checks),
                "states": self.counts(),
            },
            "troubles": list(self.troubles),
            "changes": [dict(change) for change in self.changes],
            "tests": [_test(test) for test in self.tests],
            "checks": [_check(test, check) for test in self.tests for check in test.checks],
        }


def _test(test: TestRecord) -> dict[str, Any]:
    """Return a test as JSON types; its checks are a list of their own, with the test's name."""
    return {
        "test": test.nodeid,
        "path": test.path,
        "line": test.line,
        "outcome": test.outcome,
        "state": test.state,
        "seconds": round(test.seconds, 6),
        "reruns": test.reruns,
        "reason": test.reason,
        "refusals": [dataclasses.asdict(refusal) for refusal in test.refusals],
        "checks": len(test.checks),
    }


def _check(test: TestRecord, check: Mapping[str, Any]) -> dict[str, Any]:
    """Return a check as JSON types, its components and findings once and not again by point."""
    report = dict(check["report"])
    components = report.pop("components")
    report["points"] = [
        {name: value for name, value in point.items() if name not in ("components", "findings")}
        for point in report["points"]
    ]
    return {
        "test": test.nodeid,
        "expected": test.is_expected(check),
        "headline": check["headline"],
        "seconds": round(check["seconds"], 6),
        "resolution": _plain(check["resolution"]),
        **report,
        "components": components[:LISTED],
        "components_left_out": max(0, len(components) - LISTED),
    }


def _plain(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


class Journal:
    """Collects the phases of tests while they run, and joins them to records.

    pytest reports a test in phases, and a rerun starts a new record. The key is node id and worker:
    under xdist every worker may run all tests.
    """

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], TestRecord] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._records

    def __iter__(self) -> Iterator[TestRecord]:
        records: dict[str, TestRecord] = {}
        for key in sorted(self._records):
            record = self._records[key]
            known = records.get(record.nodeid)
            records[record.nodeid] = record if known is None else _joined(known, record)
        return iter(records.values())

    def begin(self, key: tuple[str, str]) -> None:
        """Forget the result of an earlier run of a test, and count the rerun."""
        if (known := self._records.get(key)) is not None:
            self._records[key] = TestRecord(known.nodeid, reruns=known.reruns + 1)

    def note(self, key: tuple[str, str], phase: TestRecord) -> None:
        """Add the result of a phase; the worse outcome is kept."""
        known = self._records.get(key, TestRecord(phase.nodeid))
        self._records[key] = _joined(known, phase)


def _joined(known: TestRecord, more: TestRecord) -> TestRecord:
    """Return the joint result of two phases of a test."""
    order = ("passed", "xpassed", "xfailed", "skipped", "failed", "error")
    return dataclasses.replace(
        more,
        outcome=max(known.outcome, more.outcome, key=order.index),
        seconds=known.seconds + more.seconds,
        reruns=known.reruns + more.reruns,
        reason=known.reason or more.reason,
        checks=(*known.checks, *more.checks),
        refusals=(*known.refusals, *more.refusals),
        unchecked=more.unchecked or (known.unchecked and not more.checks),
    )
