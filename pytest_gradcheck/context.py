"""The context of the moment: who is asked what surrounds a check.

The core does not know pytest. The plugin enters a context for the run; without any, a check runs
with the defaults and nobody listens. A plain list, not a ``ContextVar``, so that a check in a
thread which a test started belongs to that test too. pytest loads this at every start: what a
context holds stands in `surroundings`, which waits for the first check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_gradcheck.surroundings import Context

__all__ = ["current", "entered"]

_stack: list[Callable[[], Context]] = []


def current() -> Context:
    """Return the innermost context."""
    if not _stack:
        from pytest_gradcheck.surroundings import Context

        _stack.append(Context)  # the outermost one, from now on
    return _stack[-1]()


class entered:
    """Make a context the innermost one for the length of a ``with`` block.

    Parameters
    ----------
    context : Context or callable
        What makes one; it is called by every check, and so not at all in a run without any.
    """

    def __init__(self, context: Context | Callable[[], Context]) -> None:
        self._make = context if callable(context) else lambda: context

    def __enter__(self) -> entered:
        _stack.append(self._make)
        return self

    def __exit__(self, *raised: object) -> None:
        _stack.remove(self._make)
