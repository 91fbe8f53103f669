"""Many thetas in one call: for costs that take params with one more leading axis on every leaf.

A loop over components in Python is replaced by one of NumPy's. A cost that does not keep the rows
of a block apart would give wrong slopes, so a few thetas are first asked about together and alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pytest_gradcheck.calls import InTurn, Rises
from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.problem import BATCHED
from pytest_gradcheck.progress import Progress
from pytest_gradcheck.scales import lengths
from pytest_gradcheck.theta import FloatArray, Numbers, Parameter, Theta

__all__ = ["Batched"]

BLOCK = 2**25
"""Bytes that a block of thetas may take."""

ROWS = 256
"""Thetas in a block at most: what the cost makes of them has to fit into memory too, and is fastest
where it fits into a cache."""

TRIED = 4
"""Thetas that are asked about together and alone."""

FAR = 1e-2
"""How far they lie apart, in lengths of the components: far beyond what rounding may explain."""

APART = 1e-3
"""By what part of their spread a cost may differ between a block and a theta alone."""

Costs = Callable[[FloatArray], FloatArray]
"""Takes thetas as the rows of an array, and returns the cost of each."""


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
        signs = (-1.0) ** (np.arange(base.size) // np.arange(1, TRIED)[:, None])
        rows = np.concatenate([base[None], base + FAR * lengths(self.theta) * signs])
        alone = np.array([self.here, *(self._alone(row) for row in rows[1:])])
        together = self._costs(rows)
        known = np.isfinite(alone) & np.isfinite(together)
        slack = APART * float(np.ptp(alone[known])) + 1e-13 * float(np.max(np.abs(alone[known])))
        off = np.abs(together - alone)
        if np.all(off[known] <= slack):
            return
        row = int(np.argmax(np.where(known, off, 0.0)))
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
        rows = self.theta.base + np.asarray(distances)[:, None] * weights
        if rows.nbytes > BLOCK:
            return super().along(weights, distances)
        return [float(cost) for cost in self._costs(rows)]

    def _block(self, rows: int) -> FloatArray:
        """Return an array of that many rows at least, each of them theta."""
        if len(self._rows) < rows:
            self._rows = np.tile(self.theta.base, (rows, 1))
        return self._rows

    def _rises(self, parameter: Parameter, numbers: Numbers, steps: FloatArray) -> Rises:
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
