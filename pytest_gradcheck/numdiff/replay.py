"""Ladders of many components at once: what all of them ask next is asked in one block.

A ladder asks for one cost after the other, and what it asks depends on the answers. So each ladder
is climbed on the costs that are known; where it asks for one that is not, it stops there, and is
climbed again from the start once the block with all such costs has come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pytest_gradcheck.numdiff.ladder import RATIO, SPAN, Line, Slope, climb
from pytest_gradcheck.params.theta import FloatArray, Indices

__all__ = ["Ladder", "climbed_together"]

CostsAt = Callable[[Indices, FloatArray], FloatArray]
"""Takes components and a value for each, and returns the costs with each of them moved alone."""


class _MissingError(Exception):
    """A ladder asked for a cost that is not known yet."""

    def __init__(self, distance: float) -> None:
        super().__init__(distance)
        self.distance = distance


@dataclass
class Ladder:
    """A ladder of one component, and the costs along it that are known.

    Attributes
    ----------
    number : int
    origin : float
        The component at theta.
    line : Line
        Its `at` is not called.
    analytic, tolerance : float
        See `ladder.climb`.
    costs : dict
        By distance: the distance as stored, and the cost.
    """

    number: int
    origin: float
    line: Line
    analytic: float
    tolerance: float
    costs: dict[float, tuple[float, float]] = field(default_factory=dict)

    def first_distances(self) -> list[float]:
        """Return the distances that the ladder begins with."""
        steps = [self.line.step * RATIO**power for power in range(-SPAN, SPAN + 1)]
        steps = [step for step in steps if self.line.finest <= step <= self.line.reach]
        return [side for step in steps if not self._is_known(step) for side in (step, -step)]

    def _is_known(self, step: float) -> bool:
        return any(sides.is_at(step) for sides in self.line.known)

    def climb(self, noise: float, suspect: float) -> Slope | list[float]:
        """Return the slope, or the distances of the costs that are missing."""
        line = replace(self.line, at=self._cost)
        try:
            return climb(line, self.analytic, noise, self.tolerance, suspect)
        except _MissingError as error:
            both = (error.distance, -error.distance)
            return [distance for distance in both if distance not in self.costs]

    def _cost(self, distance: float) -> tuple[float, float]:
        if distance not in self.costs:
            raise _MissingError(distance)
        return self.costs[distance]


def climbed_together(
    ladders: Sequence[Ladder], costs_at: CostsAt, noise: float, suspect: float
) -> list[Slope]:
    """Return the slopes of ladders, in their order.

    Parameters
    ----------
    ladders : sequence of Ladder
    costs_at : callable
        Takes components and values of theirs; returns the cost for each.
    noise, suspect : float
        See `ladder.climb`.
    """
    slopes: dict[int, Slope] = {}
    missing = {k: ladder.first_distances() for k, ladder in enumerate(ladders)}
    while missing:
        _ask([(ladders[k], distance) for k, row in missing.items() for distance in row], costs_at)
        answers = {k: ladders[k].climb(noise, suspect) for k in missing}
        slopes |= {k: answer for k, answer in answers.items() if isinstance(answer, Slope)}
        missing = {k: answer for k, answer in answers.items() if isinstance(answer, list)}
    return [slopes[k] for k in range(len(ladders))]


def _ask(wanted: Sequence[tuple[Ladder, float]], costs_at: CostsAt) -> None:
    """Note costs along ladders."""
    if not wanted:
        return
    numbers = np.array([ladder.number for ladder, _ in wanted])
    origins = np.array([ladder.origin for ladder, _ in wanted])
    values = origins + np.array([distance for _, distance in wanted])
    rows = zip(wanted, (values - origins).tolist(), costs_at(numbers, values).tolist(), strict=True)
    for (ladder, distance), moved, cost in rows:
        ladder.costs[distance] = moved, cost
