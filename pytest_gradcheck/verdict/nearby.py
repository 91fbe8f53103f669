"""Kinks in more than one dimension: the pair is asked again at points nearby.

The slopes along an axis bound the subgradients of a convex cost only. Where kinks of opposite sign
meet (pooling over equal values, sorting, top-k), a gradient may lie outside of them and be right;
and one that lies between them in every component may be wrong, as where each of several largest
values is credited with the whole of their maximum. What Clarke calls a subgradient is a limit of
gradients at points nearby, or lies between such limits (F. H. Clarke, Optimization and Nonsmooth
Analysis, 1983). So theta is nudged: a gradient that is the same there, and right there, is right.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.numdiff.differences import KINDS, Approximation, approximate
from pytest_gradcheck.numdiff.evaluators import SerialEvaluator
from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.params.scales import finite_or_zero, lengths, of_each, rms_of_each
from pytest_gradcheck.params.theta import FloatArray, Numbers, Theta
from pytest_gradcheck.problem.pair import Pair
from pytest_gradcheck.verdict.judge import BUG, SUSPECT

__all__ = ["asks_nearby", "corrected_at_kinks"]

NEAR = 1e-7
"""How far away, in lengths, a limit of gradients is read off: it has no truncation error."""

AWAY = 1e-3
"""How far away, in lengths, the pair is proved right: differences need room between the kinks."""

ROOM = 30.0
"""And at least so many first steps."""

LOOKS = 4
"""Nudges after which a gradient that is the same at all of them is taken for that of no kink."""

ENOUGH = 10
"""Nudges that are compared with the gradient here."""

MOST = 24
"""Further nudges that are spent on how many ways the gradients nearby differ."""

SETTLED = 3
"""So many nudges in a row that show no new way are taken for there being none."""

CLEAR = 1e-3
"""What part of its size a gradient may miss its limits by."""

CLOSER = 1e-2
"""What part of that distance is tried where the gradient changes on the way."""

KEPT = 0.1
"""By what part of its size it may change."""

WITHIN = 0.01
"""What part of that distance a slope along a vector is taken over."""

DRIFT = 100.0
"""How much faster than its own size a gradient may change that has no kink."""

LIGHT = 1e-3
"""What matrices move by where biases are to outweigh them."""

GOLDEN = 0.6180339887498949

Mask = npt.NDArray[np.bool_]


def asks_nearby(approximation: Approximation, verdicts: npt.NDArray[np.int8]) -> bool:
    """Return whether points nearby may have something to say: at kinks, and where it is wrong."""
    return bool(np.isin(verdicts, (SUSPECT, BUG)).any() or approximation.of_kind("kink").any())


def corrected_at_kinks(
    pair: Pair,
    approximation: Approximation,
    gradient: FloatArray,
    wrong: Numbers,
    noise: Noise,
    suspect: float,
) -> Approximation:
    """Return the approximation, corrected at kinks by what points nearby tell.

    Parameters
    ----------
    pair : Pair
    approximation : Approximation
    gradient : array
        The analytic gradient, laid out like theta.
    wrong : int array
        The components that look wrong.
    noise : Noise
    suspect : float
        The relative error at which a disagreement begins.

    Returns
    -------
    Approximation
        Components that looked wrong and prove right nearby stand at a kink, and their value is the
        analytic one. Where the gradient is neither a limit of gradients nearby nor between such
        limits, the components in which it differs from the nearest limit have that one's values.
    """
    return _Nearby(pair, approximation, gradient, wrong, noise, suspect).corrected()


class _Limit(NamedTuple):
    """A nudge, the gradient next to theta along it, and where that is the one at theta."""

    nudge: FloatArray
    gradient: FloatArray
    same: Mask


class _Nearby:
    """The limits of the gradient that are known so far, and what they prove."""

    def __init__(
        self,
        pair: Pair,
        approximation: Approximation,
        gradient: FloatArray,
        wrong: Numbers,
        noise: Noise,
        suspect: float,
    ) -> None:
        self._pair, self._theta = pair, pair.theta
        self._approximation, self._gradient, self._noise = approximation, gradient, noise
        self._suspect = suspect
        self._length = lengths(pair.theta, gradient)
        self._nudges = _nudges(pair.theta, self._length)
        self._near = max(NEAR, 100 * noise.relative)
        self._away = max(AWAY, ROOM * noise.relative ** (1 / 3))
        self._drift = DRIFT * self._near * self._usual()
        self._kinks = approximation.of_kind("kink")
        self._open = np.zeros(gradient.size, np.bool_)
        self._open[wrong] = True
        self._limits: list[_Limit] = []
        self._proved: dict[int, float] = {}

    def _usual(self) -> FloatArray:
        """Return how steep a parameter usually is, in lengths of each of its components."""
        shares = rms_of_each(finite_or_zero(self._gradient) * self._length, self._theta)
        return np.asarray(of_each(shares, self._theta) / self._length)

    def corrected(self) -> Approximation:
        """Nudge theta until one limit is the gradient here, or enough of them are known."""
        if not self._kinks.any():
            for limit in self._drawn(LOOKS):
                self._kinks |= self._open & ~limit.same
            if not self._kinks.any():
                return self._approximation  # a smooth cost, and a gradient that is wrong
        for limit in chain(self._limits.copy(), self._drawn(ENOUGH - len(self._limits))):
            self._kinks |= self._open & ~limit.same
            self._close(self._right_at(limit, np.flatnonzero(self._open & limit.same)))
            if np.all(limit.same[self._kinks]) and not self._open.any():
                return self._written(self._off_in_sum())
        self._close(self._right_between())
        return self._written(self._off_in_sum() or self._off_in_another_way())

    def _drawn(self, count: int) -> Iterator[_Limit]:
        """Yield so many further limits; where a nudge leads out of the domain there is none."""
        for _ in range(count):
            nudge = next(self._nudges)
            with _based_at(self._theta, self._theta.base + self._near * nudge):
                gradient = _gradient(self._pair)
            if gradient is None:
                continue
            size = np.abs(gradient) + np.abs(self._gradient)
            drift = self._suspect * size + self._drift
            same = np.abs(gradient - self._gradient) <= drift
            self._limits.append(_Limit(nudge, gradient, same))
            yield self._limits[-1]

    def _close(self, right: dict[int, float]) -> None:
        self._proved |= right
        self._open[list(right)] = False

    def _right_at(self, limit: _Limit, numbers: Numbers) -> dict[int, float]:
        """Return the components that are right a little away along a nudge, with error bars.

        No further away than the gradient keeps to its limit: beyond there are other kinks.
        """
        right: dict[int, float] = {}
        for away in (self._away, self._away * CLOSER):
            rest = np.array([n for n in numbers.tolist() if n not in right], np.intp)
            if rest.size and away >= 2 * self._near:
                right |= self._right_away(limit, rest, away)
        return right

    def _right_away(self, limit: _Limit, numbers: Numbers, away: float) -> dict[int, float]:
        with _based_at(self._theta, self._theta.base + away * limit.nudge):
            gradient, probe = _gradient(self._pair), self._pair.prober()
            cost0 = probe()
            if gradient is None or not math.isfinite(cost0):
                return {}
            evaluator = SerialEvaluator(probe, self._theta, cost0)
            off = np.abs(gradient - limit.gradient)[numbers]
            numbers = numbers[off <= KEPT * np.abs(limit.gradient[numbers])]
            numbers = self._promising(evaluator, gradient, numbers, away)
            found = approximate(evaluator, numbers, gradient, self._noise, self._suspect)
        values, bars, analytic = (
            whole[numbers] for whole in (found.values, found.error_bars, gradient)
        )
        size = np.abs(values) + np.abs(analytic)
        right = np.abs(values - analytic) <= bars + self._suspect * size
        right &= found.kinds[numbers] != KINDS.index("jump")
        return dict(zip(numbers[right].tolist(), bars[right].tolist(), strict=True))

    def _promising(
        self, evaluator: SerialEvaluator, gradient: FloatArray, numbers: Numbers, away: float
    ) -> Numbers:
        """Return the components that one small difference does not show to be wrong."""
        steps = WITHIN * away * self._length[numbers] / max(numbers.size, 8)
        both = evaluator.differences(numbers, steps)
        off = np.abs(both.slopes - gradient[numbers])
        bars = 2 * SAFETY * self._noise.at(both.sizes) / both.widths
        return numbers[off <= bars + CLEAR * np.abs(gradient[numbers])]

    def _right_between(self) -> dict[int, float]:
        """Return what lies between limits that are right, as where a maximum is shared out."""
        numbers = np.flatnonzero(self._open & self._kinks)
        if not numbers.size or len(self._limits) < 2:
            return {}
        table = np.array([limit.gradient[numbers] for limit in self._limits])
        own = self._gradient[numbers]
        inside = (table.min(axis=0) <= own) & (own <= table.max(axis=0))
        found: list[dict[int, float]] = []
        for ends in (table.argmin(axis=0), table.argmax(axis=0)):
            right: dict[int, float] = {}
            for k in np.unique(ends[inside]).tolist():
                right |= self._right_at(self._limits[k], numbers[inside & (ends == k)])
            found.append(right)
        return {n: max(bar, found[1][n]) for n, bar in found[0].items() if n in found[1]}

    def _off_in_sum(self) -> dict[int, float]:
        """Return values for the kinks of parameters whose sum is another than the cost has it.

        Where all of a parameter moves by as much, ties stay ties and the cost is smooth.
        """
        off: dict[int, float] = {}
        if self._open.any():
            return off  # which shows already
        for parameter in self._theta.selected:
            kinks = parameter.start + np.flatnonzero(self._kinks[parameter.slice])
            whole = self._approximation.checked[parameter.slice].all()
            at = np.arange(parameter.start, parameter.stop) if whole else kinks
            if kinks.size > 1 and self._contradicts(at, np.ones(at.size)):
                off |= self._nearest(kinks)
        return off

    def _off_in_another_way(self) -> dict[int, float]:
        """Return values for kinks where the gradient is no limit, nor anything between limits.

        Every limit adds a way in which the gradients nearby differ until all are known. Along what
        is left of the gradient they are all the same.
        """
        at = np.flatnonzero(self._kinks)
        if at.size < 2 or len(self._limits) < LOOKS:
            return {}
        ways = _Ways(self._limits[0].gradient[at])
        for limit in self._limits[1:]:
            ways.add(limit.gradient[at])
        for limit in self._drawn(MOST):
            if ways.settled >= SETTLED:
                break
            ways.add(limit.gradient[at])
        rest = ways.rest(self._gradient[at])
        if ways.settled < SETTLED or not self._contradicts(at, rest):
            return {}
        return self._nearest(at)

    def _nearest(self, at: Numbers) -> dict[int, float]:
        """Return the values of the nearest limit, or of the sides, where the gradient has others.

        A gradient that is the same nearby is wrong there as well.
        """
        nearest = max(self._limits, key=lambda limit: np.count_nonzero(limit.same[at]))
        if not nearest.same[at].all():
            return {n: float(nearest.gradient[n]) for n in at[~nearest.same[at]].tolist()}
        sides, own = self._approximation.sides, self._gradient
        return {
            n: max(sides[n], key=lambda side, own=own[n]: abs(side - own))  # type: ignore[misc]
            for n in at.tolist()
            if n in sides
        }

    def _contradicts(self, at: Numbers, weights: FloatArray) -> bool:
        """Return whether the cost has one slope along a vector, and the gradient another.

        That makes it wrong where the gradients nearby all have the slope of the cost, and where
        they are wrong themselves.
        """
        reach = float(np.max(np.abs(weights) / self._length[at]))
        step = WITHIN * self._away / reach if reach else 1.0
        said = float(weights @ self._gradient[at])
        slopes = [float(weights @ limit.gradient[at]) for limit in self._limits]
        slope, slack = self._slope(at, weights, step)
        slack += CLEAR * float(np.abs(weights) @ np.abs(self._gradient[at]))
        if slope is None or abs(said - slope) <= 4 * slack:
            return False
        if all(abs(slope - other) <= slack for other in slopes):
            return True
        with _based_at(self._theta, self._theta.base + self._away * self._limits[0].nudge):
            slope, slack = self._slope(at, weights, step)
            gradient = _gradient(self._pair)
        if slope is None or gradient is None:
            return False
        return abs(slope - float(weights @ gradient[at])) > 4 * slack

    def _slope(self, at: Numbers, weights: FloatArray, step: float) -> tuple[float | None, float]:
        """Return the slope of the cost along a vector, None where the sides have two, and slack."""
        probe = self._pair.prober()
        cost0, sides = probe(), []
        for distance in (step, -step):
            with self._theta.moved(at, weights, distance):
                sides.append((probe() - cost0) / distance)
        bar = 2 * SAFETY * max(self._noise.level, EPSILON * abs(cost0)) / step
        slack = bar + CLEAR * max(map(abs, sides))
        return (sides[0] if abs(sides[0] - sides[1]) <= slack else None), slack

    def _written(self, beside: dict[int, float]) -> Approximation:
        """Return the approximation with what was proved right, or wrong, at kinks."""
        old = self._approximation
        proved = {n: bar for n, bar in self._proved.items() if n not in beside}
        if not (proved or beside):
            return old
        values, bars, kinds = old.values.copy(), old.error_bars.copy(), old.kinds.copy()
        for number, bar in proved.items():
            values[number], bars[number] = self._gradient[number], bar
        for number, value in beside.items():
            values[number] = value
        sides = dict(old.sides)
        for number in (*proved, *beside):
            kinds[number] = KINDS.index("kink")
            sides.setdefault(number, (float(old.values[number]), float(old.values[number])))
        return replace(
            old,
            values=values,
            error_bars=bars,
            kinds=kinds,
            sides=sides,
            nearby=frozenset((*proved, *beside)),
        )


class _Ways:
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


def _nudges(theta: Theta, length: FloatArray) -> Iterator[FloatArray]:
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
    for row in everywhere:
        yield row * length


def _rows_of_no_order(place: FloatArray) -> Iterator[FloatArray]:
    """Yield rows of numbers from -1 to 1 without a pattern, the same ones at every run."""
    turn = GOLDEN
    while True:
        yield 2 * (turn * place % 1.0) - 1.0
        turn = (turn + math.sqrt(2.0)) % 1.0


def _gradient(pair: Pair) -> FloatArray | None:
    """Return the analytic gradient as theta stands, or None where there is none to be had."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is our doing that theta stands there
        try:
            gradient = pair.gradient()
        except ProblemError:
            return None
    return gradient if np.all(np.isfinite(gradient)) else None


@contextmanager
def _based_at(theta: Theta, values: FloatArray) -> Iterator[None]:
    """Let theta stand elsewhere for the length of a ``with`` block."""
    base = theta.base
    try:
        theta.move_base(values)
        yield
    finally:
        theta.move_base(base)
