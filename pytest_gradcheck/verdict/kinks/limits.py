"""Limits of gradients at a point: the gradient at small nudges."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.numdiff.ladder import EPSILON
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.params.scales import finite_or_zero, lengths, of_each, rms_of_each
from pytest_gradcheck.params.theta import FloatArray, Theta

__all__ = [
    "AWAY",
    "CLEAR",
    "CLOSER",
    "NEAR",
    "Differentiated",
    "Limit",
    "Limits",
    "Mask",
    "Ways",
    "moved_gradient",
    "nudges",
    "sizes",
]

NEAR = 1e-7
"""The distance, in lengths, at which a limit of gradients is taken, without truncation error."""

AWAY = 1e-3
"""The distance, in lengths, at which the pair is proved right: differences need room between
kinks."""

ROOM = 30.0
"""The same at least, in first steps."""

CLEAR = 1e-3
"""The relative tolerance of a gradient at its limits."""

DRIFT = 100.0
"""How much faster than its own size a gradient may change that has no kink."""

LIGHT = 1e-3
"""The factor of matrices in nudges in which biases outweigh them."""

CLOSER = 16.0
"""How much shorter the nudge is that distinguishes a jump of the gradient from a change."""

GOLDEN = 0.6180339887498949

Mask = npt.NDArray[np.bool_]


class Differentiated(Protocol):
    """A cost and its gradient at the present theta."""

    theta: Theta

    def prober(self) -> Callable[[], float]:
        """Return a function that returns the cost at a perturbed theta."""

    def gradient_after_cost(self) -> FloatArray:
        """Return the analytic gradient as theta stands."""


class Limit(NamedTuple):
    """A nudge, the gradient next to theta along it, and where that is the one at theta."""

    nudge: FloatArray
    gradient: FloatArray
    same: Mask


class Limits:
    """The limits of a gradient that are known so far.

    Parameters
    ----------
    pair : Differentiated
    gradient : array
        The analytic gradient at theta.
    noise : Noise
    suspect : float
        The relative error at which a disagreement begins.

    Attributes
    ----------
    known : list of Limit
    length : array
        The lengths of the components.
    near, away : float
        How far away, in lengths, limits are read off, and the pair is proved right.
    """

    def __init__(
        self, pair: Differentiated, gradient: FloatArray, noise: Noise, suspect: float
    ) -> None:
        self._pair, self._theta = pair, pair.theta
        self._gradient, self._suspect = gradient, suspect
        self.length = sizes(pair.theta, gradient)
        self.near = max(NEAR, 100 * noise.relative, _least_nudge(pair.theta))
        self.away = max(AWAY, ROOM * noise.relative ** (1 / 3), 100 * _least_nudge(pair.theta))
        self._drift = DRIFT * self.near * self._usual()
        self._nudges = nudges(pair.theta, self.length)
        self.known: list[Limit] = []

    def _usual(self) -> FloatArray:
        """Return how steep a parameter usually is, in lengths of each of its components."""
        shares = rms_of_each(finite_or_zero(self._gradient) * self.length, self._theta)
        return np.asarray(of_each(shares, self._theta) / self.length)

    def drawn(self, count: int) -> Iterator[Limit]:
        """Yield further limits, at most `count`; a nudge out of the domain has none."""
        for _ in range(count):
            limit = self.along(next(self._nudges))
            if limit is not None:
                yield limit

    def along(self, nudge: FloatArray) -> Limit | None:
        """Return the limit along a nudge, and let it be known; None outside of the domain."""
        with self.moved(nudge, self.near):
            gradient = self.gradient()
        if gradient is None:
            return None
        size = np.abs(gradient) + np.abs(self._gradient)
        drift = self._suspect * size + self._drift
        self.known.append(Limit(nudge, gradient, np.abs(gradient - self._gradient) <= drift))
        return self.known[-1]

    def jumps(self, limit: Limit) -> Mask:
        """Return where the gradient jumps: its change does not shrink with the nudge."""
        with self.moved(limit.nudge, self.near / CLOSER):
            closer = self.gradient()
        if closer is None:
            return np.zeros(limit.same.shape, np.bool_)
        far, near = (np.abs(one - self._gradient) for one in (limit.gradient, closer))
        return np.asarray(~limit.same & (near > 0.5 * far))

    def moved(self, nudge: FloatArray, distance: float) -> AbstractContextManager[None]:
        """Hold theta at a nudge for the length of a ``with`` block."""
        return _moved(self._theta, distance * nudge)

    def gradient(self) -> FloatArray | None:
        """Return the analytic gradient at the present theta, or None outside of its domain."""
        return _gradient(self._pair)


@contextmanager
def _moved(theta: Theta, move: FloatArray) -> Iterator[None]:
    """Make another point that of the check, for the length of a ``with`` block."""
    base = theta.base
    try:
        theta.move_base(base + move)
        yield
    finally:
        theta.move_base(base)


def moved_gradient(pair: Differentiated, move: FloatArray) -> FloatArray | None:
    """Return the analytic gradient a move away from theta, or None outside of its domain."""
    with _moved(pair.theta, move):
        return _gradient(pair)


def _gradient(pair: Differentiated) -> FloatArray | None:
    """Return the analytic gradient as theta stands, or None where there is none to be had."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # our own choice of theta
        try:
            gradient = pair.gradient_after_cost()
        except ProblemError:
            return None
    return gradient if np.all(np.isfinite(gradient)) else None


