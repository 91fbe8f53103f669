"""The progress line of a long check, erased at its end."""

from __future__ import annotations

import os
from contextlib import nullcontext
from time import monotonic
from typing import Any

import pytest

__all__ = ["ProgressLine", "is_interactive"]

PATIENCE = 1.0
"""Seconds of a check before the line appears."""

PAUSE = 0.25
"""Seconds between two updates."""

CI = ("CI", "BUILD_NUMBER")
"""Environment variables by which pytest, too, recognizes CI."""


def is_interactive(config: pytest.Config) -> bool:
    """Return whether this process has an interactive terminal."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput") or any(map(os.environ.get, CI)):
        return False
    return bool(reporter.isatty and reporter.verbosity >= 0)


class ProgressLine:
    """Shows the progress of a test's check through pytest's terminal writer.

    It is appended to the current line and erased with backspaces, so that pytest's column counter
    stays correct.

    Parameters
    ----------
    config : pytest.Config
    name : str
        The test's node id.
    """

    def __init__(self, config: pytest.Config, name: str) -> None:
        self._config, self._name = config, name
        self._text = self._found = ""
        self._last = 0.0

    def update(self, done: int, total: int, seconds: float) -> None:
        """Show the share that is done, and the time that is left."""
        now = monotonic()
        if seconds < PATIENCE or now - self._last < PAUSE:
            return
        self._last = now
        left = seconds * (total - done) / done
        self._show(f"{done:,} of {total:,}, {_duration(left)} left{self._found}")

    def find(self, wrong: int, checked: int) -> None:
        """Set the number of wrong components to show."""
        self._found = f"; {wrong:,} of {checked:,} wrong so far" if wrong else ""

    def close(self) -> None:
        """Erase the line."""
        if self._text:
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
        """Replace the text that is shown; captured output of tests is not touched."""
        over = len(self._text)
        back, blank = "\b" * over, " " * max(0, over - len(text))
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        writer = self._config.get_terminal_writer()
        message = f"{back}{text}{blank}" + "\b" * len(blank)
        with nullcontext() if capture is None else capture.global_and_fixture_disabled():
            _write_past(writer, message)
        self._text = text


def _write_past(writer: Any, message: str) -> None:
    """Write to a terminal without changing pytest's column counter."""
    if hasattr(writer, "write_raw"):
        writer.write_raw(message, flush=True)
    else:  # before pytest 9  # pragma: no cover
        writer._file.write(message)
        writer._file.flush()


def _duration(seconds: float) -> str:
    """Return a duration in its largest useful unit.

    Examples
    --------
    >>> _duration(4.2), _duration(100), _duration(7300)
    ('5 s', '2 min', '2 h')
    """
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{round(seconds / size)} {unit}"
    return f"{int(seconds) + 1} s"
