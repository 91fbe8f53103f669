"""Run the user's functions under a trace function, which is removed afterwards."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

from pytest_gradcheck.diagnosis.line.recording import clock
from pytest_gradcheck.diagnosis.line.recording.source import Sources, Statement

__all__ = ["Activation", "Tracer", "is_free"]

IN_PIECES = 0x20 | 0x80 | 0x200
"""Flags of generators and coroutines."""

EVENTS = 128
"""Events between two readings of the clock."""


def is_free() -> bool:
    """Return whether no trace function is set but that of coverage, which may be replaced."""
    tracer = sys.gettrace()
    if tracer is not None and not _is_coverage(tracer):
        return False
    monitoring = getattr(sys, "monitoring", None)
    return monitoring is None or monitoring.get_tool(monitoring.DEBUGGER_ID) is None


def _is_coverage(tracer: Any) -> bool:
    owner = getattr(tracer, "__self__", tracer)
    return type(owner).__module__.split(".")[0] == "coverage"


class _Measures:
    """Pauses a coverage tool that uses ``sys.monitoring``."""

    def __init__(self) -> None:
        monitoring = getattr(sys, "monitoring", None)
        used = monitoring is not None and monitoring.get_tool(monitoring.COVERAGE_ID) is not None
        self._monitoring: Any = monitoring if used else None
        self._codes: dict[CodeType, int] = {}

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Pause measuring within the block."""
        monitoring = self._monitoring
        if monitoring is None:
            yield
            return
        tool = monitoring.COVERAGE_ID
        events = monitoring.get_events(tool)
        monitoring.set_events(tool, 0)
        try:
            yield
        finally:
            for code, local in self._codes.items():
                monitoring.set_local_events(tool, code, local)
            self._codes.clear()
            monitoring.set_events(tool, events)

    def let_rest(self, code: CodeType) -> None:
        """Pause measuring a function until the end of the block."""
        if self._monitoring is not None and code not in self._codes:
            tool = self._monitoring.COVERAGE_ID
            self._codes[code] = self._monitoring.get_local_events(tool, code)
            if self._codes[code]:
                self._monitoring.set_local_events(tool, code, 0)


class Activation:
    """A call of a function that runs.

    Attributes
    ----------
    serial : int
        Its number among the calls of the run.
    code : code
    statement : Statement or None
        The statement that runs.
    execution : int
        The number of times that this statement has run.
    """

    def __init__(self, serial: int, code: CodeType, lines: Mapping[int, Statement]) -> None:
        self.serial, self.code, self.lines = serial, code, lines
        self.statement: Statement | None = None
        self.execution = 0


class Tracer:
    """Calls its methods before and after every statement of the user's files.

    Parameters
    ----------
    sources : Sources
    until : float
        The time, by `clock.now`, at which tracing stops.
    only : set of code objects, optional
        The functions that are traced; all others run at full speed.

    Attributes
    ----------
    failure : str or None
        The reason why tracing stopped early.
    """

    def __init__(
        self, sources: Sources, until: float, only: frozenset[CodeType] | None = None
    ) -> None:
        self.sources, self.failure = sources, None
        self._until, self._only = until, only
        self._running: dict[int, Activation] = {}
        self._executions: dict[Statement, int] = {}
        self._serial = self._events = 0
        self._measures = _Measures()

    failure: str | None

    def run(self, call: Callable[[], Any]) -> Any:
        """Return the result of a call that is traced."""
        before = sys.gettrace()
        with self._measures.at_rest():
            sys.settrace(self._on_call)
            try:
                return call()
            finally:
                sys.settrace(before)

    def entered(self, activation: Activation, frame: FrameType) -> None:
        """Handle the call of a function."""

    def started(self, activation: Activation, frame: FrameType, statement: Statement) -> None:
        """Handle a statement that is about to run."""

    def finished(self, activation: Activation, frame: FrameType, statement: Statement) -> None:
        """Handle a statement that has run."""

    def left(self, activation: Activation, frame: FrameType, value: Any) -> None:
        """Handle the return of a function."""

    def caller(self, frame: FrameType) -> Activation | None:
        """Return the nearest caller that is traced."""
        below = frame.f_back
        while below is not None:
            if id(below) in self._running:
                return self._running[id(below)]
            below = below.f_back
        return None

    def _on_call(self, frame: FrameType, event: str, arg: Any) -> Any:
        code = frame.f_code
        self._measures.let_rest(code)
        if event != "call" or self.failure is not None or code.co_flags & IN_PIECES:
            return None
        if (self._only is not None and code not in self._only) or code.co_name.startswith("<"):
            return None
        try:
            lines = self.sources.of(code)
            if lines is None:
                return None
            self._serial += 1
            activation = Activation(self._serial, code, lines)
            self.entered(activation, frame)
            self._running[id(frame)] = activation
        except Exception as error:  # the user's call goes on after any error
            self.failure = f"{type(error).__name__}: {error}"
            return None
        return self._on_event

    def _on_event(self, frame: FrameType, event: str, arg: Any) -> Any:
        activation = self._running.get(id(frame))
        if self.failure is not None or activation is None:
            return None
        self._events += 1
        if self._events % EVENTS == 0 and clock.now() > self._until:
            self.failure = "out of time"
            return None
        try:
            if event == "line":
                self._on_line(activation, frame)
            elif event == "return":
                if activation.statement is not None and not activation.statement.is_return:
                    self.finished(activation, frame, activation.statement)
                self.left(activation, frame, arg)
                del self._running[id(frame)]
        except Exception as error:  # the user's call goes on after any error
            self.failure = f"{type(error).__name__}: {error}"
            return None
        return self._on_event

    def _on_line(self, activation: Activation, frame: FrameType) -> None:
        statement = activation.lines.get(frame.f_lineno)
        before = activation.statement
        if before is not None:
            if statement is before and before.end > before.line:
                return  # another line of the same statement
            self.finished(activation, frame, before)
        activation.statement = statement
        if statement is not None:
            activation.execution = self._executions.get(statement, 0) + 1
            self._executions[statement] = activation.execution
            self.started(activation, frame, statement)