def _least_nudge(theta: Theta) -> float:
    """Return the part of components by which a nudge sets all of them apart as they are stored."""
    grain = max(2.0 ** (1 - parameter.digits) for parameter in theta.selected)
    return grain * max(100, 4 * theta.base.size) if grain > EPSILON else 0.0


def sizes(theta: Theta, gradient: FloatArray) -> FloatArray:
    """Return the sizes of components, beside each of which a nudge is small."""
    own = np.abs(theta.base)
    return np.where(own > 0, own, lengths(theta, gradient))


class Ways:
    """The ways in which vectors differ from a first one, as an orthonormal basis.

    Attributes
    ----------
    settled : int
        How many of the last vectors added no way.
    """

    def __init__(self, first: FloatArray) -> None:
        self._first = first
        self._basis: list[FloatArray] = []
        self.settled = 0

    def rest(self, vector: FloatArray) -> FloatArray:
        """Return the part of a vector's difference that no way explains; 0 for mere rounding."""
        difference: FloatArray = vector - self._first
        left: FloatArray = difference.copy()
        for _ in range(2):  # once more, for rounding
            for way in self._basis:
                left -= (left @ way) * way
        if np.linalg.norm(left) <= CLEAR * np.linalg.norm(difference):
            return np.zeros_like(left)
        return left

    def add(self, vector: FloatArray) -> None:
        """Add the way in which a vector differs, where it is new."""
        left = self.rest(vector)
        self.settled = 0 if left.any() else self.settled + 1
        if left.any():
            self._basis.append(left / np.linalg.norm(left))


def nudges(theta: Theta, length: FloatArray) -> Iterator[FloatArray]:
    """Yield directions in which no two components stay equal.

    Some of the first ones settle ties as code does: the first of equals becomes the largest, or the
    last, with all numbers below where they are or above; and biases may outweigh what is added to
    them, so that all units are off, or on. The others go every way.
    """
    length = np.where(theta.is_selected, length, 0.0)
    place = np.arange(length.size, dtype=np.float64)
    ramp, everywhere = place / length.size, _rows_of_no_order(place + 1.0)
    heavy = [1.0 if len(parameter.shape) < 2 else LIGHT for parameter in theta.parameters]
    biased = of_each(heavy, theta)
    for order in (-0.5 - ramp, 0.5 + ramp):
        yield order * length
    for row in islice(everywhere, 2):
        yield row * length
    for order in (-0.5 - ramp, 0.5 + ramp):
        yield order * length * biased
    for order in (1.5 - ramp, ramp - 1.5):
        yield order * length
    while True:
        yield next(everywhere) * length * biased  # units on and off in any order
        yield next(everywhere) * length


def _rows_of_no_order(place: FloatArray) -> Iterator[FloatArray]:
    """Yield rows of numbers from -1 to 1 without a pattern, the same ones at every run."""
    turn = GOLDEN
    while True:
        yield 2 * (turn * place % 1.0) - 1.0
        turn = (turn + math.sqrt(2.0)) % 1.0
