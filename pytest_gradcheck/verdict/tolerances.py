"""Solvers that stop at a tolerance: how far the slopes of their cost are those of the solution.

Between two thetas at which a solver takes one step more, its result is a smooth function of theta
with a slope of its own, which misses that of the exact solution by a multiple of the tolerance, and
by far more than any difference shows. A right gradient then looks wrong. What gives the solver away
lies some way off: the residual, the slope of the cost less the one that the gradient says, is a
smooth function of theta where the gradient is wrong, and where a solver stops earlier or later it
jumps, and the cost with it, by little.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.numdiff.differences import Approximation
from pytest_gradcheck.numdiff.evaluators import Evaluator
from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY
from pytest_gradcheck.numdiff.noise import Noise, NoiseKind
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import FloatArray
from pytest_gradcheck.problem.pair import Pair
from pytest_gradcheck.verdict.judge import Doubt
from pytest_gradcheck.verdict.kinks.limits import moved_gradient

__all__ = ["widened_by_a_tolerance"]

GROSS = 0.15
"""Residuals beyond this part of the gradient are no matter of a tolerance."""

MOST = 0.5
"""What part of the components a solver's tolerance shows in, at least."""

FEW = 3
"""Components that do not have one factor by chance."""

EQUAL = 0.02
"""By what part of it factors differ that are one."""

BLUR = 0.3
"""What part of an error bar noise fills at most, as a rule: factors may differ by that, too."""

PLACES = (-0.9, -0.6, -0.35, -0.15, -0.05, 0.05, 0.15, 0.35, 0.6, 0.9)
"""Where along a line, in lengths, residuals are compared."""

CLOSE_PLACES = tuple(np.linspace(-0.3, 0.3, 25).tolist())
"""The same where those show no jump: a solver that converges slowly jumps often and by little,
beside what its residual changes from one place to the next."""

LINES = 4
"""Lines along which a jump is searched for; the first leads to 0, or to twice theta."""

STEP = 1e-6
"""Of the differences there, in lengths."""

HALVINGS = 15
"""Of an interval in which the residual changes: down to some steps."""

SMOOTH = 0.3
"""What part of a change is left in an eighth of its interval, at most, where that is smooth."""

INTERVALS = 2
"""Intervals of a line that are searched: those in which the residual changes most."""

SLIGHT = 0.1
"""What part of the gradient the slopes on both sides of a jump lie apart, at most: beyond, it is
another branch of the cost."""

LARGEST = 1e-2
"""A jump beyond this part of the cost, or of what it rises by over a length, is no tolerance."""

CLEAR = 8.0
"""How many times larger than what slopes and noise explain a jump of the cost is."""

UNKNOWN = 30.0
"""The error bar of a slope, in changes of the residual that were met. A solver whose error falls to
a tenth with each step jumps by nine tenths of its error; one whose error falls slowly jumps by a
small part of it, and more often: by a tenth where it falls by a tenth, and each component by
another part."""

UNEVEN = 3.0
"""How many times as much the slope of one component may be off, where most are off by no more."""


def widened_by_a_tolerance(pair: Pair, evaluator: Evaluator, doubt: Doubt) -> Approximation:
    """Return the approximation with error bars that a solver's tolerance leaves its slopes with.

    Parameters
    ----------
    pair : Pair
    evaluator : Evaluator
    doubt : Doubt
    """
    approximation, gradient, wrong = doubt.approximation, doubt.gradient, doubt.wrong
    noise, length = doubt.noise, lengths(pair.theta, gradient)
    shares = np.where(approximation.checked & np.isfinite(gradient), gradient * length, 0.0)
    size = float(np.linalg.norm(shares))
    off = np.abs(approximation.values - gradient)[wrong] * length[wrong]
    slight = bool(wrong.size) and np.all(np.isfinite(off)) and float(off.max()) <= GROSS * size
    if not slight or _has_a_pattern(approximation, gradient):
        return approximation
    search = _Search(pair, evaluator, noise, size)
    lines = list(_lines(pair, length))
    jumps = [jump for line in lines if (jump := search.jump(line)) is not None]
    if not jumps and (close := search.close_jump(lines[0])) is not None:
        jumps = [close]
    if not jumps:
        return approximation
    found = max(jumps, key=lambda jump: jump.apart)
    usual = UNKNOWN * found.apart
    most = UNEVEN * usual if float(np.median(off)) <= usual else usual
    bars = approximation.error_bars + most / length
    level = max(noise.level, found.height / math.sqrt(12))
    return replace(
        approximation,
        error_bars=bars,
        noise=replace(noise, level=level, kind=NoiseKind.JUMPS, digits=None, measure_far=None),
    )


def _has_a_pattern(approximation: Approximation, gradient: FloatArray) -> bool:
    """Return whether residuals are those of a fault: most are none, or they are a factor's.

    A solver's result is off in all that it depends on, each time by another part.
    """
    at = approximation.checked & (gradient != 0)
    off = (approximation.values - gradient)[at]
    seen = np.abs(off) > approximation.error_bars[at]
    # A search differences wrong components alone; directions showed the others to be right.
    among = np.count_nonzero(gradient) if approximation.seen else seen.size
    if seen.sum() < MOST * among:
        return True
    sizes = gradient[at][seen]
    parts, blurs = off[seen] / sizes, BLUR * approximation.error_bars[at][seen] / np.abs(sizes)
    usual = float(np.median(parts))
    sharp = blurs <= 2 * EQUAL * abs(usual)
    equal = np.abs(parts - usual) <= EQUAL * abs(usual) + blurs
    return bool(np.count_nonzero(sharp) >= FEW and np.all(equal))


