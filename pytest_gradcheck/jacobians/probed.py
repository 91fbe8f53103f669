"""A large matrix: compared along random vectors, then searched.

Every call returns all outputs, so one random vector over the components shows all wrong rows;
bisection finds the columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.jacobians.columns import judged_columns, slopes_of
from pytest_gradcheck.jacobians.unnamed import unnamed
from pytest_gradcheck.jacobians.work import Work
from pytest_gradcheck.numdiff.jacobian.columns import all_columns, drawn_columns, random_weights
from pytest_gradcheck.numdiff.jacobian.evaluator import Direction
from pytest_gradcheck.numdiff.jacobian.search import Found, Residual, Residuals, locate
from pytest_gradcheck.numdiff.jacobian.slopes import Slopes, Target
from pytest_gradcheck.numdiff.jacobian.vectors import slopes_along_vectors
from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY
from pytest_gradcheck.numdiff.sampling import FULL
from pytest_gradcheck.params.scales import finite_or_zero, rms
from pytest_gradcheck.params.theta import FloatArray, Indices
from pytest_gradcheck.problem.jacobian.matrices import OperatorMatrix
from pytest_gradcheck.report.report import Finding
from pytest_gradcheck.verdict.jacobian.entries import Table, tabled
from pytest_gradcheck.verdict.judge import Verdict

__all__ = ["Seen", "is_large", "is_matrix_probed", "probed_table"]

ENTRIES = 10_000_000
"""Entries up to which ``mode="auto"`` takes them all."""

SINGLE = 2.0**-24
"""The rounding unit of a matrix whose numbers are of float32."""

CROWDED = 0.25
"""The share of wrong columns among the sampled beyond which no search is made."""


class Seen(NamedTuple):
    """The residuals of a matrix along random vectors, and their resolutions.

    Attributes
    ----------
    residuals : list of Residual
        One for each vector.
    by_output, by_parameter : array
        The smallest relative error that would show, of an entry of the usual size in that output or
        parameter.
    """

    residuals: list[Residual]
    by_output: FloatArray
    by_parameter: FloatArray


def is_matrix_probed(work: Work) -> bool:
    """Return whether the matrix is compared along random vectors."""
    if work.settings.mode == "probe":
        return True
    return is_large(work) and work.settings.eps is None and work.projection is None


def is_large(work: Work) -> bool:
    """Return whether ``mode="auto"`` samples entries."""
    size = work.theta.checked_size
    large = size > FULL or size * work.calls.outputs0.size > ENTRIES
    return work.settings.mode == "auto" and large


def probed_table(work: Work, point: str) -> tuple[Table, Seen, tuple[Finding, ...]]:
    """Compare all entries along random vectors, and some columns one by one.

    All columns are, where a search does not explain what vectors show and the calls that it may
    take are enough. What is left then is no fault of outputs that have an entry at a kink.

    Returns
    -------
    Table
        The columns that were differenced: samples, and what a search found.
    Seen
    tuple of Finding
        Errors that were not located.
    """
    seen = _seen(work)
    loud = np.any([np.abs(one.off) > 2 * one.bars for one in seen.residuals], axis=0)
    samples = work.settings.samples if work.settings.mode == "auto" else 1
    numbers = _drawn(work, samples)
    table = tabled(*judged_columns(work, numbers))
    if not loud.any():
        return table, seen, ()
    wrong = np.unique(table.numbers[table.codes >= Verdict.SUSPECT])
    if wrong.size > max(1, CROWDED * numbers.size):
        return table, seen, ()
    found = _searched(work, loud)
    fresh = np.setdiff1d(np.array(found.columns, np.intp), numbers)
    table = _with_columns(work, table, fresh)
    left = _unexplained(work, table, seen.residuals[0])
    rest = np.setdiff1d(all_columns(work.theta), table.numbers)
    if left.any() and 2 * rest.size <= work.settings.search_calls:
        table = _with_columns(work, table, rest)
        left = _unexplained(work, table, seen.residuals[0]) & ~_at_kinks(table, left.size)
    along = "a random vector over the parameters"
    return table, seen, unnamed(work, left, found.complete, along, point)


def _with_columns(work: Work, table: Table, numbers: Indices) -> Table:
    """Return a table with further columns."""
    if not numbers.size:
        return table
    return table.joined(tabled(*judged_columns(work, numbers)))


def _drawn(work: Work, samples: int) -> Indices:
    """Draw this many components in all, from every parameter if there are few."""
    drawn = drawn_columns(work.theta, samples, work.seed)
    if drawn.size <= samples:
        return drawn
    return np.sort(drawn[:: -(-drawn.size // samples)])


def _seen(work: Work) -> Seen:
    """Return the residuals along random vectors, and their resolutions."""
    numbers, count = all_columns(work.theta), work.theta.checked_size
    vectors = [_vector(work, k) for k in range(work.settings.probes)]
    directions = [Direction(numbers, weights[numbers], 1.0) for weights in vectors]
    analytic = np.stack([work.matrix.along(weights) for weights in vectors])
    usual = np.sqrt(np.mean(np.square(finite_or_zero(analytic)), axis=0))
    grain = SAFETY * _grain(work) * np.log2(2 + count)
    blurs = grain * (np.abs(analytic) + usual)
    slopes = _along(work, directions, Target(analytic, 0.0), blurs)
    values, bars = slopes.values, slopes.error_bars + blurs
    # With a fault in it, another vector may be the one that is looked at closely.
    widest = np.where(np.isfinite(bars), bars, 0.0).max(axis=0)
    widest[~np.isfinite(bars).any(axis=0)] = np.inf
    return Seen(
        [Residual(v - a, b) for v, a, b in zip(values, analytic, bars, strict=True)],
        _resolutions(widest, usual / count**0.5, work.settings.suspect),
        _resolutions(widest.max(initial=0.0), _shares(work, vectors), work.settings.suspect),
    )


def _along(work: Work, directions: list[Direction], target: Target, blurs: FloatArray) -> Slopes:
    """Return the slopes along vectors, as the settings want them."""
    if work.settings.eps is not None:
        return slopes_of(work, directions, target)
    return slopes_along_vectors(work.calls, directions, work.noise, target, blurs)


def _resolutions(bars: npt.ArrayLike, each: FloatArray, suspect: float) -> FloatArray:
    """Return the resolution of entries, from their parts in a slope."""
    with np.errstate(divide="ignore", invalid="ignore"):
        resolutions = np.where(each > 0, 4 * np.asarray(bars) / each, 0.0)
    return np.clip(np.where(np.isfinite(resolutions), resolutions, 1.0), suspect, 1.0)


def _shares(work: Work, vectors: Sequence[FloatArray]) -> FloatArray:
    """Return the part of an entry of usual size in the slopes along vectors, by parameter.

    It is the least over components, which vectors weight differently. A parameter of zeros has the
    usual size of the others.
    """
    largest = np.abs(np.stack(vectors)).max(axis=0)
    shares = np.zeros(len(work.theta.parameters))
    for number, parameter in work.theta.layout.numbered:
        part, mine = parameter.slice, np.zeros_like(vectors[0])
        mine[part] = vectors[0][part]
        entry = rms(finite_or_zero(work.matrix.along(mine))) / float(np.linalg.norm(mine))
        shares[number] = entry * largest[part].min()
    return np.where(shares > 0, shares, rms(shares))


def _vector(work: Work, number: int) -> FloatArray:
    return random_weights(work.theta, work.seed, f"probe {number}")


def _grain(work: Work) -> float:
    """Return the rounding unit of the matrix's own digits."""
    unit = np.zeros(work.theta.base.size)
    unit[all_columns(work.theta)[0]] = 1.0
    column = work.matrix.along(unit)
    if isinstance(work.matrix, OperatorMatrix):
        column = work.matrix.along(_vector(work, 0))
    with np.errstate(all="ignore"):
        single = np.array_equal(column, column.astype(np.float32).astype(np.float64))
    return SINGLE if single and column.any() else 0.5 * EPSILON


