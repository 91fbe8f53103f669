"""How the calls that single components need are made: here, one after the other.

`batches` makes many at a time, and `workers` lets other processes make them; what is asked of all
three is the same, and so is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from pytest_gradcheck.numdiff.directions import line_along
from pytest_gradcheck.numdiff.ladder import Slope, climb
from pytest_gradcheck.params.theta import Cells, FloatArray, Numbers, Theta
from pytest_gradcheck.progress import Progress

__all__ = ["Calls", "Climb", "InTurn", "Rises", "Sides", "between", "swept"]

Rises = tuple[FloatArray, FloatArray]
"""The cost's rises between either side of components, and the distances between the sides."""

Sides = Iterable[tuple[int, float, float, float]]
"""The places of components, and their values ahead, behind and in the middle."""

Sweep = Callable[[Cells, Sides], FloatArray]
"""Returns the cost's rises between the sides of one component after the other."""


class Climb(NamedTuple):
    """A component that needs a ladder of steps; see `ladder.Line` and `ladder.climb`."""

    number: int
    step: float
    reach: float
    analytic: float
    wide: float


class Calls(Protocol):
    """How the cost is called."""

    theta: Theta
    here: float
    progress: Progress

    def cost(self) -> float:
        """Return the cost at the present theta."""

    def along(self, weights: FloatArray, distances: Sequence[float]) -> list[float]:
        """Return the costs at distances along a vector."""

    def rises(self, numbers: Numbers, steps: FloatArray) -> Rises:
        """Return the two-sided rises of components, at a step for each."""

    def climbed(self, climbs: Sequence[Climb], noise: float, suspect: float) -> list[Slope]:
        """Return the slopes of components from ladders of steps."""


class InTurn:
    """One call after the other, in this process.

    Parameters
    ----------
    cost : callable
        The cost at the present theta.
    theta : Theta
    here : float
        The cost at theta as it stands.
    progress : Progress, optional
    sweep : callable, optional
        Does what `swept` does with `cost`, faster.
    """

    def __init__(
        self,
        cost: Callable[[], float],
        theta: Theta,
        here: float,
        progress: Progress | None = None,
        sweep: Sweep | None = None,
    ) -> None:
        self.cost, self.theta, self.here = cost, theta, here
        self.progress = progress or Progress()
        self._sweep = sweep or partial(swept, cost)

    def along(self, weights: FloatArray, distances: Sequence[float]) -> list[float]:
        """Return the costs at distances along a vector."""
        costs = []
        everywhere = slice(0, weights.size)
        with self.theta.kept(everywhere):
            for distance in distances:
                self.theta.move(everywhere, weights, distance)
                costs.append(self.cost())
        return costs

    def rises(self, numbers: Numbers, steps: FloatArray) -> Rises:
        """Return the two-sided rises of components, at a step for each.

        The distance between the sides is that of the numbers as stored: x + h is rounded, and
        dividing by 2 h instead would spoil half of the digits.
        """
        self.progress.expect(numbers.size)
        theta, values = self.theta, self.theta.base[numbers]
        plus = theta.stored(values + steps, numbers)
        minus = theta.stored(values - steps, numbers)
        rises = np.empty(numbers.size)
        for cells, places, run in theta.runs(numbers):
            sides = places, plus[run], minus[run], values[run]
            for part in self.progress.in_moments(places.size):
                lists = [side[part].tolist() for side in sides]
                rises[run][part] = self._sweep(cells, zip(*lists, strict=True))
        return rises, plus - minus

    def climbed(self, climbs: Sequence[Climb], noise: float, suspect: float) -> list[Slope]:
        """Return the slopes of components from ladders of steps."""
        self.progress.expect(len(climbs))
        slopes = []
        for part in self.progress.in_moments(len(climbs)):
            slopes += [self._climbed(one, noise, suspect) for one in climbs[part]]
        return slopes

    def _climbed(self, one: Climb, noise: float, suspect: float) -> Slope:
        place, unit = slice(one.number, one.number + 1), np.ones(1)
        line = line_along(self.cost, self.theta, place, unit, self.here, one.step, one.reach)
        return climb(line, one.analytic, noise, one.wide, suspect)


def swept(cost: Callable[[], float], cells: Cells, sides: Sides) -> FloatArray:
    """Return the cost's rises between the sides of one component after the other."""
    costs = []
    for place, ahead, behind, middle in sides:
        cells[place] = ahead
        costs.append(cost())
        cells[place] = behind
        costs.append(cost())
        cells[place] = middle
    return between(costs)


def between(costs: Sequence[float]) -> FloatArray:
    """Return the rises between costs that were taken in pairs."""
    pairs = np.fromiter(costs, np.float64, len(costs))
    return pairs[::2] - pairs[1::2]
