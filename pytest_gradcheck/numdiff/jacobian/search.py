"""The columns in which a matrix is wrong, found by halving a direction that shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.jacobian.evaluator import Direction, VectorEvaluator
from pytest_gradcheck.numdiff.jacobian.noise import OutputNoise
from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY
from pytest_gradcheck.params.theta import FloatArray, Indices

__all__ = ["Found", "Residual", "Residuals", "locate"]

NEAR = 1e-3
"""The largest step along many components, in their lengths: beyond it kinks come in reach."""

CLEAR = 2.0
"""Error bars by which a residual has to stand out to be followed."""


class Residual(NamedTuple):
    """How far the slopes of all outputs along a direction are from the matrix, and the bars."""

    off: FloatArray
    bars: FloatArray

    def loud(self, outputs: npt.NDArray[np.bool_]) -> bool:
        """Return whether any of some outputs is off beyond its error bar."""
        with np.errstate(invalid="ignore"):
            return bool(np.any((np.abs(self.off) > CLEAR * self.bars) & outputs))


class Found(NamedTuple):
    """What a search came to.

    Attributes
    ----------
    columns : list of int
        The components of theta whose columns are off.
    complete : bool
        Whether all that was loud has been followed to its end.
    """

    columns: list[int]
    complete: bool


class Residuals:
    """Asks how far the outputs move along parts of one vector, beside what the matrix says.

    Parameters
    ----------
    calls : VectorEvaluator
    noise : OutputNoise
    along : callable
        Returns the matrix's slopes along a vector over theta.
    weights : array laid out like theta
        The vector.
    grain : float
        The rounding unit of the matrix's own digits.
    """

    def __init__(
        self,
        calls: VectorEvaluator,
        noise: OutputNoise,
        along: Callable[[FloatArray], FloatArray],
        weights: FloatArray,
        grain: float,
    ) -> None:
        self._calls, self._noise, self._along = calls, noise, along
        self._weights, self._grain = weights, grain
        self.asked = 0

    def ask(self, numbers: Indices) -> Residual:
        """Return the residual along the part of the vector in some components, from two calls."""
        self.asked += 2
        share = float(np.cbrt(np.median(self._noise.relative)))
        step = min(share / numbers.size**0.125, NEAR)
        part = np.zeros_like(self._weights)
        part[numbers] = self._weights[numbers]
        said = self._along(part)
        sides = self._calls.sides(Direction(numbers, self._weights[numbers], 1.0), step)
        slopes = sides.slopes
        level = np.maximum(self._noise.levels, 0.5 * EPSILON * sides.largest())
        bars = 2 * SAFETY * level / (sides.ahead + sides.behind)
        bars += SAFETY * self._grain * np.log2(2 + numbers.size) * (np.abs(said) + np.abs(slopes))
        bars += 0.5 * step * np.abs(sides.gaps(self._calls.outputs0))
        return Residual(slopes - said, bars)


def locate(
    residuals: Residuals, numbers: Indices, outputs: npt.NDArray[np.bool_], most: int
) -> Found:
    """Return the columns among some in which outputs are off, in at most so many calls."""
    columns: list[int] = []
    stack = [(numbers, residuals.ask(numbers))]
    while stack:
        if residuals.asked >= most:
            return Found(sorted(columns), False)
        part, whole = stack.pop()
        if not whole.loud(outputs):
            continue
        if part.size == 1:
            columns.append(int(part[0]))
            continue
        middle = part.size // 2
        first = residuals.ask(part[:middle])
        rest = Residual(whole.off - first.off, whole.bars + first.bars)
        stack.append((part[:middle], first))
        if part.size - middle == 1 or rest.loud(outputs):
            stack.append((part[middle:], residuals.ask(part[middle:])))
    return Found(sorted(columns), True)