def _searched(work: Work, loud: npt.NDArray[np.bool_]) -> Found:
    """Return the columns in which the loud outputs are wrong."""
    weights = _vector(work, 0)
    residuals = Residuals(work.calls, work.noise, work.matrix.along, weights, _grain(work))
    return locate(residuals, all_columns(work.theta), loud, work.settings.search_calls)


def _at_kinks(table: Table, outputs: int) -> npt.NDArray[np.bool_]:
    """Return which outputs have an entry at a kink: along each vector they have another slope."""
    kinked = table.outputs[table.codes == Verdict.KINK]
    return np.asarray(np.bincount(kinked, minlength=outputs) > 0)


def _unexplained(work: Work, table: Table, whole: Residual) -> npt.NDArray[np.bool_]:
    """Return the outputs whose residual along a random vector no named entry explains."""
    weights, m = _vector(work, 0), whole.off.size
    apart = (table.values - table.analytic) * weights[table.numbers]
    bars = table.bars * np.abs(weights[table.numbers])
    named = table.codes >= Verdict.SUSPECT
    explained = np.bincount(table.outputs[named], apart[named], m)
    spread = np.bincount(table.outputs[named], bars[named], m)
    with np.errstate(invalid="ignore"):
        off = np.abs(whole.off - explained) > 2 * (whole.bars + spread) + 1e-3 * np.abs(explained)
    return np.asarray(off, np.bool_)
