"""How far a check has come, for whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import TypeVar

__all__ = ["Progress", "Tell"]

Tell = Callable[[int, int], None]
"""Called now and then with the number of components that are done, and of all known so far."""

MOMENT = 0.1
"""Seconds between two looks at the clock, and so between two calls."""

Item = TypeVar("Item")


class Progress:
    """Counts what is done of what is to be done.

    Parameters
    ----------
    tell : callable, optional
        Without it nothing is counted, and the clock is not looked at.
    """

    def __init__(self, tell: Tell | None = None) -> None:
        self._tell = tell
        self._done = self._total = 0

    def expect(self, count: int) -> None:
        """Note that so many more are to be done."""
        self._total += count

    def advance(self, count: int) -> None:
        """Note that so many more are done, and tell."""
        self._done += count
        if self._tell is not None:
            self._tell(self._done, self._total)

    def in_moments(self, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
        """Yield the items in pieces that take a moment each, and tell after every piece."""
        if self._tell is None:
            yield items
            return
        start, size = 0, 1
        while start < len(items):
            piece = items[start : start + size]
            began = monotonic()
            yield piece
            self.advance(len(piece))
            start += size
            size = 2 * size if monotonic() - began < MOMENT else max(1, size // 2)
