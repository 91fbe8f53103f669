"""How the calls that single components need are made: here, one after the other.

`batches` makes many at a time, and `workers` lets other processes make them; what is asked of all
three is the same, and so is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from pytest_gradcheck.directions import line_along
from pytest_gradcheck.ladder import Slope, climb
from pytest_gradcheck.progress import Progress
from pytest_gradcheck.theta import Cells, FloatArray, Numbers, Parameter, Theta

__all__ = ["Asked", "Calls", "Climb", "InTurn", "Rises", "Sides", "swept"]

Asked = Sequence[tuple[Parameter, Numbers]]
"""For each parameter, the numbers of its components."""

Rises = tuple[FloatArray, FloatArray]
"""The cost's rises between either side of components, and the distances between the sides."""

Sides = Iterable[tuple[int, float, float, float]]
"""The places of components, and their values ahead, behind and in the middle."""

Sweep = Callable[[Cells, Sides], list[float]]
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

    def rises(self, components: Asked, steps: Sequence[FloatArray]) -> list[Rises]:
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

    def rises(self, components: Asked, steps: Sequence[FloatArray]) -> list[Rises]:
        """Return the two-sided rises of components, at a step for each."""
        self.progress.expect(sum(numbers.size for _, numbers in components))
        return [
            self._rises(parameter, numbers, step)
            for (parameter, numbers), step in zip(components, steps, strict=True)
        ]

    def _rises(self, parameter: Parameter, numbers: Numbers, steps: FloatArray) -> Rises:
        """Return the rises of components of one parameter, and the distances between their sides.

        The distance is that of the numbers as stored: x + h is rounded, and dividing by 2 h instead
        would spoil half of the digits.
        """
        cells, values = self.theta.cells(parameter), self.theta.base[numbers]
        if isinstance(cells, np.ndarray) and cells.dtype == np.float64:
            cells = cells.data  # a memoryview, which takes single numbers in less time
        plus = self.theta.stored(values + steps, parameter)
        minus = self.theta.stored(values - steps, parameter)
        sides = [side.tolist() for side in (numbers - parameter.start, plus, minus, values)]
        rises: list[float] = []
        for part in self.progress.in_moments(numbers.size):
            rises += self._sweep(cells, zip(*(side[part] for side in sides), strict=True))
        return np.array(rises), plus - minus

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


def swept(cost: Callable[[], float], cells: Cells, sides: Sides) -> list[float]:
    """Return the cost's rises between the sides of one component after the other."""
    rises = []
    for place, ahead, behind, middle in sides:
        cells[place] = ahead
        up = cost()
        cells[place] = behind
        rises.append(up - cost())
        cells[place] = middle
    return rises
