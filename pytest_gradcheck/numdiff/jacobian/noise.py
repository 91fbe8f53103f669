"""The rounding noise of every output of a function, from the same few calls.

What `numdiff.noise` does for one cost, with a column for each output: differences of equally
spaced values along one random direction, in which the smooth part dies out with the order (J. J.
Moré and S. M. Wild, Estimating Computational Noise, SIAM J. Sci. Comput. 33 (2011) 1292-1314).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.jacobian.evaluator import VectorEvaluator
from pytest_gradcheck.numdiff.noise.measuring import (
    CROOKED,
    EPSILON,
    FINEST_DECIMAL,
    RETURNED,
    ROW,
    measure,
    order_scales,
)
from pytest_gradcheck.params.theta import FloatArray

__all__ = ["OutputNoise", "measure_outputs"]

ALWAYS = (CROOKED * 1e-12, CROOKED * 1e-6)
"""Spacings at which every output is looked at: a part that computes in float32 stands still at the
first, while the rest of an output moves."""

FURTHER = (CROOKED * 1e-4, CROOKED * 1e-2)
"""Spacings for outputs that have not moved until then."""

BETWEEN = (CROOKED * 1e-5, CROOKED * 1e-7, CROOKED * 1e-8)
"""Spacings at which the grid of outputs that are rounded inside is looked for."""

CLOSELY = 50
"""Outputs at most that are looked at more closely where they are louder."""

LOUDER = 30.0
"""How much noisier an output must seem at a larger spacing for its other side to be asked."""


@dataclass(frozen=True)
class OutputNoise:
    """The noise of each output of a function.

    Attributes
    ----------
    levels : array of shape (m,)
        Standard deviation of the noise of one call, in the units of the output.
    magnitudes : array of shape (m,)
        The largest magnitude of the output that was met.
    moved : bool array of shape (m,)
        Whether the output moved with theta.
    """

    levels: FloatArray
    magnitudes: FloatArray
    moved: npt.NDArray[np.bool_]

    @property
    def relative(self) -> FloatArray:
        """The noise relative to each output, never below float64's rounding unit."""
        size = np.where(self.magnitudes > 0, self.magnitudes, 1.0)
        return np.clip(self.levels / size, EPSILON, 1e-3)


