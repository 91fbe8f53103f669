"""How far a check has come, for whoever waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from types import TracebackType
from typing import Protocol

__all__ = ["Progress", "Watcher"]

MOMENT = 0.1
"""Seconds between two looks at the clock, and so between two words to the watcher."""

MOST = 2_000
"""Items in a row at most, also where nobody waits: lists take ten times the memory of arrays."""


class Watcher(Protocol):
    """Who is told how far a check has come."""

    def tell(self, done: int, total: int, seconds: float) -> None:
        """Hear how much is done of all that is known so far, and how long that took."""

    def find(self, wrong: int, checked: int) -> None:
        """Hear how many components are wrong so far, of those that are checked."""

    def end(self) -> None:
        """Hear that the check has ended, in whatever way."""


class Progress:
    """Counts what is done of what is to be done, for the length of a ``with`` block.

    Parameters
    ----------
    watcher : Watcher, optional
        Without one nothing is counted, and the clock is not looked at.
    """

    def __init__(self, watcher: Watcher | None = None) -> None:
        self._watcher = watcher
        self._done = self._total = 0
        self._began = 0.0 if watcher is None else monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._watcher is not None:
            self._watcher.end()

    def expect(self, count: int) -> None:
        """Note that so many more are to be done."""
        self._total += count

    def advance(self, count: int) -> None:
        """Note that so many more are done, and tell."""
        self._done += count
        if self._watcher is not None:
            self._watcher.tell(self._done, self._total, monotonic() - self._began)

    def find(self, wrong: int, checked: int) -> None:
        """Tell how many components are wrong so far, of those that are checked."""
        if self._watcher is not None:
            self._watcher.find(wrong, checked)

    def in_moments(self, count: int) -> Iterator[slice]:
        """Yield slices of so many items that take a moment each, and tell after every one."""
        if self._watcher is None:
            for start in range(0, count, MOST):
                yield slice(start, min(start + MOST, count))
            return
        start, size = 0, 1
        while start < count:
            part = slice(start, min(start + size, count))
            began = monotonic()
            yield part
            self.advance(part.stop - part.start)
            start = part.stop
            size = min(2 * size, MOST) if monotonic() - began < MOMENT else max(1, size // 2)
