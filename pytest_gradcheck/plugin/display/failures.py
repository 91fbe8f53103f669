"""The look of a failed check: a one-line answer, and right parameters in faint rows."""

from __future__ import annotations

from typing import Any

import pytest
from _pytest._code.code import ExceptionInfo, ReprEntry

__all__ = ["dim_right_rows", "set_crash_message"]


def set_crash_message(
    report: pytest.TestReport, excinfo: ExceptionInfo[BaseException] | None, ascii: bool
) -> None:
    """Set the crash message to the unwrapped answer, for the short summary and JUnit XML.

    pytest's short summary, CI annotations and JUnit XML take the first line of a failure. That text
    is wrapped to the terminal, so its first line may be half a sentence.
    """
    from pytest_gradcheck.report.answer import answer
    from pytest_gradcheck.report.report import GradientError
    from pytest_gradcheck.report.terminal import plain_ascii

    crash = getattr(report.longrepr, "reprcrash", None)
    if excinfo is None or crash is None or not isinstance(excinfo.value, GradientError):
        return
    sentence = answer(excinfo.value.report)
    crash.message = f"GradientError: {plain_ascii(sentence) if ascii else sentence}"


def dim_right_rows(report: pytest.TestReport) -> None:
    """Draw the rows of right parameters faint, on terminals with colours."""
    entries = getattr(getattr(report.longrepr, "reprtraceback", None), "reprentries", [])
    for entry in entries:
        if type(entry) is ReprEntry:
            entry.__class__ = _Entry


class _Entry(ReprEntry):
    """An entry of a traceback whose lines of right parameters are faint."""

    def toterminal(self, tw: Any) -> None:
        """Write the entry, some of its lines faint."""
        writer: Any = _DimmingWriter(tw) if tw.hasmarkup else tw
        super().toterminal(writer)


class _DimmingWriter:
    """A terminal writer that draws the lines of right parameters faint."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def line(self, text: str = "", **markup: bool) -> None:
        """Write a line."""
        if text.startswith("E ") and text.endswith("  ok"):
            markup = {"light": True}
        self._writer.line(text, **markup)
