"""The clock that a search for the line goes by.

Tests hold it still, so that what is found is no matter of how fast a machine is.
"""

from __future__ import annotations

import time

__all__ = ["now"]


def now() -> float:
    """Return the time in seconds, from some moment on."""
    return time.perf_counter()