def _lines(pair: Pair, length: FloatArray) -> Iterator[FloatArray]:
    """Yield directions: theta itself, whose size tells some solvers, and random ones."""
    theta = pair.theta
    if theta.base.any():
        yield np.where(theta.is_selected, theta.base, 0.0)
    rng = stream("tolerances", 0)
    for _ in range(LINES - 1):
        signs = rng.choice([-1.0, 1.0], length.size) * rng.uniform(0.5, 1.0, length.size)
        yield np.where(theta.is_selected, signs * length, 0.0) / 2


class _Place(NamedTuple):
    """A place along a line, the cost there, its slope, and that less the one of the gradient."""

    at: float
    cost: float
    slope: float
    residual: float


class _Jump(NamedTuple):
    """By how much a cost jumps, and by how much its residual does."""

    height: float
    apart: float


class _Search:
    """Looks for jumps of the cost where the residual jumps."""

    def __init__(self, pair: Pair, evaluator: Evaluator, noise: Noise, size: float) -> None:
        self._pair, self._evaluator, self._size = pair, evaluator, size
        self._noise = noise
        self._step = max(STEP, math.sqrt(noise.relative))

    def jump(self, line: FloatArray) -> _Jump | None:
        """Return a jump along a line, in an interval in which the residual changes most."""
        intervals, changes = self._intervals(line, PLACES)
        return self._first_jump(line, intervals, changes)

    def close_jump(self, line: FloatArray) -> _Jump | None:
        """Return a jump between close places, where the residual changes otherwise than beside."""
        intervals, changes = self._intervals(line, CLOSE_PLACES)
        if not intervals:
            return None
        return self._first_jump(line, intervals, changes - np.median(changes))

    def _intervals(
        self, line: FloatArray, places: Sequence[float]
    ) -> tuple[list[tuple[_Place, _Place]], FloatArray]:
        """Return the intervals between places, and by how much the residual changes in each."""
        known = [place for at in places if (place := self._place(line, at)) is not None]
        pairs = list(pairwise(known))
        return pairs, np.array([high.residual - low.residual for low, high in pairs])

    def _first_jump(
        self, line: FloatArray, intervals: Sequence[tuple[_Place, _Place]], changes: FloatArray
    ) -> _Jump | None:
        """Return the jump in the first of the intervals that change most, None if there is none."""
        for number in np.argsort(-np.abs(changes))[:INTERVALS].tolist():
            ends = self._narrowed(line, *intervals[number])
            jump = None if ends is None else self._jump(line, *ends)
            if jump is not None:
                return jump
        return None

    def _place(self, line: FloatArray, at: float) -> _Place | None:
        """Return cost and residual at a place, or None where either has no value."""
        try:
            down, up = self._evaluator.along(line, (at - self._step, at + self._step))
        except ProblemError:
            return None
        gradient = moved_gradient(self._pair, at * line)
        if gradient is None or not all(map(math.isfinite, (down, up))):
            return None
        slope = (up - down) / (2 * self._step)
        return _Place(at, 0.5 * (up + down), slope, slope - float(gradient @ line))

    def _narrowed(
        self, line: FloatArray, low: _Place, high: _Place
    ) -> tuple[_Place, _Place] | None:
        """Return the ends of a small interval in which a residual changes at once, or None."""
        changes = [abs(high.residual - low.residual)]
        least = 2 * SAFETY * self._level(max(abs(low.cost), abs(high.cost))) / self._step
        for k in range(HALVINGS):
            if high.at - low.at <= 4 * self._step:
                return low, high
            middle = self._place(line, (low.at + high.at) / 2)
            if middle is None:
                return None
            halves = ((low, middle), (middle, high))
            low, high = max(halves, key=lambda two: abs(two[1].residual - two[0].residual))
            changes.append(abs(high.residual - low.residual))
            if changes[-1] <= least or (k >= 2 and changes[-1] < SMOOTH * changes[-4]):
                return None
        return low, high

    def _level(self, cost: float) -> float:
        """Return the noise of a cost as large as that: it rounds with its size."""
        return max(float(self._noise.at(cost)), EPSILON * cost)

    def _jump(self, line: FloatArray, low: _Place, high: _Place) -> _Jump | None:
        """Return the jump between two places, or None where it is none of a tolerance."""
        wide = 2 * self._step
        before = self._place(line, low.at - wide)
        after = self._place(line, high.at + wide)
        if before is None or after is None:
            return None
        width = after.at - before.at
        rise = after.cost - before.cost - 0.5 * (before.slope + after.slope) * width
        turn = abs(after.slope - before.slope)
        usual = max(abs(before.cost), abs(after.cost), self._size)
        slack = turn * width + SAFETY * self._level(usual)
        apart = abs(after.residual - before.residual)
        if not CLEAR * slack < abs(rise) < LARGEST * usual or turn > SLIGHT * self._size:
            return None
        return _Jump(abs(rise), apart)
