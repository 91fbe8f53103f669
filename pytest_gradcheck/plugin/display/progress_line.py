"""The line that a long check shows on a terminal, and that is gone when it ends."""

from __future__ import annotations

import os
from contextlib import nullcontext
from time import monotonic
from typing import Any

import pytest

__all__ = ["Line", "waits"]

PATIENCE = 1.0
"""Seconds of a check after which the line is shown."""

PAUSE = 0.25
"""Seconds between two changes of it."""

CI = ("CI", "BUILD_NUMBER")
"""Variables of the environment by which pytest, too, knows that nobody is watching."""


def waits(config: pytest.Config) -> bool:
    """Return whether somebody may be waiting at a terminal of this process."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput") or any(map(os.environ.get, CI)):
        return False
    return bool(reporter.isatty and reporter.verbosity >= 0)


class Line:
    """Shows how far a check of a test has come, through pytest's own terminal writer.

    It is written behind whatever stands in the present line, and taken back by backspaces: what
    pytest thinks of that line stays true.

    Parameters
    ----------
    config : pytest.Config
    name : str
        The test's node id.
    """

    def __init__(self, config: pytest.Config, name: str) -> None:
        self._config, self._name = config, name
        self._shown = self._found = ""
        self._last = 0.0

    def tell(self, done: int, total: int, seconds: float) -> None:
        """Show how much is done of all, and how long the rest will take."""
        now = monotonic()
        if seconds < PATIENCE or now - self._last < PAUSE:
            return
        self._last = now
        left = seconds * (total - done) / done
        self._show(f"{done:,} of {total:,}, {_duration(left)} left{self._found}")

    def find(self, wrong: int, checked: int) -> None:
        """Say from now on how many components are wrong so far."""
        self._found = f"; {wrong:,} of {checked:,} wrong so far" if wrong else ""

    def end(self) -> None:
        """Take the line back."""
        if self._shown:
            self._write("")

    def _show(self, figures: str) -> None:
        writer = self._config.get_terminal_writer()
        room = writer.fullwidth - writer.width_of_current_line - 2
        named = room - len(figures) - 2
        if named >= 12:
            figures = f"{self._name[-named:]}: {figures}"
        if len(figures) <= room:
            self._write(f" {figures}")

    def _write(self, text: str) -> None:
        """Put a text in the place of what is shown; what tests print stays captured."""
        over = len(self._shown)
        back, blank = "\b" * over, " " * max(0, over - len(text))
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        writer = self._config.get_terminal_writer()
        message = f"{back}{text}{blank}" + "\b" * len(blank)
        with nullcontext() if capture is None else capture.global_and_fixture_disabled():
            _write_past(writer, message)
        self._shown = text


def _write_past(writer: Any, message: str) -> None:
    """Write to a terminal without a change of what pytest thinks of the present line."""
    if hasattr(writer, "write_raw"):
        writer.write_raw(message, flush=True)
    else:  # before pytest 9  # pragma: no cover
        writer._file.write(message)
        writer._file.flush()


def _duration(seconds: float) -> str:
    """Return a time in the largest units that tell something.

    Examples
    --------
    >>> _duration(4.2), _duration(100), _duration(7300)
    ('5 s', '2 min', '2 h')
    """
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{round(seconds / size)} {unit}"
    return f"{int(seconds) + 1} s"
