"""How pytest shows a failed check: the answer in one line, rows of what is right faint."""

from __future__ import annotations

from typing import Any

import pytest
from _pytest._code.code import ExceptionInfo, ReprEntry

__all__ = ["recede", "say_in_one_line"]


def say_in_one_line(
    report: pytest.TestReport, excinfo: ExceptionInfo[BaseException] | None, ascii: bool
) -> None:
    """Put the answer of a failed check, unwrapped, where summaries and JUnit XML look for it.

    The text of the failure is wrapped to the terminal; pytest's short summary, annotations of CI
    and the message in JUnit XML take its first line, which would be a part of the sentence.
    """
    from pytest_gradcheck.report.answer import answer
    from pytest_gradcheck.report.report import GradientError
    from pytest_gradcheck.report.terminal import plain_ascii

    crash = getattr(report.longrepr, "reprcrash", None)
    if excinfo is None or crash is None or not isinstance(excinfo.value, GradientError):
        return
    sentence = answer(excinfo.value.report)
    crash.message = f"GradientError: {plain_ascii(sentence) if ascii else sentence}"


def recede(report: pytest.TestReport) -> None:
    """Let the rows of what is right recede in the text of a failure, where there are colours."""
    entries = getattr(getattr(report.longrepr, "reprtraceback", None), "reprentries", [])
    for entry in entries:
        if type(entry) is ReprEntry:
            entry.__class__ = _Entry


class _Entry(ReprEntry):
    """An entry of a traceback whose lines of right parameters are faint."""

    def toterminal(self, tw: Any) -> None:
        """Write it, some of its lines faintly."""
        writer: Any = _Receding(tw) if tw.hasmarkup else tw
        super().toterminal(writer)


class _Receding:
    """A terminal writer that writes failure lines which say that something is right faintly."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def line(self, text: str = "", **markup: bool) -> None:
        """Write a line."""
        if text.startswith("E ") and text.endswith("  ok"):
            markup = {"light": True}
        self._writer.line(text, **markup)
