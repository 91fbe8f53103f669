"""Gradients beyond the hull of their limits, where a cost is convex or concave in what has kinks.

Each component of a gradient may lie between its two slopes, and all of them together be wrong: the
norm of x has slopes of -1 and 1 along each axis at 0, and subgradients no longer than 1. A vector
is a subgradient of a convex cost where along no direction it says more than the cost rises by (R.
T. Rockafellar, Convex Analysis, 1970, theorem 23.2). The direction that tells is the one in which
the gradient lies beyond the hull of the limits that are known; where the gradient ahead of theta is
a limit further out, the hull grows, and another direction is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from pytest_gradcheck.params.theta import FloatArray, Indices
from pytest_gradcheck.verdict.kinks.limits import CLEAR, Limits

__all__ = ["nearest_in_hull", "subgradient_instead"]

FEWEST = 6
"""Limits that are needed to recognize a convex cost."""

DIRECTIONS = 10
"""Directions that are tested before a gradient is accepted as a subgradient."""

BEYOND = 0.02
"""What part of the hull's width a gradient lies beyond it at least."""

BROKEN = 0.03
"""What part of a nudge along a direction breaks ties that the direction leaves."""

WHOLE = 100.0
"""How much more it weighs that shares sum to 1 than how far a point is off."""

DONE = 1e-9
"""A pull below this is rounding."""

Rise = Callable[[Indices, FloatArray], tuple[float, float]]
"""Takes components and weights; returns the slope of the cost ahead along them, and its slack."""


def subgradient_instead(
    limits: Limits,
    gradient: FloatArray,
    sides: Mapping[int, tuple[float, float]],
    parts: list[slice],
    rise: Rise,
) -> dict[int, float]:
    """Return the values of the nearest subgradient where the gradient is seen to be none, or none.

    Parameters
    ----------
    limits : Limits
    gradient : array
        The analytic gradient, laid out like theta.
    sides : mapping of int to (float, float)
        The components with kinks, and their slopes on the left and on the right.
    parts : list of slice
        Where the parameters are.
    rise : callable
        Returns the slope of the cost ahead along weights of components, and its slack.
    """
    for at, sign in _of_one_curvature(sides, parts):
        if len(limits.known) >= FEWEST and _is_monotone(limits, at, sign):
            instead = _Part(limits, gradient, at, sign, rise).subgradient()
            if instead is not None:
                return dict(zip(at.tolist(), instead.tolist(), strict=True))
    return {}


def _of_one_curvature(
    sides: Mapping[int, tuple[float, float]], parts: list[slice]
) -> Iterator[tuple[Indices, float]]:
    """Yield components that may have a convex cost (1.0) or a concave one: all, and by parameter.

    Each rises or falls less on the left than on the right, or each more.
    """
    for sign in (1.0, -1.0):
        mine = np.array(
            sorted(n for n, (left, right) in sides.items() if sign * (right - left) > 0), np.intp
        )
        each = [mine[(part.start <= mine) & (mine < part.stop)] for part in parts]
        for at in [mine, *each] if len(parts) > 1 else each:
            if at.size > 1:
                yield at, sign


def _is_monotone(limits: Limits, at: Indices, sign: float) -> bool:
    """Return whether gradients rise with theta between all nudges, as those of a convex cost do."""
    gradients = np.array([limit.gradient[at] for limit in limits.known])
    nudges = np.array([limit.nudge[at] for limit in limits.known])
    products = sign * (gradients @ nudges.T)
    own = np.diag(products)
    rises = own[:, None] + own[None, :] - products - products.T
    return bool(rises.min() >= -CLEAR * rises.max() and rises.max() > 0)


class _Part:
    """Components in which a cost is convex, after a change of sign, in units of their lengths."""

    def __init__(
        self, limits: Limits, gradient: FloatArray, at: Indices, sign: float, rise: Rise
    ) -> None:
        self._limits, self._at, self._sign, self._rise = limits, at, sign, rise
        self._length = limits.length[at]
        self._own = self._scaled(gradient)

    def _scaled(self, gradient: FloatArray) -> FloatArray:
        return np.asarray(self._sign * gradient[self._at] * self._length)

    def subgradient(self) -> FloatArray | None:
        """Return the nearest subgradient that is known, or None where the gradient may be one."""
        for _ in range(DIRECTIONS):
            hull = np.array([self._scaled(limit.gradient) for limit in self._limits.known])
            nearest = nearest_in_hull(hull, self._own)
            beyond = self._own - nearest
            size = float(np.linalg.norm(beyond))
            width = float(np.linalg.norm(hull - hull.mean(axis=0), axis=1).max())
            if size <= BEYOND * width:
                return None
            beyond /= size
            said, slope, slack = self._along(beyond)
            if said - slope > slack + BEYOND * width:
                return self._sign * nearest / self._length
            further = self._limit_ahead(beyond)
            if further is None or further @ beyond <= nearest @ beyond + CLEAR * width:
                return None
        return None

    def _along(self, direction: FloatArray) -> tuple[float, float, float]:
        """Return the slope along a direction that the gradient says, the cost's, and its slack."""
        slope, slack = self._rise(self._at, direction * self._length)
        return float(direction @ self._own), self._sign * slope, slack

    def _limit_ahead(self, direction: FloatArray) -> FloatArray | None:
        """Return the limit of gradients along a direction, and let it be known."""
        nudge = BROKEN * self._limits.known[-1].nudge
        nudge[self._at] += direction / np.abs(direction).max() * self._length
        limit = self._limits.along(nudge)
        return None if limit is None else self._scaled(limit.gradient)


def nearest_in_hull(points: FloatArray, target: FloatArray) -> FloatArray:
    """Return the point nearest to a target in the convex hull of points.

    The shares of the points are non-negative and sum to 1: a problem for C. L. Lawson and R. J.
    Hanson, Solving Least Squares Problems, 1974, chapter 23.

    Examples
    --------
    >>> nearest_in_hull(np.eye(2), np.ones(2)).round(6).tolist()
    [0.5, 0.5]
    """
    off = points - target
    usual = float(np.linalg.norm(off, axis=1).max()) or 1.0
    table = np.vstack([off.T / usual, np.full(len(points), WHOLE)])
    sums = np.zeros(len(table))
    sums[-1] = WHOLE
    shares = _non_negative_least_squares(table, sums)
    return np.asarray(shares @ points / shares.sum())


def _non_negative_least_squares(table: FloatArray, target: FloatArray) -> FloatArray:
    """Return the non-negative combination of columns that is nearest to a target."""
    shares = np.zeros(table.shape[1])
    taken = np.zeros(shares.size, np.bool_)
    for _ in range(3 * shares.size):
        pull = table.T @ (target - table @ shares)
        pull[taken] = 0.0
        if pull.max() <= DONE:
            break
        taken[pull.argmax()] = True
        while True:
            best = np.zeros(shares.size)
            best[taken] = np.linalg.lstsq(table[:, taken], target, rcond=None)[0]
            below = taken & (best <= 0)
            if not below.any():
                break
            step = float(np.min(shares[below] / (shares[below] - best[below])))
            shares += step * (best - shares)
            taken &= shares > 1e-14
            shares[~taken] = 0.0
        shares = best
    return shares