def measure_outputs(
    calls: VectorEvaluator, weights: FloatArray, known: float | None = None
) -> OutputNoise:
    """Measure the noise of every output along one direction.

    Parameters
    ----------
    calls : VectorEvaluator
    weights : array laid out like theta
        The direction, scaled to the sizes of the parameters.
    known : float, optional
        The relative noise, where the user knows it.

    Returns
    -------
    OutputNoise
    """
    outputs0 = calls.outputs0
    magnitudes = np.abs(outputs0)
    levels = np.zeros(outputs0.size)
    settled = np.zeros(outputs0.size, np.bool_)
    seen = [outputs0]
    for spacing in (*ALWAYS, *FURTHER):
        if spacing in FURTHER and settled.all():
            break
        values = _row(calls, weights, spacing)
        finite = np.isfinite(values).all(axis=0)
        magnitudes = np.fmax(magnitudes, np.abs(np.where(finite, values, 0.0)).max(axis=0))
        moving = finite & (np.count_nonzero(np.diff(values, axis=0), axis=0) > ROW // 2)
        found = np.zeros(outputs0.size)
        found[moving] = _levels(values[:, moving])
        louder = settled & (found > LOUDER * np.maximum(levels, 0.5 * EPSILON * magnitudes))
        if louder.any():  # a kink lies on one side; what rounds does so on both
            behind = _row(calls, weights, -spacing)[:, louder]
            found[louder] = np.fmin(found[louder], _levels(behind))
            for number in np.flatnonzero(louder)[:CLOSELY].tolist():
                found[number] = min(found[number], _closely(calls, weights, number))
        levels = np.fmax(levels, np.fmax(found, _jump(values)))
        settled |= moving
        seen += [np.where(finite, row, outputs0) for row in values]
    quantized = _stands_still(seen, magnitudes)
    if quantized.any():
        found = np.zeros(outputs0.size)
        found[quantized] = _grid(calls, weights, seen, quantized)
        levels = np.maximum(levels, found)
    rows = np.stack(seen)
    moved = np.any(rows != outputs0, axis=0)
    levels = np.maximum(levels, 0.5 * EPSILON * magnitudes)
    levels = np.maximum(levels, _quanta(rows))
    if known is not None:
        levels = np.maximum(levels, known * magnitudes)
    return OutputNoise(levels, magnitudes, moved)


def _closely(calls: VectorEvaluator, weights: FloatArray, number: int) -> float:
    """Return the noise of one output, measured as that of a cost, which tells jumps from bends."""

    def along(distances: Sequence[float]) -> list[float]:
        return [float(value) for value in calls.along(weights, distances)[:, number]]

    return measure(along, float(calls.outputs0[number])).level


def _row(calls: VectorEvaluator, weights: FloatArray, spacing: float) -> FloatArray:
    """Return values on one side of theta, on the other where the first leaves the domain."""
    distances = [i * spacing for i in range(1, ROW + 1)]
    values = calls.along(weights, distances)
    if np.isfinite(values).all():
        return values
    other = calls.along(weights, [-distance for distance in distances])
    return np.where(np.isfinite(values).all(axis=0), values, other)


def _levels(values: FloatArray) -> FloatArray:
    """Return the noise that the tables of differences show, one of each column of values.

    The first order counts at which three successive estimates agree within a factor of four while
    the differences still change sign; without one, the second smallest of the orders above the
    first (see `numdiff.noise.measuring`).
    """
    largest = np.abs(values).max(axis=0)
    largest[largest == 0] = 1.0
    differences = np.diff(values, axis=0) / largest
    estimates, changing = [], []
    for scale in order_scales(ROW):
        estimates.append(np.sqrt(scale * np.square(differences).sum(axis=0)))
        changing.append((differences.min(axis=0) < 0) & (differences.max(axis=0) > 0))
        differences = np.diff(differences, axis=0)
    table = np.stack(estimates)
    result = _second_smallest(table[1:])
    found = np.zeros(values.shape[1], np.bool_)
    for order in range(len(estimates) - 2):
        three = table[order : order + 3]
        plain = changing[order] & (three.max(axis=0) <= 4 * three.min(axis=0)) & ~found
        result[plain] = table[order, plain]
        found |= plain
    return np.asarray(result * largest, np.float64)


def _jump(values: FloatArray) -> FloatArray:
    """Return the noise of columns that stand still between jumps of one size, 0 for others.

    A part that computes in float32 shows as a jump between two stands, or a stand between two
    jumps; a kink shows as neither.
    """
    steps = np.abs(np.diff(values, axis=0))
    stands = steps == 0
    alone = (stands[1:-1] != stands[:-2]) & (stands[1:-1] != stands[2:])
    smallest = np.where(stands, np.inf, steps).min(axis=0)
    quantum = np.where(np.isfinite(smallest), smallest, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        multiples = steps / quantum
    even = np.all(np.abs(multiples - np.round(multiples)) <= 0.01 * multiples, axis=0)
    found: FloatArray = np.where(alone.any(axis=0) & even, quantum, 0.0) / sqrt(12)
    return found


def _stands_still(seen: list[FloatArray], magnitudes: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which outputs stand still at a spacing where their slope is to move them.

    They are rounded inside to something coarser than float64, and may step by equal quanta, which
    differences of a high order do not show.
    """
    rows = [np.stack(seen[k : k + ROW]) for k in range(1, len(seen), ROW)]
    moves = [np.abs(np.diff(row, axis=0)).max(axis=0) for row in rows]
    spacings = (*ALWAYS, *FURTHER)[: len(rows)]
    slope = np.max([move / h for move, h in zip(moves, spacings, strict=True)], axis=0)
    found = np.zeros(magnitudes.size, np.bool_)
    for move, spacing in zip(moves, spacings, strict=True):
        due = slope * spacing * ROW > 8 * EPSILON * magnitudes
        found |= due & (move == 0)
    return found


def _grid(
    calls: VectorEvaluator,
    weights: FloatArray,
    seen: list[FloatArray],
    quantized: npt.NDArray[np.bool_],
) -> FloatArray:
    """Return the noise of outputs that lie on a grid: the smallest step that they make."""
    smallest = np.full(np.count_nonzero(quantized), np.inf)
    rows = [np.stack(seen)[:, quantized]]
    rows += [_row(calls, weights, spacing)[:, quantized] for spacing in BETWEEN]
    for values in rows:
        steps = np.abs(np.diff(values, axis=0))
        smallest = np.minimum(smallest, np.where(steps > 0, steps, np.inf).min(axis=0))
    return np.asarray(np.where(np.isfinite(smallest), smallest, 0.0) / sqrt(12), np.float64)


def _second_smallest(table: FloatArray) -> FloatArray:
    """Return the second smallest of each column's numbers other than 0, the smallest of two."""
    bent = np.sort(np.where(table > 0, table, np.inf), axis=0)
    several = np.isfinite(bent[2]) if len(bent) > 2 else np.zeros(bent.shape[1], np.bool_)
    result = np.where(several, bent[1], bent[0])
    return np.asarray(np.where(np.isfinite(result), result, 0.0), np.float64)


def _quanta(rows: FloatArray) -> FloatArray:
    """Return the noise of outputs that are rounded in the end, to float32 or to some decimals."""
    spacing = np.zeros(rows.shape[1])
    several = np.array([len(set(column)) >= 3 for column in rows.T.tolist()])
    if not several.any():
        return spacing
    values = rows[:, several]
    largest = np.abs(values).max(axis=0)
    quantum = np.zeros(values.shape[1])
    on_grid = largest * 10.0**FINEST_DECIMAL <= 1 / EPSILON
    for digits in range(FINEST_DECIMAL, -1, -1):
        if not on_grid.any():
            break
        on_grid &= np.all(np.round(values, digits) == values, axis=0)
        quantum[on_grid] = 10.0**-digits
    fits = np.ones(values.shape[1], np.bool_)
    for kind in RETURNED:
        most = float(np.finfo(kind).max)
        rounded = values.astype(kind)
        fits &= (largest < most) & np.all(rounded.astype(np.float64) == values, axis=0)
        grain = np.spacing(np.where(largest < most, largest, 1.0).astype(kind)).astype(np.float64)
        quantum[fits] = np.maximum(quantum[fits], grain[fits])
    spacing[several] = quantum / sqrt(12)
    return spacing
