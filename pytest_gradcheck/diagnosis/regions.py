"""Causes that are told by where the errors are: masks, rows, columns, borders, single entries."""

from __future__ import annotations

import numpy as np

from pytest_gradcheck.diagnosis.evidence import Cause, Evidence, Mask, Part
from pytest_gradcheck.diagnosis.factors import ratio
from pytest_gradcheck.diagnosis.words import numbered

__all__ = ["mask", "partial"]

FEWEST = 3
"""Components on either side of a mask; one row of two could be wrong by chance."""

ENOUGH = 8
"""Components from which on the sign of theta is looked at: of fewer, any few could agree."""

FEW = 4
"""At most one component in so many is wrong where single entries are named."""


def mask(part: Part, evidence: Evidence) -> Cause | None:
    """Name errors that stand exactly where a unit is off."""
    off = part.known & (np.abs(part.numerical) <= part.bars)
    wrong, right = int(part.wrong.sum()), int(part.right.sum())
    if np.all(off[part.wrong]) and wrong >= 2 and np.count_nonzero(part.right & ~off) >= 2:
        return _masked(
            part,
            f"right in {right} components, wrong in the {{wrong}} whose numerical gradient is 0",
            "units that are off let the gradient pass: a mask is missing",
        )
    if _turned_round(part, off):
        return _masked(
            part,
            "the gradient is 0 where the numerical one is not, and not where it is 0",
            "the mask is turned round",
        )
    side = _side(part)
    if side is None:
        return None
    return _masked(
        part,
        f"wrong in all {{wrong}} components with {part.name} {side} 0, right in the {right} others",
        "the derivative of one branch (ReLU, abs, where) is wrong",
    )


def _turned_round(part: Part, off: Mask) -> bool:
    none = part.known & (part.analytic == 0)
    on = part.known & ~off
    passed = part.known & ~none
    return bool(
        not np.any(passed & on)
        and np.count_nonzero(passed) >= FEWEST
        and np.count_nonzero(on & none) >= FEWEST
    )


def _side(part: Part) -> str | None:
    """Return the side of 0 on which theta stands where the gradient is wrong, or None."""
    below, above = part.theta < 0, part.theta > 0
    wrong, right = part.wrong, part.right
    counts = np.count_nonzero(wrong), np.count_nonzero(right)
    if min(counts) < FEWEST or sum(counts) < ENOUGH:
        return None
    for said, here, there in (("<", below, above), (">", above, below)):
        if np.all(here[wrong]) and np.all(there[right]):
            return said
    return None


def _masked(part: Part, seen: str, why: str) -> Cause:
    return Cause("mask", seen, why, None, int(part.wrong.sum()), part.checked)


def partial(part: Part, evidence: Evidence) -> Cause | None:
    """Name errors that fill rows, columns or borders, or are a few single entries."""
    if part.where is not None:
        where: str | None = f"all in {part.where}"
    elif part.analytic.size < 2 or not part.right.any():
        return None
    else:
        where = _slices(part) or _border(part) or _run(part) or _entries(part)
    if where is None:
        return None
    factor = ratio(part, part.wrong)
    if not part.analytic[part.wrong].any():
        factor, there = 0.0, "the gradient is 0 there: never filled in, or overwritten"
    elif factor is not None and (part.wrong.sum() > 1 or abs(factor + 1) < 1e-4):
        there = f"{factor:.3f} x the numerical gradient there: counted too often, or too seldom?"
    else:
        factor, there = None, "a range that is off, or = for += where indices repeat?"
    wrong, size = int(part.wrong.sum()), part.checked
    seen = f"{{wrong}} of {{size}} components are wrong, {where}"
    return Cause("partial", seen, there, factor, wrong, size)


def _slices(part: Part) -> str | None:
    """Return which slices of an axis are wrong as a whole, where all others are right."""
    if len(part.shape) < 2:
        return None
    for axis in range(len(part.shape)):
        wrong, right = (_along(part, marks, axis) for marks in (part.wrong, part.right))
        if np.any((wrong > 0) & (right > 0)) or min(wrong.max(), right.max()) < 2:
            continue
        bad = np.flatnonzero(wrong > 0)
        if wrong[bad].min() < 2 and bad.size > 1:
            continue
        what = ("row", "column")[axis] if len(part.shape) == 2 else "slice"
        on = "" if len(part.shape) == 2 else f" of axis {axis}"
        plural = "s" if bad.size > 1 else ""
        return f"all in {what}{plural} {numbered(bad.tolist())}{on} of {part.shape[axis]}"
    return None


def _along(part: Part, marks: Mask, axis: int) -> np.typing.NDArray[np.intp]:
    """Return how many components of each slice of an axis are marked."""
    others = tuple(other for other in range(len(part.shape)) if other != axis)
    return np.asarray(np.count_nonzero(marks.reshape(part.shape), axis=others), np.intp)


def _border(part: Part) -> str | None:
    """Return that the outermost entries are wrong and the inner ones right, where so."""
    if sum(n > 2 for n in part.shape) < 2:
        return None
    inner = np.zeros(part.shape, np.bool_)
    inner[tuple(slice(1, -1) if n > 2 else slice(None) for n in part.shape)] = True
    flat = inner.reshape(-1)
    if np.any(part.wrong & flat) or np.any(part.right & ~flat):
        return None
    return "all on its border" if part.wrong.sum() >= FEWEST and part.right.any() else None


def _run(part: Part) -> str | None:
    """Return the run of entries of a vector that are wrong, where all others are right."""
    if sum(n > 1 for n in part.shape) != 1:
        return None
    bad = np.flatnonzero(part.wrong)
    first, last = int(bad[0]), int(bad[-1])
    good = np.flatnonzero(part.right)
    if bad.size < 2 or np.any((good > first) & (good < last)):
        return None
    filled = part.analytic[part.wrong].any()
    if good.size < 2 or (filled and bad.size > good.size):
        return None
    if np.count_nonzero(part.known[first : last + 1]) != bad.size:
        return None
    return f"entries {first}-{last} of {part.analytic.size}"


def _entries(part: Part) -> str | None:
    """Return the single entries that are wrong, where they are a few among many."""
    bad = np.flatnonzero(part.wrong)
    if bad.size > FEWEST or FEW * bad.size > np.count_nonzero(part.right) + bad.size:
        return None
    start = part.parameter.start
    names = [
        part.parameter.component_name(part.parameter.index(start + int(number))) for number in bad
    ]
    return f"only {', '.join(names)}"
