"""A sparse matrix, differenced in groups of columns, with the zeros that are not stored."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.jacobians.columns import judged_columns, slopes_of
from pytest_gradcheck.jacobians.unnamed import unnamed
from pytest_gradcheck.jacobians.work import Work
from pytest_gradcheck.numdiff.jacobian.columns import (
    all_columns,
    coloured,
    grouped,
    random_weights,
)
from pytest_gradcheck.numdiff.jacobian.search import Found, Residuals, locate
from pytest_gradcheck.numdiff.jacobian.slopes import Target
from pytest_gradcheck.numdiff.ladder import EPSILON
from pytest_gradcheck.params.theta import FloatArray, Indices
from pytest_gradcheck.problem.jacobian.matrices import SparseMatrix
from pytest_gradcheck.report.report import Finding
from pytest_gradcheck.verdict.jacobian.entries import Entries, Judged, Table, judge_entries, tabled
from pytest_gradcheck.verdict.judge import Verdict

__all__ = ["coloured_groups", "coloured_table"]

Mask = npt.NDArray[np.bool_]

GAIN = 2
"""Columns for each group, at least."""

ALONE = 200
"""Columns of wrong groups that are differenced again one by one, at most."""


def coloured_groups(work: Work) -> list[Indices] | None:
    """Return groups of columns that can be moved together, or None without a gain."""
    matrix, pair = work.matrix, work.pair
    plain = work.settings.mode in ("auto", "full") and not (pair.is_symmetric and pair.is_lower)
    if work.projection is not None:
        return None
    if not isinstance(matrix, SparseMatrix) or not plain or not work.theta.is_selected.all():
        return None
    if work.theta.inplace and any(p.dtype != np.float64 for p in work.theta.selected):
        return None  # steps that are rounded to float32 bend a line
    groups = coloured(matrix.starts, matrix.rows, all_columns(work.theta))
    return groups if GAIN * len(groups) <= work.theta.checked_size else None


def coloured_table(
    work: Work, groups: list[Indices], point: str
) -> tuple[Table, tuple[Finding, ...]]:
    """Compare all entries: those that are stored, and those that are not, which are zeros.

    Returns
    -------
    Table
        The stored entries, and of the others those that are not zero.
    tuple of Finding
        Errors that a search has not located in its calls.
    """
    matrix = work.matrix
    assert isinstance(matrix, SparseMatrix)
    weights = _weights(work)
    directions = grouped(groups, weights)
    analytic = np.stack([_along(matrix, group, weights) for group in groups])
    target = Target(analytic, work.settings.suspect)
    together = Entries(np.arange(len(groups)), target, slopes_of(work, directions, target))
    judged = judge_entries(together, work.settings)
    colours = np.empty(matrix.shape[1], np.intp)
    for number, group in enumerate(groups):
        colours[group] = number
    stored = _stored(matrix, colours, weights, together, judged)
    loud = judged.codes >= Verdict.SUSPECT
    kinked = np.unique(stored.numbers[stored.codes == Verdict.KINK])
    if 0 < kinked.size <= ALONE:
        stored = _asked_alone(work, matrix, stored, kinked)
    if not loud.any():
        return stored, ()
    wrong = np.unique(stored.numbers[stored.codes >= Verdict.SUSPECT])
    if wrong.size <= ALONE:
        stored = _asked_alone(work, matrix, stored, wrong)
    loud = _unexplained(loud, colours, stored)
    hidden = _hidden(work, groups, weights, loud)
    table = _asked_alone(work, matrix, stored, np.array(hidden.columns, np.intp))
    if hidden.complete:
        return table, ()
    left = np.asarray(_unexplained(loud, colours, table).any(axis=0))
    along = "columns that were moved together"
    return table, unnamed(work, left, hidden.complete, along, point)


def _unexplained(loud: Mask, colours: Indices, table: Table) -> Mask:
    """Return which outputs are off in a group of which no entry of theirs is known to be not ok."""
    not_ok = table.codes > 0
    left: Mask = loud.copy()
    left[colours[table.numbers[not_ok]], table.outputs[not_ok]] = False
    return left


def _asked_alone(work: Work, matrix: SparseMatrix, table: Table, numbers: Indices) -> Table:
    """Return a table in which columns have the values that were differenced alone.

    It gains the entries that are not stored and not ok.
    """
    if not numbers.size:
        return table
    alone = tabled(*judged_columns(work, numbers))
    stored = alone.analytic != 0
    for number in numbers.tolist():
        rows = matrix.rows[matrix.starts[number] : matrix.starts[number + 1]]
        stored |= (alone.numbers == number) & np.isin(alone.outputs, rows)
    return table.where(~np.isin(table.numbers, numbers)).joined(
        alone.where(stored | (alone.codes > 0))
    )


def _hidden(work: Work, groups: list[Indices], weights: FloatArray, loud: Mask) -> Found:
    """Return the columns that, by their groups, have entries that are not stored and not zero."""
    residuals = Residuals(work.calls, work.noise, work.matrix.along, weights, 0.5 * EPSILON)
    found = [
        locate(residuals, groups[number], loud[number], work.settings.search_calls)
        for number in np.flatnonzero(loud.any(axis=1)).tolist()
    ]
    columns = {column for one in found for column in one.columns}
    return Found(sorted(columns), all(one.complete for one in found))


def _weights(work: Work) -> FloatArray:
    """Return the weight of each component in its group: its length, or 1 in the classical check."""
    weights = random_weights(work.theta, work.seed, "groups")
    return np.ones_like(weights) if work.settings.eps is not None else weights


def _along(matrix: SparseMatrix, group: Indices, weights: FloatArray) -> FloatArray:
    part = np.zeros(matrix.shape[1])
    part[group] = weights[group]
    return matrix.along(part)


def _stored(
    matrix: SparseMatrix,
    colours: Indices,
    weights: FloatArray,
    together: Entries,
    judged: Judged,
) -> Table:
    """Return the stored entries, each from the group that its column moves in."""
    columns = np.repeat(np.arange(matrix.shape[1]), np.diff(matrix.starts))
    places = colours[columns], matrix.rows
    size = weights[columns]
    return Table(
        (matrix.rows, columns),
        matrix.values,
        together.slopes.values[places] / size,
        together.slopes.error_bars[places] / np.abs(size),
        judged.codes[places],
        judged.errors[places],
        together.slopes.kinds[places],
    )
