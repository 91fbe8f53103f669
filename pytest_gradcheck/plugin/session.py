"""A session of pytest: the record of its checks, its gate, its reports and its summary.

Under xdist every process has one, and checks travel on pytest's own reports: so the controller's
sees all tests.
"""

from __future__ import annotations

import linecache
import sys
import warnings
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_gradcheck.context import Style
from pytest_gradcheck.plugin.options import Sources
from pytest_gradcheck.report.record import Journal, Refusal, RunRecord, TestRecord

if TYPE_CHECKING:
    from pytest_gradcheck.plugin.display.progress_line import ProgressLine
    from pytest_gradcheck.report.report import GradientError

__all__ = ["GradcheckSession"]

BODY = 4
MARGIN = 4 + BODY
"""Columns by which pytest indents a failure in the body of a test."""

WIDEST = 100
NARROWEST = 20

GREEN = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


class GradcheckSession:
    """The gradient checks of a pytest session.

    Parameters
    ----------
    config : pytest.Config
    sources : tuple of (origin, values)
        The settings of the run.
    collected : bool
        Whether its collection has begun.
    """

    def __init__(self, config: pytest.Config, sources: Sources, collected: bool) -> None:
        self.sources = sources
        self._config = config
        self._collected = collected
        self._journal = Journal()
        self._ended: set[tuple[str, str]] = set()
        self._cut_short = False
        self._troubles: list[str] = []
        self._notes: list[str] = []
        self._changes: tuple[Mapping[str, Any], ...] = ()
        self._style: Style | None = None
        self._interactive: bool | None = None

    @property
    def _is_worker(self) -> bool:
        return hasattr(self._config, "workerinput")

    @property
    def style(self) -> Style:
        """The style of reports on this terminal."""
        if self._style is None:
            sent = getattr(self._config, "workerinput", {}).get("gradcheck_style")
            self._style = Style(*sent) if sent else _terminal_style(self._config)
        return self._style

    def listener(self, name: str) -> ProgressLine | None:
        """Return the progress line of a test's check; None without an interactive terminal."""
        from pytest_gradcheck.plugin.display.progress_line import ProgressLine, is_interactive

        if self._interactive is None:
            self._interactive = is_interactive(self._config)
        return ProgressLine(self._config, name) if self._interactive else None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Send the style of the terminal to an xdist worker."""
        node.workerinput["gradcheck_style"] = [self.style.width, self.style.ascii]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Note that tests are collected: this is no ``--fixtures`` run."""
        self._collected = True

    def pytest_keyboard_interrupt(self) -> None:
        """Note that the run was interrupted: Ctrl-C, or ``pytest.exit``."""
        self._cut_short = True

    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        """Draw a failure to fit where pytest will print it.

        No wrapper: only now has pytest's unittest plugin, which runs first, set the exception.
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
        """Record the outcome of a phase of a test; a rerun starts a new record.

        The first report after the end of a test belongs to its rerun. It need not be the setup:
        subtests report while they run, and pytest-rerunfailures reports all phases at the end.
        """
        # under --dist each there are reports of every worker
        key = report.nodeid, str(getattr(report, "worker_id", ""))
        if key in self._ended:
            self._ended.discard(key)
            self._journal.begin(key)
        if report.when == "teardown" or str(report.outcome) == "rerun":
            self._ended.add(key)
        data = getattr(report, "gradcheck", None)
        if report.failed and data is not None and data["checks"] and not self._is_worker:
            from pytest_gradcheck.plugin.display.failures import dim_right_rows

            dim_right_rows(report)
        if data is not None or key in self._journal:
            self._journal.note(key, _phase(report, data or {}))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Fail the run where fewer tests than asked for completed a check."""
        result = yield
        if self._too_few() is not None:
            session.testsfailed += 1
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the requested report files and fail the session if the gate is not met."""
        if self._is_worker or not self._collected or self._config.option.collectonly:
            return
        self._cut_short |= bool(session.shouldstop or session.shouldfail)
        too_few = self._too_few()
        self._troubles += [] if too_few is None else [too_few]
        self._compare()
        self._warn_of_unchecked()
        # pytest.exit(returncode=0) skips the end of the loop; it must not pass the gate.
        self._fail(session)
        self._write_reports(session)
        self._fail(session)

    def _fail(self, session: pytest.Session) -> None:
        """Fail the session if its gate is not met."""
        if self._troubles and session.exitstatus in GREEN:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _too_few(self) -> str | None:
        least = self._config.option.gradcheck_min
        if least is None or self._is_worker or self._config.option.collectonly:
            return None
        tests = sum(bool(test.checks) for test in self._journal)
        if tests >= least:
            return None
        return (
            f"{tests} test{'s' * (tests != 1)} completed a gradient check, "
            f"--gradcheck-min asks for {least}"
        )

    def _compare(self) -> None:
        """Compare the run with an earlier report; a strict run fails if something got worse."""
        old = self._config.option.gradcheck_compare
        if old is None:
            return
        from pytest_gradcheck.report.compare import changes, earlier
        from pytest_gradcheck.settings import resolve

        try:
            self._changes = changes(earlier(Path(old)), RunRecord(tests=tuple(self._journal)))
        except (OSError, ValueError) as error:
            self._troubles.append(f"--gradcheck-compare {old}: {error}")
            return
        if self._changes and resolve(self.sources)[0].strict:
            count = len({change["test"] for change in self._changes})
            self._troubles.append(
                f"{count} test{'s' * (count != 1)} got worse since {old}, and the run is strict"
            )

    def _record(self, exit_status: int) -> RunRecord:
        """Return the record of the run, with its environment."""
        from pytest_gradcheck.plugin.environment import environment

        return RunRecord(
            tests=tuple(self._journal),
            environment=environment(self._config),
            settings={name: value for _, given in self.sources for name, value in given.items()},
            exit_status=exit_status,
            cut_short=self._cut_short,
            troubles=tuple(self._troubles),
            changes=self._changes,
        )

    def _write_reports(self, session: pytest.Session) -> None:
        paths = self._config.option.gradcheck_report
        if not paths:
            return
        from pytest_gradcheck.report.files import write

        record = self._record(int(session.exitstatus))
        for path in paths:
            try:
                write(Path(path), record)
            except Exception as error:  # verdicts survive an error of a renderer
                reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
                self._troubles.append(f"--gradcheck-report {path}: {reason}")

    def _warn_of_unchecked(self) -> None:
        """Warn once, and here: a worker does not know the warnings of others."""
        unchecked = [test for test in self._journal if test.unchecked and not test.checks]
        if not unchecked:
            return
        from pytest_gradcheck.errors import GradcheckWarning

        first, *others = unchecked
        more = f" (nor in {len(others)} more such test{'s' * (len(others) != 1)})" * bool(others)
        message = (
            f"{first.nodeid} is a gradcheck test, but no gradient was checked in it{more}: call "
            "gradcheck(cost, grad, params) in it or return a Problem from it; --gradcheck-strict "
            "makes it a failure"
        )
        try:
            warnings.warn_explicit(message, GradcheckWarning, first.path, first.line)
        except GradcheckWarning:  # -W error: all tests are over, and a label is no failure
            self._notes.append(message)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the summary if any check ran or the gate is not met."""
        if not self._collected:
            return
        too_few = self._too_few()
        amiss = dict.fromkeys([*self._troubles, *([too_few] if too_few else [])])
        tests = tuple(self._journal)
        has_checks = any(test.checks or test.refusals for test in tests) or bool(self._changes)
        if not has_checks and not amiss and not self._notes:
            return
        verbosity = terminalreporter.verbosity
        if verbosity >= 0:
            terminalreporter.write_sep("=", "gradient checks")
        if has_checks and verbosity >= -1:
            from pytest_gradcheck.report.summary import lines

            width = int(self._config.get_terminal_writer().fullwidth)
            run = RunRecord(tests=tests, changes=self._changes)
            slowest = self._config.option.gradcheck_durations
            for text, colour in lines(run, verbosity, slowest, Style(width, self.style.ascii)):
                terminalreporter.write_line(text, **({colour: True} if colour else {}))
        for text in self._notes:
            terminalreporter.write_line(text, yellow=True)
        for text in amiss:
            terminalreporter.write_line(text, red=True)


