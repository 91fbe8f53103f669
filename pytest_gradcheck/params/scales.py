"""How large the numbers of a problem are: root mean squares, and lengths of change."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pytest_gradcheck.params.theta import FloatArray, Theta

__all__ = ["SAFE_SQUARE", "finite_or_zero", "lengths", "of_each", "rms", "rms_of_each"]

SAFE_SQUARE = 1e-200
"""Sums of squares between this and its reciprocal have neither underflown nor overflown."""


def lengths(theta: Theta) -> FloatArray:
    """Return the length over which the cost is expected to change, for every component.

    The larger of the component's own size and the root mean square of its parameter. Where a
    parameter is all zero (biases at their initialization) the root mean square of theta stands in,
    at most 1, and 1 where that is zero as well.
    """
    usual = rms_of_each(theta.base, theta)
    if 0.0 in usual:
        instead = min(rms(theta.base), 1.0) or 1.0
        usual = [size or instead for size in usual]
    result = np.abs(theta.base)
    return np.maximum(result, of_each(usual, theta), out=result)


def of_each(values: Sequence[float], theta: Theta) -> FloatArray:
    """Return values of parameters as values of all their components."""
    return np.array(values).repeat(theta.sizes)


def rms_of_each(values: FloatArray, theta: Theta) -> list[float]:
    """Return the root mean square of the finite values of every parameter."""
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
    square = float(values @ values)  # may overflow, where NumPy's warnings are off
    if SAFE_SQUARE < square < 1 / SAFE_SQUARE:
        return math.sqrt(square / values.size)
    largest = float(np.abs(values).max(initial=0.0))
    if not math.isfinite(largest):
        return rms(values[np.isfinite(values)])
    if not largest:
        return 0.0
    scaled = values / largest  # no overflow
    return largest * math.sqrt(float(scaled @ scaled) / values.size)
