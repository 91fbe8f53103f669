"""Components that are wrong a little away from a kink: found one by one, and again in groups.

A wrong gradient is wrong at every nudge, and differencing every component at each would take dozens
of times the calls of the check. But the error of a component is known from the last nudge. At the
next one the cost is differenced along random vectors over many: if it has the slopes that the same
errors imply, the errors are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.directions import random_weights
from pytest_gradcheck.numdiff.evaluators import SerialEvaluator
from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import FloatArray, Indices
from pytest_gradcheck.verdict.kinks.limits import CLEAR

__all__ = ["WITHIN", "Refuted"]

WITHIN = 0.01
"""What part of the distance a slope is taken over."""

SMALLEST_GROUP = 8
"""A smaller group takes as many calls as its components one by one."""

GROUP_SPREAD = 10.0
"""The largest error in a group over the smallest, in units of the cost, is below this."""

HALVINGS = 3
"""How often a group is halved that is not as far off as before."""

VECTORS = 2
"""Vectors over a group: components that turned right may cancel along one."""

ROOM = 0.05
"""The tolerance of the slope along a vector, in the smallest error of the group. A component that
turned right shows by half of its error at least."""


class Refuted:
    """Components that differences a little away show to be wrong.

    Parameters
    ----------
    length : array
        The lengths of the components of theta.
    noise : Noise

    Attributes
    ----------
    errors : dict
        By component: the slope minus the gradient, where that was differenced last.
    """

    def __init__(self, length: FloatArray, noise: Noise) -> None:
        self._length, self._noise = length, noise
        self._rng = stream("refuted", 0)
        self.errors: dict[int, float] = {}

    def others(
        self, evaluator: SerialEvaluator, gradient: FloatArray, numbers: Indices, away: float
    ) -> Indices:
        """Return the components that small differences do not show to be wrong here.

        Parameters
        ----------
        evaluator : SerialEvaluator
            With theta moved away from the kink.
        gradient : array
            The analytic gradient there.
        numbers : int array
            The components to test.
        away : float
            How far theta was moved, in lengths.
        """
        step = WITHIN * away / max(numbers.size, 8)
        again = np.zeros(numbers.size, np.bool_)
        for group in self._groups(numbers):
            again |= np.isin(numbers, self._as_before(evaluator, gradient, group, step))
        rest = numbers[~again]
        both = evaluator.differences(rest, step * self._length[rest])
        off = np.abs(both.slopes - gradient[rest])
        bars = 2 * SAFETY * self._noise.at(both.sizes) / both.widths
        promising = off <= bars + CLEAR * np.abs(gradient[rest])
        wrong = both.slopes[~promising] - gradient[rest[~promising]]
        self.errors |= dict(zip(rest[~promising].tolist(), wrong.tolist(), strict=True))
        return rest[promising]

    def _groups(self, numbers: Indices) -> Iterator[Indices]:
        """Yield the components that were wrong before, those of similar errors together."""
        known = np.array([n for n in numbers.tolist() if self.errors.get(n)], np.intp)
        loud = self._loudness(known)
        known, loud = known[np.isfinite(loud)], loud[np.isfinite(loud)]
        order = np.argsort(-loud, kind="stable")
        known, loud = known[order], loud[order]
        while known.size >= SMALLEST_GROUP:
            count = int(np.count_nonzero(loud > loud[0] / GROUP_SPREAD))
            if count >= SMALLEST_GROUP:
                yield known[:count]
            known, loud = known[count:], loud[count:]

    def _loudness(self, numbers: Indices) -> FloatArray:
        """Return the errors of components times their lengths, in units of the cost."""
        return np.array([abs(self.errors[n]) for n in numbers.tolist()]) * self._length[numbers]

    def _as_before(
        self,
        evaluator: SerialEvaluator,
        gradient: FloatArray,
        group: Indices,
        step: float,
        halvings: int = HALVINGS,
    ) -> Sequence[int] | npt.NDArray[np.intp]:
        """Return the members of a group that are shown to be as far off as they were before."""
        room = ROOM * float(self._loudness(group).min())
        answers = (self._off(evaluator, gradient, group, step) for _ in range(VECTORS))
        bar = SAFETY * self._noise.level / step
        if bar > room:
            return group[:0]
        if all(off + bar <= room for off in answers):
            return group
        middle = group.size // 2
        if not halvings or middle < SMALLEST_GROUP:
            return group[:0]
        halves = (
            self._as_before(evaluator, gradient, half, step, halvings - 1)
            for half in (group[:middle], group[middle:])
        )
        return np.concatenate(list(halves))

    def _off(
        self, evaluator: SerialEvaluator, gradient: FloatArray, group: Indices, step: float
    ) -> float:
        """Return how far slopes along a vector over a group lie from what it was before."""
        weights = np.zeros(self._length.size)
        weights[group] = random_weights(self._length[group], self._rng)
        errors = np.array([self.errors[n] for n in group.tolist()])
        terms = weights[group] * (gradient[group] + errors)
        up, down = evaluator.along(weights, (step, -step))
        said, cost0 = float(terms.sum()), evaluator.cost0
        off = max(abs((up - cost0) / step - said), abs((cost0 - down) / step - said))
        return off + SAFETY * EPSILON * float(np.abs(terms).sum())
