"""One record of a run, from which every renderer draws.

A test is in it that has a check or was to have one: also where it was skipped, ended in an error
before its check, failed after it, or has a pair that could not be checked. All of it is plain
Python: workers send it over, and files hold it.
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
"""What a reader wants to know of a test first, the worst first."""

RED = frozenset(STATES[:3])
"""States of tests that make a run red."""

LISTED = 1000
"""Components of a check that a file lists at most; it says how many it left out."""


@dataclass(frozen=True)
class Refusal:
    """A pair that could not be checked: the code and the message of its `ProblemError`."""

    code: str
    message: str


@dataclass(frozen=True)
class TestRecord:
    """What a test came to.

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
        Of all its phases, in its last run.
    reruns : int
        How often it was run again.
    reason : str
        Why it was skipped or expected to fail; or the first line of its error.
    checks : tuple of mapping
        What `summary.brief` tells of each check.
    refusals : tuple of Refusal
    unchecked : bool
        Whether a test that is marked ended without a check.
    """

    __test__ = False  # no class of tests, whatever pytest makes of its name

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
        """The check that stands for all: of Hypothesis, which makes many, the last failing one."""
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
    """Where and on what a run was made; an entry that nobody can tell is empty."""

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
        In the order of their names, for any number of workers.
    environment : Environment
    settings : mapping
        Of the command line and the ini file: those that differ from the defaults.
    exit_status : int
        pytest's.
    cut_short : bool
        Whether the run ended before all of its tests did.
    troubles : tuple of str
        What is amiss with the run itself: a gate that is not met, say.
    changes : tuple of mapping
        What got worse since the run that it is compared with; see `compare`.
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
        """Whether nothing that has to do with gradients made the run red."""
        return not self.troubles and not any(test.state in RED for test in self.tests)

    @property
    def checked(self) -> tuple[TestRecord, ...]:
        """The tests that completed a check."""
        return tuple(test for test in self.tests if test.checks)

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
    """Return a test as JSON types; its checks stand apart, each with the name of its test."""
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
    """Return a check as JSON types, its components and findings once and not once a point too."""
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
    """Notes of tests while they run, put together to records.

    A test is told of in phases; one that is run again begins anew. It is noted under its node id
    and whoever runs it: xdist can give every worker all tests.
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
        """Forget what an earlier run of a test came to, but that it took place."""
        if (known := self._records.get(key)) is not None:
            self._records[key] = TestRecord(known.nodeid, reruns=known.reruns + 1)

    def note(self, key: tuple[str, str], phase: TestRecord) -> None:
        """Add what a phase of a test came to; the worse outcome stands."""
        known = self._records.get(key, TestRecord(phase.nodeid))
        self._records[key] = _joined(known, phase)


def _joined(known: TestRecord, more: TestRecord) -> TestRecord:
    """Return what two parts of a test came to together."""
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