def _phase(report: pytest.TestReport, data: Mapping[str, Any]) -> TestRecord:
    """Return the record of a phase of a test."""
    path, line, _ = report.location
    return TestRecord(
        nodeid=data.get("name", report.nodeid),
        path=path,
        line=0 if line is None else line + 1,
        outcome=_outcome(report),
        seconds=report.duration,
        reason=_reason(report),
        checks=tuple(data.get("checks", ())),
        refusals=tuple(Refusal(*refusal) for refusal in data.get("refusals", ())),
        unchecked=data.get("unchecked", False),
    )


def _outcome(report: pytest.TestReport) -> str:
    """Return pytest's outcome of a phase, in the words of the short summary."""
    if hasattr(report, "wasxfail"):
        return "xpassed" if report.passed else "xfailed"
    if report.failed:
        return "failed" if report.when == "call" else "error"
    return "skipped" if report.skipped else "passed"


def _reason(report: pytest.TestReport) -> str:
    """Return why a test was skipped or expected to fail, or the first line of its error."""
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail)
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        text = str(report.longrepr) if crash is None else str(crash.message)
        return (text.splitlines() or [""])[0]
    return ""


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

    pytest prints the text below the failing statement, with its indentation.
    """
    shown = excinfo.traceback.filter(excinfo)
    if not shown:
        return
    path, code = str(shown[-1].path), shown[-1].frame.code
    deeper = _indentation(path, shown[-1].lineno) - _indentation(path, code.firstlineno) - BODY
    if deeper > 0:
        narrower = style._replace(width=max(NARROWEST, style.width - deeper))
        further = str(error).removeprefix(str(error.report))
        error.args = (error.report.text(narrower) + further,)


def _indentation(path: str, line: int) -> int:
    text = linecache.getline(path, line + 1).expandtabs()
    return len(text) - len(text.lstrip())
