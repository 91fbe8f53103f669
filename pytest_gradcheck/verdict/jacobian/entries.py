"""Verdicts on the entries of a Jacobian: columns of it beside their approximations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.jacobian.slopes import Slopes, Target, agrees, tolerances
from pytest_gradcheck.numdiff.ladder import Kind
from pytest_gradcheck.params.theta import FloatArray, Indices
from pytest_gradcheck.settings import Settings
from pytest_gradcheck.verdict.judge import Verdict

__all__ = [
    "Entries",
    "Grid",
    "Judged",
    "Table",
    "asymmetries",
    "judge_entries",
    "judge_symmetry",
    "tabled",
]

Codes = npt.NDArray[np.int8]

ROUNDED = 1e-3
"""Analytic slopes below this part of all error bars of an output are zero beside rounding."""

DUST = 1e-8
"""An analytic slope below this part of its output's largest is zero beside the others."""


@dataclass(frozen=True)
class Entries:
    """Columns of a Jacobian beside their approximations.

    Attributes
    ----------
    numbers : int array of shape (k,)
        The components of theta, in ascending order.
    target : Target
        The user's Jacobian, transposed.
    slopes : Slopes
        Its approximation.
    """

    numbers: Indices
    target: Target
    slopes: Slopes

    @property
    def analytic(self) -> FloatArray:
        """The user's Jacobian, transposed, of shape (k, m)."""
        return self.target.analytic


@dataclass(frozen=True)
class Judged:
    """Verdicts on entries, arrays of shape (k, m).

    Attributes
    ----------
    codes : int8 array
        Index into `VERDICTS`.
    errors : array
        ``max(0, |D - g| - u) / (|D| + |g|)``; 0 where both are 0.
    """

    codes: Codes
    errors: FloatArray


class Grid(NamedTuple):
    """The places of whole columns, in order: the components, and how many outputs there are."""

    numbers: Indices
    outputs: int


@dataclass(frozen=True)
class Table:
    """Entries that were compared one by one, with their verdicts: arrays of one length.

    Attributes
    ----------
    places : (int array, int array) or Grid
        The row and the column of each in the matrix of all outputs by all of theta.
    analytic, values, bars, errors : arrays
    codes, kinds : int8 arrays
        Indices into `VERDICTS`, and into `Kind`.
    """

    places: tuple[Indices, Indices] | Grid
    analytic: FloatArray
    values: FloatArray
    bars: FloatArray
    codes: Codes
    errors: FloatArray
    kinds: Codes

    @property
    def grid(self) -> Grid | None:
        """The columns that they fill, where these are whole and in order."""
        return self.places if isinstance(self.places, Grid) else None

    @cached_property
    def outputs(self) -> Indices:
        """The row of each."""
        if isinstance(self.places, Grid):
            return np.tile(np.arange(self.places.outputs), self.places.numbers.size)
        return self.places[0]

    @cached_property
    def numbers(self) -> Indices:
        """The column of each."""
        if isinstance(self.places, Grid):
            return np.repeat(self.places.numbers, self.places.outputs)
        return self.places[1]

    def where(self, kept: npt.NDArray[np.bool_]) -> Table:
        """Return some of the entries."""
        return _table([column[kept] for column in self.columns()])

    def joined(self, other: Table) -> Table:
        """Return the entries of two tables."""
        pairs = zip(self.columns(), other.columns(), strict=True)
        return _table([np.concatenate(pair) for pair in pairs])

    def ordered(self) -> Table:
        """Return the entries in the order of the rows of the matrix."""
        order = np.lexsort((self.numbers, self.outputs))
        return _table([column[order] for column in self.columns()])

    def columns(self) -> tuple[npt.NDArray[Any], ...]:
        """Return the arrays, in the order of the fields."""
        return (
            self.outputs,
            self.numbers,
            self.analytic,
            self.values,
            self.bars,
            self.codes,
            self.errors,
            self.kinds,
        )


def _table(columns: list[npt.NDArray[Any]]) -> Table:
    outputs, numbers, analytic, values, bars, codes, errors, kinds = columns
    return Table((outputs, numbers), analytic, values, bars, codes, errors, kinds)


def tabled(entries: Entries, judged: Judged) -> Table:
    """Return columns as a table of entries."""
    table = Table(
        Grid(entries.numbers, judged.codes.shape[1]),
        entries.analytic.reshape(-1),
        entries.slopes.values.reshape(-1),
        entries.slopes.error_bars.reshape(-1),
        judged.codes.reshape(-1),
        judged.errors.reshape(-1),
        entries.slopes.kinds.reshape(-1),
    )
    asked = entries.target.asked
    return table if asked is None else table.where(asked.reshape(-1))


