"""The finding of outputs that are off along a vector by what no named entry explains."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.jacobians.work import Work
from pytest_gradcheck.report.report import Finding

__all__ = ["unnamed"]

NAMED = 4
"""Outputs that are named at most."""


def unnamed(
    work: Work, left: npt.NDArray[np.bool_], complete: bool, along: str, point: str
) -> tuple[Finding, ...]:
    """Return the finding of some outputs; `complete`: a search for entries came to its end."""
    if not left.any():
        return ()
    outputs = np.flatnonzero(left)
    names = ", ".join(work.pair.output_name(int(i)) for i in outputs[:NAMED])
    names += f" and {outputs.size - NAMED} more outputs" if outputs.size > NAMED else ""
    why = "" if complete else f"; the search ended after {work.settings.search_calls} calls"
    message = (
        f"along {along} the slopes of {names} differ from {work.pair.derivative_name} by what no "
        f"named entry explains{why}"
    )
    return (Finding.cause("unnamed", message, point=point),)
