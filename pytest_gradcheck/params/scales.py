"""Scales of a problem: root mean squares, and lengths of change."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pytest_gradcheck.params.theta import FloatArray, Theta

__all__ = ["SAFE_SQUARE", "finite_or_zero", "lengths", "of_each", "rms", "rms_of_each"]

SAFE_SQUARE = 1e-200
"""Sums of squares between this and its reciprocal have neither underflowed nor overflowed."""


SMALL = 1e-3
"""Components below this part of a parameter's root mean square are small."""

OFTEN = 10
"""Of numbers spread evenly about 0 a part of about `SMALL` is small. If it is this many times more,
sizes spread over decades."""

FIRST_RANK = 9
"""The smallest components have the estimate of this rank: their own depend on chance."""

CHANCE = 1e3
"""A component may be this many times smaller by chance than its rank implies."""

STEEP = 10.0
"""How many times the usual change the cost may have over a component's length."""


def lengths(theta: Theta, gradient: FloatArray | None = None) -> FloatArray:
    """Return the length over which the cost is expected to change, for every component.

    The larger of the component's own size and the root mean square of its parameter. Where a
    parameter is all zero (biases at their initialization) the root mean square of theta stands in,
    at most 1, and 1 where that is zero as well.

    Where the sizes of one parameter spread over decades, its root mean square says nothing of the
    small ones. Their lengths then follow from their rank, or from the gradient.

    Parameters
    ----------
    theta : Theta
    gradient : array laid out like theta, optional
        The analytic gradient: of small components, those with a usual slope have a usual length.
    """
    usual = rms_of_each(theta.base, theta)
    if 0.0 in usual:
        instead = min(rms(theta.base), 1.0) or 1.0
        usual = [size or instead for size in usual]
    sizes = np.abs(theta.base)
    result = np.maximum(sizes, of_each(usual, theta))
    small = sizes < SMALL * result
    if small.any():
        counts = np.add.reduceat(small & (sizes > 0), theta.starts)
        for number in np.flatnonzero(counts > OFTEN * SMALL * theta.sizes).tolist():
            part = theta.parameters[number].slice
            slopes = None if gradient is None else np.abs(finite_or_zero(gradient[part]))
            result[part] = _spread_lengths(sizes[part], usual[number], slopes)
    return result


def _spread_lengths(sizes: FloatArray, usual: float, slopes: FloatArray | None) -> FloatArray:
    """Return the lengths of components whose sizes spread over decades.

    Of numbers spread evenly over -L to L, a part of s/L is smaller than s. So s over that part
    estimates L, from components of that size and below alone. But a small number may belong to a
    cost that changes over a large length. Then its slope is no steeper than those of the others.
    """
    order = np.argsort(sizes, kind="stable")
    zeros = int(np.count_nonzero(sizes == 0))
    ascending = sizes[order[zeros:]]
    ranks = np.arange(1, ascending.size + 1)
    estimates = ascending * (ascending.size / ranks)
    steady = estimates[np.clip(ranks, FIRST_RANK, ascending.size) - 1]
    known = np.minimum(np.minimum(steady, CHANCE * estimates), usual)
    known = np.maximum(np.maximum.accumulate(known), ascending)
    result = np.full(sizes.size, float(np.median(known)))
    result[order[zeros:]] = known
    if slopes is None:
        return result
    allowed = np.zeros(sizes.size)  # a gradient of 0 may be forgotten, and tells nothing
    np.divide(STEEP * rms(slopes * sizes), slopes, out=allowed, where=slopes > 0)
    return np.asarray(np.maximum(result, np.minimum(allowed, usual)))


def of_each(values: Sequence[float] | FloatArray, theta: Theta) -> FloatArray:
    """Return values of parameters, repeated for all their components."""
    return np.array(values).repeat(theta.sizes)


def rms_of_each(values: FloatArray, theta: Theta) -> list[float]:
    """Return the root mean square of the finite values of every parameter.

    One pass over all of them is some five times as fast as `rms` of each, which counts where
    thousands of arrays are checked in a few dozen calls.
    """
    squares = np.add.reduceat(values * values, theta.starts).tolist()
    return [
        math.sqrt(square / parameter.size)
        if SAFE_SQUARE < square < 1 / SAFE_SQUARE
        else rms(values[parameter.slice])
        for square, parameter in zip(squares, theta.parameters, strict=True)
    ]


def finite_or_zero(values: FloatArray) -> FloatArray:
    """Return values with 0 in the place of NaN and infinities."""
    return np.where(np.isfinite(values), values, 0.0)


def rms(values: FloatArray) -> float:
    """Return the root mean square of the finite values, 0 where there is none."""
    square = float(values @ values)  # may overflow; callers switch off NumPy's warnings
    if SAFE_SQUARE < square < 1 / SAFE_SQUARE:
        return math.sqrt(square / values.size)
    largest = float(np.abs(values).max(initial=0.0))
    if not math.isfinite(largest):
        return rms(values[np.isfinite(values)])
    if not largest:
        return 0.0
    scaled = values / largest  # no overflow
    return largest * math.sqrt(float(scaled @ scaled) / values.size)
