"""Slopes of many outputs along directions, and the ladders that single ones climb."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.jacobian.evaluator import Direction, VectorEvaluator
from pytest_gradcheck.numdiff.jacobian.noise import OutputNoise
from pytest_gradcheck.numdiff.ladder import EPSILON, RATIO, Line, Slope, climb
from pytest_gradcheck.numdiff.refinement.undecided import storage_unit
from pytest_gradcheck.params.theta import FloatArray, Indices

__all__ = ["Climber", "Column", "Pass", "Slopes"]

Pass = tuple[float, Indices | None]
"""A step, and the outputs that it serves; None where it serves all of them."""


@dataclass(frozen=True)
class Slopes:
    """The slopes of m outputs along k directions.

    Attributes
    ----------
    values, error_bars : arrays of shape (k, m)
        The approximations, and bounds of their errors, safety factor included.
    kinds : int8 array of shape (k, m)
        Numbers of `Kind`.
    gaps : float32 array of shape (k, m)
        By how much the one-sided slope ahead exceeded that behind, in the first pass.
    sides : dict
        (direction, output) to its slopes on the left and on the right, at kinks.
    steps : list of k lists
        Of each direction, the steps of its first pass as stored, each with the outputs that it
        served; None where it served all of them.
    settled : bool
        Whether the first pass has shown all entries to be right.
    """

    values: FloatArray
    error_bars: FloatArray
    kinds: npt.NDArray[np.int8]
    gaps: npt.NDArray[np.float32]
    sides: dict[tuple[int, int], tuple[float, float]]
    steps: list[list[Pass]]
    settled: bool = False


@dataclass(frozen=True)
class Column:
    """One direction, with what is known of all outputs along it."""

    direction: Direction
    number: int
    slopes: Slopes
    analytic: FloatArray
    wide: FloatArray

    @property
    def values(self) -> FloatArray:
        """Approximations so far, a view to write into."""
        row: FloatArray = self.slopes.values[self.number]
        return row

    @property
    def bars(self) -> FloatArray:
        """Their error bars, a view to write into."""
        row: FloatArray = self.slopes.error_bars[self.number]
        return row

    def record(self, output: int, slope: Slope) -> None:
        """Note the slope of one output."""
        self.values[output], self.bars[output] = slope.value, slope.error_bar
        self.slopes.kinds[self.number, output] = slope.kind
        if slope.sides is not None:
            self.slopes.sides[self.number, output] = slope.sides


class Climber:
    """Climbs the ladder for one entry after the other, over calls that a direction's share."""

    def __init__(
        self, calls: VectorEvaluator, noise: OutputNoise, suspect: float, most: int
    ) -> None:
        self._calls, self._noise, self._suspect = calls, noise, suspect
        self._left = most

    def climb(self, column: Column, entries: Indices) -> None:
        """Record the slopes of entries along one direction."""
        made: dict[float, tuple[float, FloatArray]] = {}
        direction = column.direction

        def at(distance: float) -> tuple[float, FloatArray]:
            if distance not in made:
                made[distance] = self._calls.at(direction, distance)
            return made[distance]

        for output in entries.tolist():
            if not self._left:
                column.bars[output] = math.inf
                continue
            self._left -= 1
            column.record(output, self._climbed(column, output, at))

    def _climbed(self, column: Column, output: int, at: object) -> Slope:
        assert callable(at)

        def of_output(distance: float) -> tuple[float, float]:
            moved, outputs = at(distance)
            return moved, float(outputs[output])

        reach = column.direction.reach
        share = math.log(float(np.cbrt(self._noise.relative[output])), RATIO)
        step = RATIO ** round(share) * reach  # outputs of like noise share their rungs
        line = Line(
            of_output,
            float(self._calls.outputs0[output]),
            step,
            reach,
            self._least(column.direction),
            unit=storage_unit(self._calls.theta),
        )
        analytic, wide = float(column.analytic[output]), float(column.wide[output])
        return climb(line, analytic, float(self._noise.levels[output]), wide, self._suspect)

    def _least(self, direction: Direction) -> float:
        """Return the smallest distance that makes sense: a few units in the last place."""
        theta = self._calls.theta
        unit = 1e-17 * min(direction.reach, 1.0)
        if direction.weights.size > 1:
            grain = (
                max(float(np.finfo(p.dtype).eps) for p in theta.selected) if theta.inplace else 0
            )
            return 8 * max(unit, grain if grain > EPSILON else 0.0)
        original = float(theta.base[direction.place][0])
        if original:
            number = int(np.arange(theta.base.size)[direction.place][0])
            unit = theta.spacing(original, theta.owner(number)) / abs(float(direction.weights[0]))
        return 8 * unit