def judge_entries(entries: Entries, settings: Settings) -> Judged:
    """Compare a Jacobian with its approximation, entry by entry, each beside its own output."""
    slopes, target = entries.slopes, entries.target
    codes = np.zeros(target.analytic.shape, np.int8)
    if slopes.settled:
        return Judged(codes, np.zeros(codes.shape))
    errors = _errors(entries)
    with np.errstate(all="ignore"):
        open_ = ~agrees(slopes, target)
        open_ |= slopes.kinds > 0
        rows = np.flatnonzero(open_.any(axis=1))
        if rows.size:
            codes[rows] = _codes(entries, rows, errors[rows], settings)
    errors[codes == Verdict.NONFINITE] = math.inf
    errors[np.isnan(errors)] = 0.0
    if target.asked is not None:
        codes[~target.asked], errors[~target.asked] = Verdict.OK, 0.0
    return Judged(codes, errors)


def _errors(entries: Entries) -> FloatArray:
    """Return the relative errors beyond the error bars; 0 where both values are 0."""
    with np.errstate(all="ignore"):
        errors = entries.slopes.values - entries.analytic
        np.abs(errors, out=errors)
        errors -= entries.slopes.error_bars
        np.maximum(errors, 0.0, out=errors)
        rows, columns = np.nonzero(errors)
        own = np.abs(entries.slopes.values[rows, columns]) + np.abs(entries.analytic[rows, columns])
        errors[rows, columns] /= own
    return errors


def _codes(entries: Entries, rows: Indices, errors: FloatArray, settings: Settings) -> Codes:
    """Return the verdicts on some columns."""
    slopes = entries.slopes
    values, bars, kinds = slopes.values[rows], slopes.error_bars[rows], slopes.kinds[rows]
    analytic = entries.analytic[rows]
    decided = (bars <= tolerances(slopes, entries.target, rows)) | _is_zero(entries, rows)
    codes = np.zeros(errors.shape, np.int8)
    codes[kinds == Kind.KINK] = Verdict.KINK
    codes[~decided | ~np.isfinite(values)] = Verdict.INCONCLUSIVE
    codes[kinds == Kind.JUMP] = Verdict.INCONCLUSIVE
    codes[errors > settings.suspect] = Verdict.SUSPECT
    codes[errors > settings.bug] = Verdict.BUG
    codes[(kinds == Kind.NONFINITE) | ~np.isfinite(analytic)] = Verdict.NONFINITE
    return codes


def asymmetries(entries: Entries) -> FloatArray:
    """Return how far each pair of entries of a Hessian is from symmetric, beyond both error bars.

    Relative to the two; of shape (k, k), symmetric itself.
    """
    own = entries.analytic[:, entries.numbers]
    bars = entries.slopes.error_bars[:, entries.numbers]
    with np.errstate(all="ignore"):
        off = np.maximum(np.abs(own - own.T) - bars - bars.T, 0.0)
        errors = off / (np.abs(own) + np.abs(own.T))
    return np.asarray(np.where(np.isfinite(errors), errors, 0.0), np.float64)


def judge_symmetry(entries: Entries, judged: Judged, settings: Settings) -> Judged:
    """Return verdicts in which a pair of entries that is not symmetric is not ok.

    Where a Hessian agrees with its gradient, and neither is symmetric, the gradient is wrong.
    """
    errors = asymmetries(entries)
    apart = errors > settings.suspect
    mine = judged.codes[:, entries.numbers]
    asymmetric = apart & ~((mine >= Verdict.SUSPECT) | (mine.T >= Verdict.SUSPECT))
    if not asymmetric.any():
        return judged
    codes, all_errors = judged.codes.copy(), judged.errors.copy()
    rows, columns = np.nonzero(asymmetric)
    places = rows, entries.numbers[columns]
    codes[places] = np.where(errors[asymmetric] > settings.bug, Verdict.BUG, Verdict.SUSPECT)
    all_errors[places] = errors[asymmetric]
    return Judged(codes, all_errors)


def _is_zero(entries: Entries, rows: Indices) -> npt.NDArray[np.bool_]:
    """Return where an output does not move beyond its rounding, and the analytic slope is zero.

    Zero beside the other slopes of the output, and beside that rounding; or all of them are zero
    beside it, at a stationary point.
    """
    values, bars = entries.slopes.values[rows], entries.slopes.error_bars[rows]
    analytic = entries.analytic[rows]
    every = np.abs(entries.analytic)
    largest = np.where(np.isfinite(every), every, 0.0).max(axis=0, initial=0.0)
    still = np.all(np.abs(entries.slopes.values) <= entries.slopes.error_bars, axis=0)
    still &= np.all(every <= ROUNDED * entries.slopes.error_bars, axis=0)
    zero = (np.abs(values) <= bars) & (np.abs(analytic) <= np.minimum(bars, DUST * largest))
    return np.asarray(zero | still, np.bool_)
