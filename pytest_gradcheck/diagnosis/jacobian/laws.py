"""Laws that a matrix has to obey by itself: linear, adjoint, symmetric."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pytest_gradcheck.diagnosis.evidence import Mask
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import FloatArray, Theta
from pytest_gradcheck.problem.jacobian.matrices import OperatorMatrix
from pytest_gradcheck.problem.jacobian.pair import JacobianPair
from pytest_gradcheck.problem.jacobian.pushforward import DOUBLE
from pytest_gradcheck.report.report import Finding
from pytest_gradcheck.settings import Settings
from pytest_gradcheck.verdict.jacobian.entries import Entries, Table, asymmetries
from pytest_gradcheck.verdict.jacobian.report import EntryNames
from pytest_gradcheck.verdict.judge import Verdict

__all__ = ["asymmetric", "asymmetric_pairs", "broken_laws"]

LOOSE = 1e-9
"""Tolerance of a law in float64, as a part of the sizes of its terms."""

SINGLE = 1e-4
"""The same, where the operator computes in float32."""


EITHER = "one of the two"
"""Stands for the entry that was changed, where it is not known which."""

GRID = 16
"""Random numbers are multiples of a part of 1, which any float holds."""

ROWS = 200
"""Rows up to which a wrong adjoint is compared row by row."""


def broken_laws(matrix: OperatorMatrix, pair: JacobianPair, point: str) -> tuple[Finding, ...]:
    """Return findings about an operator that is not linear, or not the adjoint of its adjoint."""
    rng = stream("operators", 0)
    n = matrix.shape[1]
    free = pair.theta.is_selected
    first, second = (np.where(free, _round_numbers(rng, n), 0.0) for _ in range(2))
    found = _nonlinear(matrix, first, second, pair, point)
    if matrix.rmatvec is not None:
        left = _round_numbers(rng, matrix.shape[0])
        found += _not_adjoint(matrix, first, left, pair, point)
    return found


def _round_numbers(rng: np.random.Generator, size: int) -> FloatArray:
    """Return random numbers that are exact in float16, as are their sums in the laws.

    Their sizes are 1/2 to 3/2: a weight of 0 would hide all entries of its component.
    """
    signs = np.where(rng.integers(2, size=size), 1, -1)
    return np.asarray(signs * rng.integers(GRID // 2, 3 * GRID // 2, size, endpoint=True) / GRID)


def _nonlinear(
    matrix: OperatorMatrix, first: FloatArray, second: FloatArray, pair: JacobianPair, point: str
) -> tuple[Finding, ...]:
    one, other = matrix.along(first), matrix.along(second)
    both = matrix.along(2 * first - 3 * second)
    off = np.abs(both - (2 * one - 3 * other))
    size = np.abs(2 * one) + np.abs(3 * other) + np.abs(both)
    apart = off > _loose(pair, one, other) * np.maximum(size, np.linalg.norm(size) / size.size**0.5)
    if not apart.any():
        return ()
    worst = int(np.argmax(np.where(apart, off, -1.0)))
    message = (
        f"{pair.derivative_name} is not linear in its tangent: of 2 u - 3 v it makes "
        f"{both[worst]:.6g} for {pair.output_name(worst)}, where 2 Ju - 3 Jv is "
        f"{2 * one[worst] - 3 * other[worst]:.6g}: the tangent enters squared, through an absolute "
        "value, or a constant is added"
    )
    return (Finding.cause("nonlinear", message, point=point),)


def _not_adjoint(
    matrix: OperatorMatrix, right: FloatArray, left: FloatArray, pair: JacobianPair, point: str
) -> tuple[Finding, ...]:
    assert matrix.rmatvec is not None
    try:
        pulled = matrix.rmatvec(left)
    except NotImplementedError:  # SciPy's operators always have the method
        return ()
    pushed = matrix.along(right)
    pulled = np.where(pair.theta.is_selected, pulled, 0.0)
    ahead, back = float(left @ pushed), float(pulled @ right)
    terms = float(np.abs(left) @ np.abs(pushed) + np.abs(pulled) @ np.abs(right))
    if abs(ahead - back) <= _loose(pair, pushed, pulled) * terms:
        return ()
    where = _wrong_row(matrix, pair)
    message = (
        f"{pair.adjoint_name} is not the adjoint of {pair.derivative_name}: <u, J v> is "
        f"{ahead:.6g}, and <J' u, v> is {back:.6g}{where}"
    )
    return (Finding.cause("adjoint", message, point=point),)


def _wrong_row(matrix: OperatorMatrix, pair: JacobianPair) -> str:
    """Name the entry in which the two differ most, if there are few rows."""
    m, n = matrix.shape
    assert matrix.rmatvec is not None
    if m > ROWS or n > ROWS:
        return ""
    numbers = np.flatnonzero(pair.theta.is_selected)
    pushed = matrix.columns(numbers).T
    pulled = np.stack([matrix.rmatvec(unit)[numbers] for unit in np.eye(m)])
    row, column = np.unravel_index(int(np.argmax(np.abs(pushed - pulled))), pushed.shape)
    name = pair.theta.owner(int(numbers[column]))
    component = name.component_name(name.index(int(numbers[column])))
    return (
        f"; most in the derivative of {pair.output_name(int(row))} by {component}, "
        f"{pushed[row, column]:.6g} and {pulled[row, column]:.6g}"
    )


def _loose(pair: JacobianPair, *vectors: FloatArray) -> float:
    """Return the tolerance of a law, which is wider in float32.

    That is where all results have float32 numbers, or some parameter does, and so its tangents.
    """
    if any(parameter.digits < DOUBLE for parameter in pair.theta.selected):
        return SINGLE
    with np.errstate(all="ignore"):
        single = all(np.array_equal(v, v.astype(np.float32).astype(np.float64)) for v in vectors)
    integers = all(np.array_equal(v, np.round(v)) for v in vectors)
    return SINGLE if single and not integers else LOOSE


def asymmetric(
    entries: Entries, wrong: Mask, names: EntryNames, theta: Theta, suspect: float, point: str
) -> tuple[Finding, ...]:
    """Return a finding that names the pair of entries in which a Hessian is least symmetric.

    It explains all that is wrong where one entry of each pair is right.
    """
    errors = asymmetries(entries)
    if errors.max(initial=0.0) <= suspect:
        return ()
    a, b = map(int, np.unravel_index(int(np.argmax(errors)), errors.shape))
    upper, lower = min(a, b), max(a, b)
    numbers = entries.numbers
    pairs = int(np.count_nonzero(np.triu(errors > suspect)))
    one, other = int(numbers[upper]), int(numbers[lower])
    first = float(entries.analytic[lower, one])
    second = float(entries.analytic[upper, other])
    more = {0: "", 1: ", as is 1 more pair"}
    further = more.get(pairs - 1, f", as are {pairs - 1} more pairs")
    named = (names.entry(one, other), names.entry(other, one))
    mine = wrong[:, numbers]
    alone = [
        name for name, at in zip(named, ((lower, upper), (upper, lower)), strict=True) if mine[at]
    ]
    message = _unequal(named, (first, second), further, alone[0] if len(alone) == 1 else EITHER)
    values = entries.slopes.values
    bars = entries.slopes.error_bars
    gap = abs(values[lower, one] - values[upper, other])
    if gap > bars[lower, one] + bars[upper, other] + suspect * abs(first):
        message += "; nor are the differences of grad, so grad itself is no gradient of a cost"
    columns = np.flatnonzero(mine.any(axis=0)) if not (mine & mine.T).any() else ()
    parameters = tuple({theta.owner(int(numbers[column])).name: None for column in columns})
    return (Finding.cause("asymmetric", message, point=point, parameters=parameters),)


def asymmetric_pairs(
    table: Table, names: EntryNames, size: int, settings: Settings, point: str
) -> tuple[Table, tuple[Finding, ...]]:
    """Return the same of a sparse Hessian, and its table with verdicts on what is not symmetric.

    The table has the stored entries; what is not stored is 0.
    """
    keys = table.outputs * size + table.numbers
    order = np.argsort(keys)
    mirror = table.numbers * size + table.outputs
    places = np.searchsorted(keys[order], mirror)
    there = order[np.minimum(places, keys.size - 1)]
    stored = keys[there] == mirror
    other = np.where(stored, table.analytic[there], 0.0)
    bars = table.bars + np.where(stored, table.bars[there], 0.0)
    with np.errstate(all="ignore"):
        off = np.maximum(np.abs(table.analytic - other) - bars, 0.0)
        errors = off / (np.abs(table.analytic) + np.abs(other))
    errors[~np.isfinite(errors)] = 0.0
    apart = (errors > settings.suspect) & (table.codes < Verdict.SUSPECT)
    if errors.max(initial=0.0) <= settings.suspect:
        return table, ()
    judged = np.where(errors > settings.bug, Verdict.BUG, Verdict.SUSPECT)
    table = replace(
        table,
        codes=np.where(apart, judged, table.codes).astype(np.int8),
        errors=np.where(apart, errors, table.errors),
    )
    worst = int(np.argmax(errors))
    row, column = int(table.outputs[worst]), int(table.numbers[worst])
    named = (names.entry(row, column), names.entry(column, row))
    message = _unequal(named, (float(table.analytic[worst]), float(other[worst])), "", EITHER)
    return table, (Finding.cause("asymmetric", message, point=point),)


def _unequal(
    named: tuple[str, str], values: tuple[float, float], further: str, changed: str
) -> str:
    """Return that two entries differ where they should be equal, and which of them was changed."""
    return (
        f"{named[0]} is {values[0]:.7g} and {named[1]} is {values[1]:.7g}{further}, where a "
        f"Hessian is symmetric: {changed} was forgotten or changed alone"
    )
