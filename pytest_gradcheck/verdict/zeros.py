"""Zeros: components that neither gradient moves the cost by, and points where that is so of all.

A gradient has structural zeros (a bias before batch normalization) that rounding turns into 1e-17,
and at a minimum all of it is such. Two numbers that are both 0 beside what rounding allows agree,
however many of their digits differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.differences import WIDE, Approximation
from pytest_gradcheck.numdiff.directions import grain
from pytest_gradcheck.numdiff.evaluators import Evaluator
from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY, Kind
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.params.scales import finite_or_zero, lengths, rms
from pytest_gradcheck.params.theta import FloatArray, Theta

__all__ = ["Scale", "is_hidden", "is_nothing", "is_stationary", "usual_scale", "zeros"]

DUST = 256.0
"""How many of the cost's roundings a slope may add up to over a component's length and be taken for
the rounding of a gradient that is 0.

The sums that cancel in it have terms as large as the cost, over that length. In 1,200 networks with
a bias before batch normalization, at sizes of 1 to 1e-8, the most was 28."""

BESIDE = 1000.0
"""And by how many roundings of the usual share of a component, in the gradient's own digits."""

NOTHING = 0.125
"""The part of a rounding of the cost that is negligible."""

COARSER = 8.0
"""How many error bars a slope may be off by that is dust all the same."""

GUESSED = 1e-3
"""A component whose size is below this part of its length has that length from others."""

GOLDEN = 0.6180339887498949

REACH = 0.1
"""The distance, in lengths, at which the cost has moved from a stationary point."""


Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scale:
    """What slopes are measured by.

    Attributes
    ----------
    lengths : array
        Over theta.
    usual : float
        By how much the cost usually changes over the length of one component.
    dust : float
        By how much rounding makes it seem to change.
    beside : float
        A gradient below this is 0 in the digits of the analytic gradient.
    """

    lengths: FloatArray
    usual: float
    dust: float
    beside: float

    def share(self, slopes: FloatArray) -> FloatArray:
        """Return by how much slopes change the cost over the lengths of their components."""
        return np.asarray(np.abs(slopes) * self.lengths)

    def stands_still(self, approximation: Approximation) -> Mask:
        """Return where the cost does not move with a component, or by no more than rounding.

        Beyond the length of a component rounding may be coarser than where it was measured.
        """
        size, bars = np.abs(approximation.values), approximation.error_bars
        near = (size <= COARSER * bars) & (self.share(size) <= self.dust)
        smooth = np.isin(approximation.kinds, (Kind.SMOOTH, Kind.EDGE))
        return np.asarray(near | (smooth & (size <= bars)))

    def resolutions(self, approximation: Approximation) -> FloatArray:
        """Return what part of the usual slope of a component may be hidden in it, at most 1."""
        size, bars = np.abs(finite_or_zero(approximation.values)), approximation.error_bars
        if not self.usual:
            return np.ones_like(bars)
        return np.minimum(self.share(bars + np.maximum(bars, size)) / self.usual, 1.0)


def usual_scale(
    approximation: Approximation, gradient: FloatArray, noise: Noise, theta: Theta
) -> Scale:
    """Return the scale of a gradient, by the smaller of the analytic and the numerical one."""
    at, length = approximation.evaluated, lengths(theta, gradient)
    values, bars = np.abs(finite_or_zero(approximation.values[at])), approximation.error_bars[at]
    numerical = np.where(bars <= values, values, 0.0) * length[at]
    analytic = finite_or_zero(gradient[at]) * length[at]
    usual = min(rms(numerical), rms(analytic))
    return Scale(length, usual, DUST * noise.level, BESIDE * grain(gradient) * usual)


def zeros(approximation: Approximation, gradient: FloatArray, scale: Scale) -> Mask:
    """Return where both gradients are 0 beside rounding and beside the others, over theta."""
    bars = scale.share(approximation.error_bars)
    still = scale.stands_still(approximation) & (bars <= WIDE * scale.usual)
    share = scale.share(gradient)
    small = (share <= np.maximum(bars, scale.dust)) & (share <= scale.beside)
    return np.asarray(still & small)


def is_hidden(gradient: FloatArray, scale: Scale, theta: Theta) -> Mask:
    """Return where rounding hides a slope over a component's own size, far below its length.

    Where sizes spread over decades, the length of a small component is a guess from the others. A
    cost that stands still over it may have saturated before: nothing tells it from a wrong slope.
    """
    size = np.abs(theta.base)
    guessed = (size > 0) & (size < GUESSED * scale.lengths)
    return np.asarray(guessed & (np.abs(gradient) * size <= scale.dust))


def is_nothing(
    approximation: Approximation, gradient: FloatArray, noise: Noise, theta: Theta
) -> bool:
    """Return whether neither gradient moves the cost by as much as its rounding, anywhere.

    Not where the cost is noisier than its rounding: then they are unknown. One that moves nowhere
    has no noise that is seen, and float64's rounding counts.
    """
    if noise.moved and not noise.is_plain:
        return False
    at, share = approximation.evaluated, np.abs(gradient) * lengths(theta, gradient)
    seen = all(abs(one.residual) <= one.error_bar for one in approximation.seen.values())
    still = np.abs(approximation.values[at]) <= approximation.error_bars[at]
    smooth = not np.any(approximation.kinds[at])
    rounding = noise.level if noise.is_plain else 0.5 * EPSILON * noise.magnitude
    nothing = bool(np.all(share <= NOTHING * rounding))
    return nothing and seen and smooth and bool(np.all(still))


def is_stationary(
    approximation: Approximation, gradient: FloatArray, noise: Noise, evaluator: Evaluator
) -> bool:
    """Return whether both gradients are 0 beside how the cost moves a little away.

    They agree within their error bars, these are narrow beside the slopes that the cost has a
    little away, and so are both.
    """
    at, length = approximation.evaluated, lengths(evaluator.theta, gradient)
    values, bars = approximation.values[at], approximation.error_bars[at]
    seen = approximation.seen.values()
    if np.any(~(np.abs(values - gradient[at]) <= bars)) or np.any(approximation.kinds[at]):
        return False
    if not all(abs(one.residual) <= one.error_bar for one in seen):
        return False
    sizes = 0.5 + np.modf(GOLDEN * np.arange(length.size))[0]  # so that terms do not cancel
    weights = np.where(evaluator.theta.is_selected, length * sizes, 0.0)
    costs = evaluator.along(weights, (REACH, -REACH))
    moved = max((abs(cost - evaluator.cost0) for cost in costs if math.isfinite(cost)), default=0.0)
    if moved <= SAFETY * noise.level:
        return False
    usual = moved / REACH / np.count_nonzero(weights)
    slopes = np.maximum(np.abs(values), bars) * length[at]
    widest = max((one.error_bar for one in seen), default=0.0)
    return bool(
        max(slopes.max(initial=0.0), (np.abs(gradient) * length).max()) <= WIDE * usual
        and widest <= WIDE * moved / REACH
    )
