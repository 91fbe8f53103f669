"""The clock of the search for the line.

Tests stop this clock, so that results do not depend on the speed of the machine.
"""

from __future__ import annotations

import time

__all__ = ["now"]


def now() -> float:
    """Return the time in seconds since an arbitrary moment."""
    return time.perf_counter()
