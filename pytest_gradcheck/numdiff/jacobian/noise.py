"""The rounding noise of every output of a function, from the same few calls.

What `numdiff.noise` does for one cost, with a column for each output: differences of equally
spaced values along one random direction, in which the smooth part dies out with the order (J. J.
Moré and S. M. Wild, Estimating Computational Noise, SIAM J. Sci. Comput. 33 (2011) 1292-1314).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.jacobian.evaluator import VectorEvaluator
from pytest_gradcheck.numdiff.ladder import EPSILON
from pytest_gradcheck.numdiff.noise.jumps import ROW
from pytest_gradcheck.numdiff.noise.measuring import CROOKED, measure
from pytest_gradcheck.numdiff.noise.rows import FINEST_DECIMAL, RETURNED, order_scales
from pytest_gradcheck.params.theta import FloatArray

__all__ = ["OutputNoise", "measure_outputs"]

ALWAYS = (CROOKED * 1e-12, CROOKED * 1e-6)
"""Spacings at which every output is looked at: a part that computes in float32 stands still at the
first, while the rest of an output moves."""

FURTHER = (CROOKED * 1e-4, CROOKED * 1e-2)
"""Spacings for outputs that have not moved until then."""

BETWEEN = (CROOKED * 1e-5, CROOKED * 1e-7, CROOKED * 1e-8)
"""Spacings at which the grid of outputs that are rounded inside is looked for."""

FAR = (0.1, -0.1, 0.4, -0.4)
"""Distances for outputs that have fewer than `FEWEST` values until then."""

FEWEST = 3
"""So many values on a grid are no chance."""

CLOSELY = 50
"""Outputs at most that are looked at more closely where they are louder."""

LOUDER = 30.0
"""How much noisier an output must seem at a larger spacing for its other side to be asked."""

FAR_LOUDER = 1000.0
"""The same for an output that seems to bend once, and may do so at the first spacing."""

STRAIGHT = 0.1
"""What part of the largest second difference others have on a straight line."""


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
    noise, rows, several = _ahead(calls, weights)
    if not several.all():
        noise = _further_off(calls, weights, noise, rows, ~several)
    if known is None:
        return noise
    return replace(noise, levels=np.maximum(noise.levels, known * noise.magnitudes))


def _has_several(rows: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which columns have so many values that a grid of all of them is no chance."""
    return np.array([len(set(column)) >= FEWEST for column in rows.T.tolist()], np.bool_)


def _further_off(
    calls: VectorEvaluator,
    weights: FloatArray,
    noise: OutputNoise,
    rows: FloatArray,
    few: npt.NDArray[np.bool_],
) -> OutputNoise:
    """Return the noise with that of outputs that hardly move on one side, seen further off.

    A clipped output at its bound shows no noise on the side where it stands still. One that is
    rounded to float32 beside a large constant may have hardly any slope along this direction, so
    every other component goes the other way.
    """
    far = calls.along(weights * (-1.0) ** np.arange(weights.size), FAR)
    moved = (np.isfinite(far) & (far != calls.outputs0)).any(axis=0)
    levels, magnitudes = noise.levels.copy(), noise.magnitudes
    both = np.vstack([rows, np.where(np.isfinite(far), far, calls.outputs0)])[:, few]
    levels[few] = np.maximum(levels[few], _quanta(both, _has_several(both)))
    still = few & ~noise.moved & moved
    if still.any():
        behind, _, _ = _ahead(calls, -weights)
        levels = np.where(still, np.maximum(levels, behind.levels), levels)
        magnitudes = np.where(still, np.maximum(magnitudes, behind.magnitudes), magnitudes)
    return OutputNoise(levels, magnitudes, noise.moved | moved)


def _ahead(
    calls: VectorEvaluator, weights: FloatArray
) -> tuple[OutputNoise, FloatArray, npt.NDArray[np.bool_]]:
    """Measure the noise of every output on one side of theta.

    Return it, the outputs there, and which of them have several values.
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
        plain = np.maximum(levels, 0.5 * EPSILON * magnitudes)
        louder = settled & (found > LOUDER * plain)
        louder |= moving & (found > FAR_LOUDER * plain) & _bends_once(values)
        if louder.any():  # a kink lies on one side; what rounds does so on both
            behind = _row(calls, weights, -spacing)[:, louder]
            other = np.where(np.ptp(behind, axis=0) > 0, _levels(behind), np.inf)
            found[louder] = np.fmin(found[louder], other)
            for number in np.flatnonzero(louder & settled)[:CLOSELY].tolist():
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
    several = _has_several(rows)
    levels = np.maximum(levels, _quanta(rows, several))
    return OutputNoise(levels, magnitudes, moved), rows, several


def _bends_once(values: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which columns of equally spaced values lie on two straight lines, as at a kink.

    Their second differences are 0 but for one, or two of one sign that are neighbours. Those of
    noise have either sign.
    """
    second = np.diff(values, n=2, axis=0)
    sizes = np.sort(np.abs(second), axis=0)
    alone = sizes[-3] <= STRAIGHT * sizes[-1]
    return np.asarray(alone & (np.abs(second.sum(axis=0)) >= (1 - STRAIGHT) * sizes.sum(axis=0)))


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
    """Return which outputs stand still at a spacing where their slope further off is to move them.

    They are rounded inside to something coarser than float64, and may step by equal quanta, which
    differences of a high order do not show. An output that moves next to theta and stands still
    further off has passed a kink.
    """
    rows = [np.stack(seen[k : k + ROW]) for k in range(1, len(seen), ROW)]
    moves = [np.abs(np.diff(row, axis=0)).max(axis=0) for row in rows]
    spacings = (*ALWAYS, *FURTHER)[: len(rows)]
    found = np.zeros(magnitudes.size, np.bool_)
    slope = np.zeros(magnitudes.size)
    for spacing, move in sorted(zip(spacings, moves, strict=True), key=itemgetter(0), reverse=True):
        due = slope * spacing * ROW > 8 * EPSILON * magnitudes
        found |= due & (move == 0)
        slope = np.maximum(slope, move / spacing)
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


def _quanta(rows: FloatArray, several: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the noise of outputs that are rounded in the end, to float32 or to some decimals."""
    spacing = np.zeros(rows.shape[1])
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
