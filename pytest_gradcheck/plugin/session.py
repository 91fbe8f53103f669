"""A run of pytest as a whole: what its tests checked, its gate, its reports and its summary.

Where xdist spreads the tests, every process has a `Run` and the controller's hears of all tests,
for what was checked travels on pytest's own reports.
"""

from __future__ import annotations

import linecache
import sys
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_gradcheck.context import Style
from pytest_gradcheck.plugin.options import Layers

if TYPE_CHECKING:
    from pytest_gradcheck.plugin.progress_line import Line
    from pytest_gradcheck.report.report import GradientError

__all__ = ["Run"]

BODY = 4
MARGIN = 4 + BODY
"""Columns that pytest puts before the lines of a failure in the body of a test."""

WIDEST = 100
NARROWEST = 20


class Run:
    """A run of pytest.

    Parameters
    ----------
    config : pytest.Config
    layers : tuple of (origin, values)
        The settings of the run.
    collected : bool
        Whether its collection has begun.
    """

    def __init__(self, config: pytest.Config, layers: Layers, collected: bool) -> None:
        self.layers = layers
        self._config = config
        self._collected = collected
        self._checks: dict[str, list[dict[str, Any]]] = {}
        self._unchecked: dict[str, pytest.TestReport] = {}
        self._failed: set[str] = set()
        self._ended: set[str] = set()
        self._troubles: list[str] = []
        self._notes: list[str] = []
        self._style: Style | None = None
        self._waits: bool | None = None

    @property
    def _is_worker(self) -> bool:
        return hasattr(self._config, "workerinput")

    @property
    def style(self) -> Style:
        """How reports are drawn on the terminal of this run."""
        if self._style is None:
            sent = getattr(self._config, "workerinput", {}).get("gradcheck_style")
            self._style = Style(*sent) if sent else _terminal_style(self._config)
        return self._style

    def watcher(self, name: str) -> Line | None:
        """Return what shows how far a check of a test has come, where somebody may be waiting."""
        from pytest_gradcheck.plugin.progress_line import Line, waits

        if self._waits is None:
            self._waits = waits(self._config)
        return Line(self._config, name) if self._waits else None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of xdist about the terminal, which it does not have."""
        node.workerinput["gradcheck_style"] = [self.style.width, self.style.ascii]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Note that this is a run of tests, and not a ``--fixtures``, say."""
        self._collected = True

    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        """Draw a failure for the place that pytest will show it at.

        No wrapper: pytest's part for unittest, which goes first, tells only now what was raised.
        """
        if call.excinfo is None:
            return
        from pytest_gradcheck.errors import ProblemError
        from pytest_gradcheck.report.report import GradientError

        error = call.excinfo.value
        if isinstance(error, GradientError):
            _place(error, call.excinfo, self.style)
        elif isinstance(error, ProblemError) and self.style.ascii:
            from pytest_gradcheck.report.terminal import plain_ascii

            error.args = (plain_ascii(str(error)),)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the checks of a test; a rerun begins anew.

        Whatever is reported first after a test has ended belongs to its rerun, which need not be
        the setup: subtests report while they run, and pytest-rerunfailures tells of the setup, the
        call and the teardown when all are over.
        """
        if report.nodeid in self._ended:
            self._ended.discard(report.nodeid)
            self._checks.pop(report.nodeid, None)
            self._failed.discard(report.nodeid)
        if report.when == "teardown" or str(report.outcome) == "rerun":
            self._ended.add(report.nodeid)
        if report.failed and hasattr(report, "gradcheck") and not self._is_worker:
            from pytest_gradcheck.plugin.display import recede

            recede(report)
        for check in getattr(report, "gradcheck", ()):
            wrong_as_expected = report.outcome != "failed" and not check["passed"]
            self._checks.setdefault(report.nodeid, []).append(
                {**check, "expected": wrong_as_expected}
            )
        if report.when == "call":  # a subtest reports before the test that it is part of
            if report.failed:
                self._failed.add(report.nodeid)
            self._unchecked.pop(report.nodeid, None)
            if getattr(report, "gradcheck_unchecked", False):
                self._unchecked[report.nodeid] = report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Fail the run where fewer tests than asked for completed a check."""
        result = yield
        if self._too_few() is not None:
            session.testsfailed += 1
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the reports that were asked for, and say what is amiss with the run."""
        if self._is_worker or not self._collected or self._config.option.collectonly:
            return
        self._write_reports()
        self._warn_of_unchecked()
        # pytest.exit(returncode=0) never comes back from the loop, and must not open the gate.
        if (self._troubles or self._too_few() is not None) and session.exitstatus in (
            pytest.ExitCode.OK,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _too_few(self) -> str | None:
        least = self._config.option.gradcheck_min
        if least is None or self._is_worker or self._config.option.collectonly:
            return None
        tests = len(self._checks)
        if tests >= least:
            return None
        return (
            f"{tests} test{'s' * (tests != 1)} completed a gradient check, "
            f"--gradcheck-min asks for {least}"
        )

    def _write_reports(self) -> None:
        for path in self._config.option.gradcheck_report or ():
            from pytest_gradcheck.report.files import write

            try:
                write(Path(path), self._by_test())
            except OSError as error:
                self._troubles.append(f"--gradcheck-report {path}: {error.strerror or error}")

    def _warn_of_unchecked(self) -> None:
        """Warn once, here and not in the tests, for workers do not know what others have said."""
        if not self._unchecked:
            return
        from pytest_gradcheck.errors import GradcheckWarning

        (name, report), *others = sorted(self._unchecked.items())
        more = f" (nor in {len(others)} more such test{'s' * (len(others) != 1)})" * bool(others)
        message = (
            f"{name} is a gradcheck test, but no gradient was checked in it{more}: call "
            "gradcheck(cost, grad, params) in it or return a Problem from it; --gradcheck-strict "
            "makes it a failure"
        )
        path, line, _ = report.location
        try:
            warnings.warn_explicit(message, GradcheckWarning, path, (line or 0) + 1)
        except GradcheckWarning:  # -W error: all tests are over, and a label is no failure
            self._notes.append(message)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Sum the checks up, where any ran or something is amiss."""
        if not self._collected:
            return
        too_few = self._too_few()
        amiss = self._troubles if too_few is None else [*self._troubles, too_few]
        if not self._checks and not amiss and not self._notes:
            return
        verbosity = terminalreporter.verbosity
        if verbosity >= 0:
            terminalreporter.write_sep("=", "gradient checks")
        if self._checks and verbosity >= -1:
            from pytest_gradcheck.report.summary import lines

            width = int(self._config.get_terminal_writer().fullwidth)
            for text, colour in lines(self._by_test(), verbosity, width, self.style.ascii):
                terminalreporter.write_line(text, **({colour: True} if colour else {}))
        for text in self._notes:
            terminalreporter.write_line(text, yellow=True)
        for text in amiss:
            terminalreporter.write_line(text, red=True)

    def _by_test(self) -> dict[str, list[dict[str, Any]]]:
        """Return the checks of each test, in the same order for any number of workers."""
        # Up to Python 3.10 unittest tells of its subtests when their checks are told already.
        return {
            checks[0]["test"]: [
                {**check, "expected": check["expected"] and nodeid not in self._failed}
                for check in checks
            ]
            for nodeid, checks in sorted(self._checks.items())
        }


def _terminal_style(config: pytest.Config) -> Style:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    width = 80 if terminal is None else int(config.get_terminal_writer().fullwidth)
    width = max(NARROWEST, min(width, WIDEST) - MARGIN)
    encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
    try:
        "×…".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return Style(width, ascii=True)
    return Style(width)


def _place(
    error: GradientError, excinfo: pytest.ExceptionInfo[BaseException], style: Style
) -> None:
    """Draw an error narrower where pytest will indent it deeper than the body of a test.

    It puts the text below the failing statement, and as far in as that is.
    """
    shown = excinfo.traceback.filter(excinfo)
    if not shown:
        return
    path, code = str(shown[-1].path), shown[-1].frame.code
    deeper = _indentation(path, shown[-1].lineno) - _indentation(path, code.firstlineno) - BODY
    if deeper > 0:
        from pytest_gradcheck.report.terminal import failure_text

        narrower = style._replace(width=max(NARROWEST, style.width - deeper))
        further = str(error).removeprefix(str(error.report))
        error.args = (failure_text(error.report, narrower) + further,)


def _indentation(path: str, line: int) -> int:
    text = linecache.getline(path, line + 1).expandtabs()
    return len(text) - len(text.lstrip())
