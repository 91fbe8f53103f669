"""How the calls are made that single components need: one by one, or many thetas in a call.

`workers` lets other processes make them. What is asked of all three is the same, and so is the
answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.numdiff.directions import line_along
from pytest_gradcheck.numdiff.ladder import Line, Sides, Slope, climb
from pytest_gradcheck.numdiff.replay import Ladder, climbed_together
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.theta import FloatArray, Indices, Theta
from pytest_gradcheck.problem.pair import BATCHED, Pair
from pytest_gradcheck.progress import Progress
from pytest_gradcheck.settings import Settings

__all__ = [
    "BatchedEvaluator",
    "Differences",
    "Evaluator",
    "LadderRequest",
    "SerialEvaluator",
    "local_evaluator",
]

BLOCK_BYTES = 2**25
"""Bytes that a block of thetas may take."""

BLOCK_ROWS = 128
"""Thetas in a block at most: what the cost makes of them has to fit into memory too, and is fastest
where it fits into a cache."""

TRIED_ROWS = 3
"""Thetas that are asked about together: the one of the check, and one on either side."""

TRIED_DISTANCE = 1e-2
"""How far they lie apart, in lengths of the components: far beyond what rounding may explain."""

TRIED_TOLERANCE = 1e-3
"""By what part of their spread a cost may differ between a block and a theta alone."""

Costs = Callable[[FloatArray], FloatArray]
"""Takes thetas as the rows of an array, and returns the cost of each."""


class Differences(NamedTuple):
    """The costs on both sides of components, and the distances between the sides as stored."""

    ahead: FloatArray
    behind: FloatArray
    widths: FloatArray

    @property
    def slopes(self) -> FloatArray:
        """The central differences."""
        return (self.ahead - self.behind) / self.widths

    @property
    def sizes(self) -> FloatArray:
        """The larger magnitude of the two costs of each component."""
        return np.maximum(np.abs(self.ahead), np.abs(self.behind))


class LadderRequest(NamedTuple):
    """A component that needs a ladder of steps; see `ladder.Line` and `ladder.climb`."""

    number: int
    step: float
    reach: float
    analytic: float
    wide: float
    useful: float = 0.0
    known: Sequence[Sides] = ()
    magnitude: float = math.inf


class Evaluator(Protocol):
    """How the cost is called."""

    theta: Theta
    cost0: float
    progress: Progress

    def cost(self) -> float:
        """Return the cost at the present theta."""

    def along(self, weights: FloatArray, distances: Sequence[float]) -> list[float]:
        """Return the costs at distances along a vector."""

    def differences(self, numbers: Indices, steps: FloatArray) -> Differences:
        """Return the costs on both sides of components, at a step for each."""

    def slopes(
        self, requests: Sequence[LadderRequest], noise: float, suspect: float
    ) -> list[Slope]:
        """Return the slopes of components from ladders of steps."""


class SerialEvaluator:
    """One call after the other, in this process.

    Parameters
    ----------
    cost : callable
        The cost at the present theta.
    theta : Theta
    cost0 : float
        The cost at theta as it stands.
    progress : Progress, optional
    """

    def __init__(
        self,
        cost: Callable[[], float],
        theta: Theta,
        cost0: float,
        progress: Progress | None = None,
    ) -> None:
        self.cost, self.theta, self.cost0 = cost, theta, cost0
        self.progress = progress or Progress()

    def along(self, weights: FloatArray, distances: Sequence[float]) -> list[float]:
        """Return the costs at distances along a vector."""
        costs = []
        everywhere = slice(0, weights.size)
        with self.theta.kept(everywhere):
            for distance in distances:
                self.theta.move(everywhere, weights, distance)
                costs.append(self.cost())
        return costs

    def differences(self, numbers: Indices, steps: FloatArray) -> Differences:
        """Return the costs on both sides of components, at a step for each.

        The distance between the sides is that of the numbers as stored: x + h is rounded, and
        dividing by 2 h instead would spoil half of the digits.
        """
        self.progress.expect(numbers.size)
        theta, values, cost = self.theta, self.theta.base[numbers], self.cost
        plus = theta.stored(values + steps, numbers)
        minus = theta.stored(values - steps, numbers)
        both = np.empty((numbers.size, 2))
        for part in self.progress.chunks(numbers.size):
            homes, places = theta.homes(numbers[part])
            lists = [side.tolist() for side in (places, plus[part], minus[part], values[part])]
            costs: list[float] = []
            note = costs.append
            for cells, place, ahead, behind, middle in zip(homes, *lists, strict=True):
                cells[place] = ahead
                note(cost())
                cells[place] = behind
                note(cost())
                cells[place] = middle
            both[part].reshape(-1)[:] = costs
        return Differences(both[:, 0], both[:, 1], plus - minus)

    def slopes(
        self, requests: Sequence[LadderRequest], noise: float, suspect: float
    ) -> list[Slope]:
        """Return the slopes of components from ladders of steps."""
        self.progress.expect(len(requests))
        slopes = []
        for part in self.progress.chunks(len(requests)):
            slopes += [self._slope(request, noise, suspect) for request in requests[part]]
        return slopes

    def _slope(self, request: LadderRequest, noise: float, suspect: float) -> Slope:
        return climb(self._line(request), request.analytic, noise, request.wide, suspect)

    def _line(self, request: LadderRequest) -> Line:
        place, unit = slice(request.number, request.number + 1), np.ones(1)
        step, reach = request.step, request.reach
        line = line_along(self.cost, self.theta, (place, unit), self.cost0, step, reach)
        useful, known, magnitude = request.useful, request.known, request.magnitude
        return replace(line, useful=useful, known=known, magnitude=magnitude)


class BatchedEvaluator(SerialEvaluator):
    """Components many at a time, and ladders of steps as well.

    A loop over components in Python is replaced by one of NumPy's. A cost that does not keep the
    rows of a block apart would give wrong slopes, so a few thetas are first asked about together
    and alone.

    Parameters
    ----------
    costs : callable
        The costs of many thetas.
    cost, theta, cost0, progress
        As for `SerialEvaluator`.

    See Also
    --------
    refuse_mixed : To be called once before any other method.
    """

    def __init__(
        self,
        costs: Costs,
        cost: Callable[[], float],
        theta: Theta,
        cost0: float,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(cost, theta, cost0, progress)
        self._costs = costs
        self._rows = np.empty((0, theta.base.size))

    def refuse_mixed(self) -> None:
        """Raise a ProblemError, ``bad-setting``, where a theta has another cost among others."""
        base = self.theta.base
        away = TRIED_DISTANCE * lengths(self.theta) * (-1.0) ** np.arange(base.size)
        together = self._costs(np.stack([base - away, base, base + away]))[1:]
        alone = np.array([self.cost0, self._alone(base + away)])
        known = np.isfinite(alone) & np.isfinite(together)
        spread = float(np.ptp(alone[known]))
        slack = TRIED_TOLERANCE * spread + 1e-13 * float(np.max(np.abs(alone[known])))
        off = np.where(known, np.abs(together - alone), 0.0)
        if np.all(off <= slack):
            return
        row = int(np.argmax(off))
        raise ProblemError(
            "bad-setting",
            f"batched=True: among {TRIED_ROWS} thetas one has the cost {float(together[row])!r}, "
            f"and alone {float(alone[row])!r}, so the cost does not keep the thetas of a block "
            f"apart: {BATCHED}",
        )

    def _alone(self, row: FloatArray) -> float:
        with self.theta.at(row):
            return self.cost()

    def along(self, weights: FloatArray, distances: Sequence[float]) -> list[float]:
        """Return the costs at distances along a vector, from one call.

        Rounding is that of a block, too: a BLAS adds up many rows in another order than one.
        """
        if len(distances) * weights.nbytes > BLOCK_BYTES:
            return super().along(weights, distances)
        rows = self.theta.base + np.asarray(distances)[:, None] * weights
        return [float(cost) for cost in self._costs(rows)]

    def _block(self, rows: int) -> FloatArray:
        """Return an array of that many rows at least, each of them theta."""
        if len(self._rows) < rows:
            self._rows = np.empty((rows, self.theta.base.size))
            self._rows[:] = self.theta.base
        return self._rows

    def differences(self, numbers: Indices, steps: FloatArray) -> Differences:
        """Return the costs on both sides of components, at a step for each."""
        self.progress.expect(numbers.size)
        values = self.theta.base[numbers]
        plus, minus = values + steps, values - steps
        ahead, behind = np.empty(numbers.size), np.empty(numbers.size)
        count = max(1, self._block_rows // 2)
        for start in range(0, numbers.size, count):
            part = slice(start, start + count)
            mine = numbers[part]
            costs = self._costs_at(np.tile(mine, 2), np.concatenate([plus[part], minus[part]]))
            ahead[part], behind[part] = costs[: mine.size], costs[mine.size :]
            self.progress.advance(mine.size)
        return Differences(ahead, behind, plus - minus)

    @property
    def _block_rows(self) -> int:
        return min(BLOCK_ROWS, BLOCK_BYTES // (8 * self.theta.base.size))

    def _costs_at(self, numbers: Indices, values: FloatArray) -> FloatArray:
        """Return the costs with components moved to values, each alone."""
        costs = np.empty(numbers.size)
        count = max(2, self._block_rows)
        block = self._block(min(count, numbers.size))
        for start in range(0, numbers.size, count):
            part = slice(start, start + count)
            mine = numbers[part]
            rows, places = block[: mine.size], np.arange(mine.size)
            rows[places, mine] = values[part]
            costs[part] = self._costs(rows)
            rows[places, mine] = self.theta.base[mine]
        return costs

    def slopes(
        self, requests: Sequence[LadderRequest], noise: float, suspect: float
    ) -> list[Slope]:
        """Return the slopes of components from ladders of steps, which ask in blocks."""
        self.progress.expect(len(requests))
        base = self.theta.base
        ladders = [
            Ladder(one.number, float(base[one.number]), self._line(one), one.analytic, one.wide)
            for one in requests
        ]
        slopes = climbed_together(ladders, self._costs_at, noise, suspect)
        self.progress.advance(len(requests))
        return slopes


def local_evaluator(
    pair: Pair, cost0: float, settings: Settings, progress: Progress
) -> SerialEvaluator:
    """Return how calls are made in this process: one theta after the other, or many at once."""
    if settings.batched:
        return BatchedEvaluator(pair.costs, pair.prober(), pair.theta, cost0, progress)
    return SerialEvaluator(pair.prober(), pair.theta, cost0, progress)
