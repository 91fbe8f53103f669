"""The progress of a check, and the protocol of its listeners."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from types import TracebackType
from typing import Protocol

__all__ = ["Progress", "ProgressListener"]

CHUNK_SECONDS = 0.1
"""Seconds of work in a chunk, and so between two calls of the listener."""

MAX_CHUNK = 2_000
"""Items in a chunk at most, also without a listener: lists take ten times the memory of arrays."""


class ProgressListener(Protocol):
    """A listener that is called with the progress of a check."""

    def update(self, done: int, total: int, seconds: float) -> None:
        """Take the number of items done, the number known so far, and the seconds spent."""

    def find(self, wrong: int, checked: int) -> None:
        """Take the number of components found wrong so far, and of those checked."""

    def close(self) -> None:
        """Take note that the check has ended."""


class Progress:
    """Counts the work done and the work to do, for the length of a ``with`` block.

    Parameters
    ----------
    listener : ProgressListener, optional
        Without one nothing is counted, and no clock is read.
    """

    def __init__(self, listener: ProgressListener | None = None) -> None:
        self._listener = listener
        self._done = self._total = 0
        self._began = 0.0 if listener is None else monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._listener is not None:
            self._listener.close()

    def expect(self, count: int) -> None:
        """Add items to do."""
        self._total += count

    def advance(self, count: int) -> None:
        """Add items done, and call the listener."""
        self._done += count
        if self._listener is not None:
            self._listener.update(self._done, self._total, monotonic() - self._began)

    def find(self, wrong: int, checked: int) -> None:
        """Report to the listener how many components are wrong so far, of those checked."""
        if self._listener is not None:
            self._listener.find(wrong, checked)

    def chunks(self, count: int) -> Iterator[slice]:
        """Yield slices of `count` items, each worth a fixed time, and report after every slice."""
        if self._listener is None:
            for start in range(0, count, MAX_CHUNK):
                yield slice(start, min(start + MAX_CHUNK, count))
            return
        start, size = 0, 1
        while start < count:
            part = slice(start, min(start + size, count))
            began = monotonic()
            yield part
            self.advance(part.stop - part.start)
            start = part.stop
            size = (
                min(2 * size, MAX_CHUNK)
                if monotonic() - began < CHUNK_SECONDS
                else max(1, size // 2)
            )
