"""The progress of a check, and the protocol of its listeners."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from types import TracebackType
from typing import Protocol

__all__ = ["Progress", "Watcher"]

MOMENT = 0.1
"""Seconds of work in a chunk, and so between two calls of the listener."""

MOST = 2_000
"""Items in a chunk at most, also without a listener: lists take ten times the memory of arrays."""


class Watcher(Protocol):
    """A listener that is called with the progress of a check."""

    def tell(self, done: int, total: int, seconds: float) -> None:
        """Take the number of items done, the number known so far, and the seconds spent."""

    def find(self, wrong: int, checked: int) -> None:
        """Take the number of components found wrong so far, and of those checked."""

    def end(self) -> None:
        """Take note that the check has ended."""


class Progress:
    """Counts the work done and the work to do, for the length of a ``with`` block.

    Parameters
    ----------
    watcher : Watcher, optional
        Without one nothing is counted, and no clock is read.
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
        """Add items to do."""
        self._total += count

    def advance(self, count: int) -> None:
        """Add items done, and call the listener."""
        self._done += count
        if self._watcher is not None:
            self._watcher.tell(self._done, self._total, monotonic() - self._began)

    def find(self, wrong: int, checked: int) -> None:
        """Report to the listener how many components are wrong so far, of those checked."""
        if self._watcher is not None:
            self._watcher.find(wrong, checked)

    def in_moments(self, count: int) -> Iterator[slice]:
        """Yield slices of `count` items, each worth a fixed time, and report after every slice."""
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
