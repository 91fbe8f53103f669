"""Many thetas in one call: for costs that take params with one more leading axis on every leaf.

A loop over components in Python is replaced by one of NumPy's. A cost that does not keep the rows
of a block apart would give wrong slopes, so a few thetas are first asked about together and alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.numdiff.calls import InTurn, Rises
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.theta import FloatArray, Numbers, Theta
from pytest_gradcheck.problem.pair import BATCHED, Pair
from pytest_gradcheck.progress import Progress
from pytest_gradcheck.settings import Settings

__all__ = ["Batched", "made_here"]

BLOCK = 2**25
"""Bytes that a block of thetas may take."""

ROWS = 128
"""Thetas in a block at most: what the cost makes of them has to fit into memory too, and is fastest
where it fits into a cache."""

TRIED = 3
"""Thetas that are asked about together: the one of the check, and one on either side."""

FAR = 1e-2
"""How far they lie apart, in lengths of the components: far beyond what rounding may explain."""

APART = 1e-3
"""By what part of their spread a cost may differ between a block and a theta alone."""

Costs = Callable[[FloatArray], FloatArray]
"""Takes thetas as the rows of an array, and returns the cost of each."""


def made_here(
    pair: Pair, here: float, settings: Settings, progress: Progress, tried: bool = False
) -> InTurn:
    """Return how calls are made in this process: one theta after the other, or many at once."""
    if settings.batched:
        return Batched(pair.costs, pair.prober(), pair.theta, here, progress, tried)
    return InTurn(pair.prober(), pair.theta, here, progress, pair.sweep)


class Batched(InTurn):
    """Components many at a time; ladders of steps one after the other.

    Parameters
    ----------
    costs : callable
        The costs of many thetas.
    cost, theta, here, progress
        As for `InTurn`.
    tried : bool
        Whether they have been compared with thetas alone already.

    Raises
    ------
    ProblemError
        ``bad-setting`` where a theta among others has another cost than alone.
    """

    def __init__(
        self,
        costs: Costs,
        cost: Callable[[], float],
        theta: Theta,
        here: float,
        progress: Progress | None = None,
        tried: bool = False,
    ) -> None:
        super().__init__(cost, theta, here, progress)
        self._costs = costs
        self._rows = np.empty((0, theta.base.size))
        if not tried:
            self._refuse_mixed()

    def _refuse_mixed(self) -> None:
        base = self.theta.base
        away = FAR * lengths(self.theta) * (-1.0) ** np.arange(base.size)
        together = self._costs(np.stack([base - away, base, base + away]))[1:]
        alone = np.array([self.here, self._alone(base + away)])
        known = np.isfinite(alone) & np.isfinite(together)
        slack = APART * float(np.ptp(alone[known])) + 1e-13 * float(np.max(np.abs(alone[known])))
        off = np.where(known, np.abs(together - alone), 0.0)
        if np.all(off <= slack):
            return
        row = int(np.argmax(off))
        raise ProblemError(
            "bad-setting",
            f"batched=True: among {TRIED} thetas one has the cost {float(together[row])!r}, and "
            f"alone {float(alone[row])!r}, so the cost does not keep the thetas of a block apart: "
            f"{BATCHED}",
        )

    def _alone(self, row: FloatArray) -> float:
        with self.theta.at(row):
            return self.cost()

    def along(self, weights: FloatArray, distances: Sequence[float]) -> list[float]:
        """Return the costs at distances along a vector, from one call.

        Rounding is that of a block, too: a BLAS adds up many rows in another order than one.
        """
        if len(distances) * weights.nbytes > BLOCK:
            return super().along(weights, distances)
        rows = self.theta.base + np.asarray(distances)[:, None] * weights
        return [float(cost) for cost in self._costs(rows)]

    def _block(self, rows: int) -> FloatArray:
        """Return an array of that many rows at least, each of them theta."""
        if len(self._rows) < rows:
            self._rows = np.empty((rows, self.theta.base.size))
            self._rows[:] = self.theta.base
        return self._rows

    def rises(self, numbers: Numbers, steps: FloatArray) -> Rises:
        """Return the two-sided rises of components, at a step for each."""
        self.progress.expect(numbers.size)
        values = self.theta.base[numbers]
        plus, minus = values + steps, values - steps
        count = max(1, min(ROWS, BLOCK // (8 * self.theta.base.size)) // 2)
        block = self._block(2 * min(count, numbers.size))
        rises = np.empty(numbers.size)
        for start in range(0, numbers.size, count):
            part = slice(start, start + count)
            mine = numbers[part]
            rows = block[: 2 * mine.size]
            places = np.arange(mine.size)
            rows[places, mine], rows[places + mine.size, mine] = plus[part], minus[part]
            costs = self._costs(rows)
            rises[part] = costs[: mine.size] - costs[mine.size :]
            rows[places, mine] = rows[places + mine.size, mine] = values[part]
            self.progress.advance(mine.size)
        return rises, plus - minus
