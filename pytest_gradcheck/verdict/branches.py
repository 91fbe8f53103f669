"""Special branches at the very point: a cost that is another function within a hair's breadth.

``if abs(x) < 1e-8: return ...`` keeps sin(x) / x, or a rotation by a small angle, from dividing by
zero. Where the slope of that branch is not the slope around it, differences show the one or the
other, by their steps. The derivative is the limit of small steps: that of the branch. Such guards
stand where numbers are round, so it is there that a look is taken inside of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.differences import Approximation
from pytest_gradcheck.numdiff.evaluators import Evaluator
from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY, Kind
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.theta import FloatArray, Indices
from pytest_gradcheck.verdict.judge import Doubt

__all__ = ["corrected_at_branches"]

INSIDE = 1e-11
WIDER = (1e-10, 1e-9)
OUTSIDE = 1e-6
"""How far away, in sizes of a component, looks are taken: inside of any guard but the
narrowest, and yet so far that a slope stands clear of rounding; and outside of all but the widest,
in which the first differences are taken themselves."""

OTHER = 1e-2
"""By what part of its size the slope of a branch differs from that around it."""

PLACES = 3
"""Decimals that a round number has at most."""

MOST = 32
"""Components that are differenced one by one, at most."""

Mask = npt.NDArray[np.bool_]


def corrected_at_branches(evaluator: Evaluator, doubt: Doubt) -> Approximation:
    """Return the approximation, with the slopes of special branches where the cost has them.

    Two calls, where parameters hold round numbers, tell that there is none.

    Parameters
    ----------
    evaluator : Evaluator
    doubt : Doubt

    Returns
    -------
    Approximation
        Its `around` has the slopes around the branches.
    """
    approximation, gradient = doubt.approximation, doubt.gradient
    is_round = _is_round(evaluator.theta.base)
    if not is_round.any() or approximation.of_kind(Kind.KINK).any():
        return approximation
    smooth = approximation.checked & approximation.of_kind(Kind.SMOOTH)
    may_branch = is_round & smooth & np.isfinite(gradient)
    places = np.flatnonzero(may_branch)
    if not places.size:
        return approximation
    near = _Near(evaluator, gradient, doubt.noise)
    found = doubt.wrong[may_branch[doubt.wrong]]
    for distance in (INSIDE, OUTSIDE):
        if not found.size and near.differs(places, distance):
            found = near.located(places, distance)
    branches = {n: branch for n in found[:MOST].tolist() if (branch := near.branch(n)) is not None}
    return _with_branches(approximation, branches)


def _is_round(values: FloatArray) -> Mask:
    """Return which numbers are such as people write: of few bits, or of few decimals."""
    with np.errstate(over="ignore"):
        short = values == values.astype(np.float16)
    return np.asarray(short | (values == values.round(PLACES)))


class _Branch(NamedTuple):
    """The slope at the very point, its error bar, and the slope around it."""

    inside: float
    error_bar: float
    around: float


class _Near:
    """Looks at the cost near theta."""

    def __init__(self, evaluator: Evaluator, gradient: FloatArray, noise: Noise) -> None:
        self._evaluator, self._gradient = evaluator, gradient
        self._level = max(noise.level, EPSILON * abs(evaluator.cost0))
        size = np.maximum(np.abs(evaluator.theta.base), 1.0)
        self._scale = np.minimum(lengths(evaluator.theta, gradient), size)

    def _risen(self, place: Indices, weights: FloatArray, distance: float) -> float:
        """Return the slope of the cost along a vector, in scales of its components, on one side."""
        with self._evaluator.theta.moved(place, weights * self._scale[place], distance):
            return (self._evaluator.cost() - self._evaluator.cost0) / distance

    def _bar(self, distance: float) -> float:
        return 2 * SAFETY * self._level / distance

    def differs(self, place: Indices, distance: float) -> bool:
        """Return whether the slope along components is not the gradient's, from one call."""
        weights = np.cos(np.arange(1.0, place.size + 1))
        weights += np.copysign(0.5, weights)
        terms = weights * self._gradient[place] * self._scale[place]
        off = abs(self._risen(place, weights, distance) - float(terms.sum()))
        return bool(off > OTHER * float(np.abs(terms).max()) + self._bar(distance))

    def located(self, place: Indices, distance: float) -> Indices:
        """Return components, by halves, along which the slope is not the gradient's."""
        groups = [place]
        singles: list[int] = []
        while groups and len(singles) < MOST:
            group = groups.pop()
            if group.size == 1:
                singles.append(int(group[0]))
                continue
            halves = group[group.size // 2 :], group[: group.size // 2]
            groups += [half for half in halves if self.differs(half, distance)]
        return np.array(sorted(singles), np.intp)

    def branch(self, number: int) -> _Branch | None:
        """Return the slopes of a component inside and outside of a branch; None without one."""
        inside, outside = (self._sides(number, distance) for distance in (INSIDE, OUTSIDE))
        size = max(map(abs, (*inside, *outside)))
        slack = OTHER * size + self._bar(INSIDE)
        if max(_apart(inside), _apart(outside)) > slack:
            return None  # a kink, and no branch
        value, around, bar = sum(inside) / 2, sum(outside) / 2, self._bar(INSIDE)
        if not abs(value - around) > slack:
            return None
        for distance in WIDER:  # as far as the branch reaches, for the sake of rounding
            sides = self._sides(number, distance)
            if max(abs(side - value) for side in sides) > bar:
                break
            value, bar = sum(sides) / 2, self._bar(distance) + _apart(sides)
        scale = float(self._scale[number])
        return _Branch(value / scale, bar / scale, around / scale)

    def _sides(self, number: int, distance: float) -> tuple[float, float]:
        place, unit = np.array([number]), np.ones(1)
        return self._risen(place, unit, distance), self._risen(place, unit, -distance)


def _apart(sides: tuple[float, float]) -> float:
    return abs(sides[0] - sides[1])


def _with_branches(approximation: Approximation, branches: dict[int, _Branch]) -> Approximation:
    """Return the approximation with the slopes of branches in the place of those around them."""
    if not branches:
        return approximation
    values, bars = approximation.values.copy(), approximation.error_bars.copy()
    for number, branch in branches.items():
        if abs(values[number] - branch.inside) > OTHER * abs(branch.inside):
            values[number], bars[number] = branch.inside, branch.error_bar
    around = {number: branch.around for number, branch in branches.items()}
    return replace(approximation, values=values, error_bars=bars, around=around)
