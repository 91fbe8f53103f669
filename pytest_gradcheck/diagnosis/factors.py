"""Causes that are one number: a gradient that is zero, turned round, or a multiple."""

from __future__ import annotations

import numpy as np

from pytest_gradcheck.diagnosis.evidence import FIT, Cause, Evidence, Part, explained
from pytest_gradcheck.diagnosis.known_numbers import is_count, named_factor

__all__ = ["multiple", "multiple_of_data", "ratio", "zero"]

ENOUGH = 4
"""Components that a factor and a penalty together have to explain."""

LEAST = 1e-9
"""A factor below is what rounding leaves of a zero."""

TURNED = "the sign is turned round (Y - A for A - Y, or a minus too many)"

VISIBLE = 0.99e-3
"""How far from 1 a factor has to be for its three digits to show it."""


def zero(part: Part, evidence: Evidence) -> Cause | None:
    """Name a gradient that is 0 throughout."""
    if part.analytic.any():
        return None
    wrong, size = int(part.wrong.sum()), part.checked
    return Cause(
        "zero",
        "the gradient is 0 throughout, while {wrong} of {size} numerical components are not",
        "it was never filled in, or a factor of it is 0",
        0.0,
        wrong,
        size,
    )


def multiple(part: Part, evidence: Evidence) -> Cause | None:
    """Name a gradient that is a constant times the numerical one."""
    factor = ratio(part, part.known)
    if factor is None or abs(factor - 1) < VISIBLE or abs(factor) < LEAST:
        return None
    wrong, size = int(part.wrong.sum()), part.checked
    if abs(factor + 1) <= FIT:
        return Cause(
            "sign",
            "{wrong} of {size} components are -1.000 x the numerical gradient",
            TURNED,
            -1.0,
            wrong,
            size,
        )
    sizes = evidence.clues.sizes()
    name = named_factor(factor, sizes)
    sure = bool(np.count_nonzero(part.known) > 1) or is_count(abs(factor), sizes)
    return Cause(
        "scale",
        f"{{wrong}} of {{size}} components are {_figure(factor)} x the numerical gradient",
        (name or _unnamed(factor)) + ("; the sign is turned round" if factor < 0 else ""),
        factor,
        wrong,
        size,
        sure=sure,
    )


def multiple_of_data(part: Part, evidence: Evidence) -> Cause | None:
    """Name a constant factor of all but the penalty, which is proportional to theta.

    Two numbers explain more than one, so the factor has to be the sign or a number in sight.
    """
    if np.count_nonzero(part.wrong) < ENOUGH or not part.theta.any():
        return None
    known = part.known
    columns = np.stack([part.numerical[known], part.theta[known]], axis=1)
    scale = np.max(np.abs(columns), axis=0)
    if not scale.all():
        return (
            None  # one of the two is 0 throughout: a single number is left, which `multiple` asks
        )
    fitted, *_ = np.linalg.lstsq(columns / scale, part.analytic[known] / scale[0], rcond=None)
    factor, strength = float(fitted[0]), float(fitted[1] * scale[0] / scale[1])
    prediction = factor * part.numerical + strength * part.theta
    if not explained(part, prediction, max(abs(factor), 1.0) * part.bars):
        return None
    name = named_factor(factor, evidence.clues.sizes())
    turned = abs(factor + 1) <= FIT
    if abs(factor - 1) < VISIBLE or not (turned or name):
        return None
    return Cause(
        "sign" if turned else "scale",
        f"{{wrong}} of {{size}} components are {factor:.3f} x the numerical gradient, but for "
        "the penalty",
        TURNED if turned else str(name),
        factor,
        int(part.wrong.sum()),
        part.checked,
    )


def ratio(part: Part, where: np.typing.NDArray[np.bool_]) -> float | None:
    """Return the one number by which the numerical gradient has to be multiplied, or None."""
    values, analytic = part.numerical[where], part.analytic[where]
    clear = np.abs(values) > 10 * part.bars[where]
    if np.count_nonzero(clear) < min(2, values.size) or not clear.any():
        return None
    largest = np.max(np.abs(values))
    ours, theirs = analytic[clear] / largest, values[clear] / largest  # no overflow, no underflow
    factor = float(np.dot(ours, theirs) / np.dot(theirs, theirs))
    prediction = np.where(where, factor * part.numerical, part.analytic)
    found = explained(part, prediction, max(abs(factor), 1.0) * part.bars, where)
    return factor if found else None


def _figure(factor: float) -> str:
    return f"{factor:.3f}" if abs(factor) >= 0.05 else f"{factor:.4g}"


def _unnamed(factor: float) -> str:
    size = abs(factor)
    if size > 1:
        return f"a factor of {size:.4g} is too much: remove it, or undo a sum where a mean is due"
    return f"a factor of {1 / size:.4g} is missing, or a mean is taken where a sum is due"
