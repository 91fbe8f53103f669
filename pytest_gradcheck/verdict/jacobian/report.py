"""The report of a point at which a Jacobian was compared: a row a parameter, a row an output."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.differences import WIDE
from pytest_gradcheck.params.scales import SAFE_SQUARE
from pytest_gradcheck.params.theta import FloatArray, Indices, Parameter, Theta
from pytest_gradcheck.report.report import (
    VERDICTS,
    Component,
    Finding,
    ParameterReport,
    PointReport,
    failing,
)
from pytest_gradcheck.settings import Settings
from pytest_gradcheck.verdict.jacobian.entries import Table
from pytest_gradcheck.verdict.judge import Verdict
from pytest_gradcheck.verdict.point_report import LISTED, rank

__all__ = ["EntryNames", "Scope", "entries_report"]

FLAWS = ("adjoint", "canary", "nonlinear", "unnamed")
"""Findings that fail a check though no entry may be wrong."""

RUN = 1 << 16
"""Entries that are summed in one go."""

FEW = 100
"""Outputs up to which a report has a row for each."""

OUTPUTS = 1000
"""Rows at most of outputs that are not ok, where there are more."""


@dataclass(frozen=True)
class EntryNames:
    """What entries are called.

    Attributes
    ----------
    entry : callable
        Takes an output's number and a component's; returns ``jac[3, 12]``.
    output : callable or None
        Takes an output's number; returns ``out[3]``. None where there is one cost.
    shape : tuple of int
        Of the outputs, where they are one array; else their number.
    """

    entry: Callable[[int, int], str]
    output: Callable[[int], str] | None
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Scope:
    """What a check was to look at.

    Attributes
    ----------
    theta : Theta
    outputs : int
        How many.
    covered : bool
        Whether every entry was compared, one by one or with others.
    resolutions : array of shape (outputs,)
        The smallest relative error, for each output, of an entry of usual size that would have
        shown among others; 0 where all were compared one by one.
    by_parameter : array or None
        The same for each parameter; None where that is 0.
    """

    theta: Theta
    outputs: int
    covered: bool
    resolutions: FloatArray
    by_parameter: FloatArray | None = None


@dataclass(frozen=True)
class _Sums:
    """What reports of parameters, or of outputs, are made of: arrays with a row for each."""

    counts: npt.NDArray[np.intp]
    figures: FloatArray
    resolutions: FloatArray


def entries_report(
    name: str,
    table: Table,
    names: EntryNames,
    found: tuple[Finding, ...],
    scope: Scope,
    settings: Settings,
) -> PointReport:
    """Return the report of a point at which a Jacobian was compared."""
    theta = scope.theta
    terms = _Terms.of(table)
    by_parameter = _summed(table, terms, _Keyed.of_parameters(table, theta), settings)
    by_output = _summed(table, terms, _Keyed.of_outputs(table, scope.outputs), settings)
    given = scope.by_parameter
    coarse = np.zeros(len(theta.parameters)) if given is None else given
    parameters = tuple(
        _row(p.name, (*names.shape, *p.shape), i, by_parameter, scope, float(coarse[i]))
        for i, p in theta.layout.numbered
    )
    size = theta.checked_size
    outputs = tuple(
        _row(names.output(i), (size,), i, by_output, scope, float(scope.resolutions[i]))
        for i in _listed_outputs(by_output)
        if names.output is not None
    )
    counts = by_output.counts.sum(axis=0).tolist()
    flawed = any(finding.code in FLAWS for finding in found)
    little = ("vacuous", "stationary")
    vacuous = settings.strict and any(finding.code in little for finding in found)
    worst = max((code for code, count in enumerate(counts) if count), default=Verdict.OK)
    if flawed:
        worst = max(worst, Verdict.BUG)  # a law that is broken though no entry is
    return PointReport(
        name=name,
        passed=not (flawed or vacuous or _fails(counts, scope, settings)),
        verdict=VERDICTS[worst],
        relative_error=_figure(table, terms),
        parameters=parameters,
        components=_components(name, table, theta, names),
        findings=found,
        outputs=outputs,
        matrix=None if names.output is None else (scope.outputs, theta.base.size),
    )


def _fails(counts: list[int], scope: Scope, settings: Settings) -> bool:
    bad = failing(settings)
    fails = any(count and verdict in bad for verdict, count in zip(VERDICTS, counts, strict=True))
    undecided = counts[Verdict.INCONCLUSIVE] == sum(counts) and not (
        scope.covered and not sum(counts)
    )
    return fails or undecided


@dataclass(frozen=True)
class _Lines:
    """Sums over the columns, and over the rows, of a table that has whole columns.

    Attributes
    ----------
    columns, rows : arrays of shape (3, k) and (3, m)
        Sums of the squares of the difference, of the approximation and of the user's entries.
    by_column, by_row : arrays of shape (k,) and (m,)
        The coarsest resolutions.
    """

    columns: FloatArray
    rows: FloatArray
    by_column: FloatArray
    by_row: FloatArray

    @classmethod
    def of(cls, table: Table) -> _Lines | None:
        """Return the sums of a table, None where numbers are none or their squares overflow.

        In runs that fit a cache: fresh memory for all entries costs more than the sums.
        """
        if table.grid is None or not table.codes.size:
            return None
        k, m = table.grid.numbers.size, table.grid.outputs
        lines = cls(np.empty((3, k)), np.zeros((3, m)), np.empty(k), np.zeros(m))
        largest, run = 0.0, max(1, RUN // m)
        values, analytic, bars = (
            column.reshape(k, m) for column in (table.values, table.analytic, table.bars)
        )
        for part in (slice(start, start + run) for start in range(0, k, run)):
            largest = max(largest, lines._add(part, values[part], analytic[part], bars[part]))
        least = math.sqrt(SAFE_SQUARE)
        return lines if largest == 0 or least < largest < 1 / least else None

    def _add(
        self, part: slice, values: FloatArray, analytic: FloatArray, bars: FloatArray
    ) -> float:
        """Add some columns; return the largest size of an entry, NaN where one is no number."""
        for i, terms in enumerate((values - analytic, values, analytic)):
            self.columns[i, part] = np.einsum("km,km->k", terms, terms)
            self.rows[i] += np.einsum("km,km->m", terms, terms)
        sizes = np.abs(values) + np.abs(analytic)
        largest = float(sizes.max())
        resolutions = _resolutions(values, bars, sizes)
        self.by_column[part] = resolutions.max(axis=1)
        np.maximum(self.by_row, resolutions.max(axis=0), out=self.by_row)
        return largest if math.isfinite(largest) else math.inf


def _resolutions(values: FloatArray, bars: FloatArray, sizes: FloatArray) -> FloatArray:
    """Return the resolutions, and write into `sizes`: by what two slopes within a bar differ.

    Nothing is left open of an entry that is 0 in both matrices: its output does not move by a bit.
    """
    sizes[sizes == 0] = np.inf
    with np.errstate(all="ignore"):
        resolutions = np.divide(bars, sizes, out=sizes)
        resolutions *= 2
        wide = resolutions > 2 * WIDE  # else a size that agrees is twice the value
        if wide.any():
            resolutions[wide] = np.minimum(bars[wide] / np.abs(values[wide]), 1.0)
    resolutions[np.isnan(resolutions)] = 0.0
    return resolutions


@dataclass(frozen=True)
class _Terms:
    """What each entry adds to sums: arrays over the entries that are numbers, and those that are.

    Vectors whose squares are summed are over the largest of all, where its own square overflows or
    vanishes. Where whole columns have been summed, those sums stand for them.
    """

    known: npt.NDArray[np.bool_] | None
    vectors: tuple[FloatArray, ...]
    resolutions: FloatArray
    lines: _Lines | None = None

    @classmethod
    def of(cls, table: Table) -> _Terms:
        """Return the terms of a table."""
        with np.errstate(all="ignore"):
            lines = _Lines.of(table)
        if lines is not None:
            return cls(None, (), np.empty(0), lines)
        known = np.isfinite(table.values) & np.isfinite(table.analytic)
        values, analytic, bars = (
            column[known] for column in (table.values, table.analytic, table.bars)
        )
        sizes = np.abs(values) + np.abs(analytic)
        scale = float(sizes.max(initial=0.0)) or 1.0
        if SAFE_SQUARE < scale * scale < 1 / SAFE_SQUARE:
            scale = 1.0
        resolutions = _resolutions(values, bars, sizes)
        values, analytic = values / scale, analytic / scale
        return cls(known, (values - analytic, values, analytic), resolutions)


@dataclass(frozen=True)
class _Keyed:
    """Sums and maxima of terms by a key of each entry: its output, or its parameter.

    Attributes
    ----------
    keys : int array
        One for each entry; of those in a grid one for each column of the matrix, or each row.
    size : int
        How many different ones there are.
    by_row : bool
        Whether entries in a grid have one key a row of it, a column of the matrix; else one a
        column of it.
    """

    keys: Indices
    size: int
    grid: tuple[int, int] | None
    by_row: bool

    @classmethod
    def of_outputs(cls, table: Table, size: int) -> _Keyed:
        """Return the keys of outputs."""
        if table.grid is None:
            return cls(table.outputs, size, None, False)
        return cls(np.arange(size), size, (table.grid.numbers.size, size), False)

    @classmethod
    def of_parameters(cls, table: Table, theta: Theta) -> _Keyed:
        """Return the keys of parameters."""
        if table.grid is None:
            return cls(theta.owners(table.numbers), len(theta.parameters), None, True)
        owners, grid = (
            theta.owners(table.grid.numbers),
            (table.grid.numbers.size, table.grid.outputs),
        )
        return cls(owners, len(theta.parameters), grid, True)

    def squares(self, terms: _Terms) -> list[FloatArray]:
        """Return the sums of the squares of the terms by key."""
        if terms.lines is None:
            keys = self._every(terms.known)
            sums = [np.bincount(keys, v * v, self.size) for v in terms.vectors]
        else:
            lines = terms.lines.columns if self.by_row else terms.lines.rows
            sums = [np.bincount(self.keys, line, self.size) for line in lines]
        return [each.astype(np.float64) for each in sums]

    def largest(self, terms: _Terms, least: float) -> FloatArray:
        """Return the coarsest resolution by key, and no less than `least`."""
        result = np.full(self.size, least)
        if terms.lines is None:
            np.maximum.at(result, self._every(terms.known), terms.resolutions)
        else:
            lines = terms.lines.by_column if self.by_row else terms.lines.by_row
            np.maximum.at(result, self.keys, lines)
        return result

    def _every(self, known: npt.NDArray[np.bool_] | None) -> Indices:
        """Return the key of each entry that is a number."""
        keys = self.keys
        if self.grid is not None:
            k, m = self.grid
            keys = np.repeat(keys, m) if self.by_row else np.tile(keys, k)
        return keys if known is None else keys[known]

    def marked(self, marks: npt.NDArray[np.bool_]) -> Indices:
        """Return the keys of the entries that are marked."""
        return np.unique(self._every(None)[marks])

    def counts(self, codes: npt.NDArray[np.int8]) -> npt.NDArray[np.intp]:
        """Return how often each verdict fell, a row for each key."""
        kinds = len(VERDICTS)
        if codes.any():
            flat = self._every(None) * kinds + codes
            return np.bincount(flat, minlength=self.size * kinds).reshape(self.size, kinds)
        counts = np.zeros((self.size, kinds), np.intp)
        if self.grid is None:
            counts[:, Verdict.OK] = np.bincount(self.keys, minlength=self.size)
        elif self.by_row:
            counts[:, Verdict.OK] = self.grid[1] * np.bincount(self.keys, minlength=self.size)
        else:
            counts[:, Verdict.OK] = self.grid[0]
        return counts


def _summed(table: Table, terms: _Terms, keyed: _Keyed, settings: Settings) -> _Sums:
    """Return counts of verdicts, the course's figure and the resolution, for each key."""
    off, ours, theirs = (np.sqrt(each) for each in keyed.squares(terms))
    with np.errstate(all="ignore"):
        figures = np.where(off > 0, off / (ours + theirs), 0.0)
    if terms.known is not None:
        figures[keyed.marked(~np.isfinite(table.analytic))] = math.inf
    resolutions = keyed.largest(terms, settings.suspect)
    if terms.known is not None:
        resolutions[keyed.marked(~np.isfinite(table.values))] = 1.0
    return _Sums(keyed.counts(table.codes), figures, resolutions)


def _row(
    name: str, shape: tuple[int, ...], place: int, sums: _Sums, scope: Scope, coarse: float
) -> ParameterReport:
    """Return the report of a parameter, or of an output."""
    counts = sums.counts[place].tolist()
    checked, size = sum(counts), math.prod(shape)
    return ParameterReport(
        name=name,
        shape=shape,
        size=size,
        checked=checked,
        covered=size if scope.covered else checked,
        relative_error=float(sums.figures[place]),
        verdict=VERDICTS[max((code for code, n in enumerate(counts) if n), default=Verdict.OK)],
        counts=dict(zip(VERDICTS, counts, strict=True)),
        resolution=max(float(sums.resolutions[place]), coarse),
    )


def _listed_outputs(sums: _Sums) -> list[int]:
    """Return the outputs that have rows in a report: all of few, of many those that are not ok."""
    if len(sums.counts) <= FEW:
        return list(range(len(sums.counts)))
    worst = ((sums.counts > 0) * np.arange(len(VERDICTS))).max(axis=1)
    wrong = np.flatnonzero(worst)
    order = np.lexsort((-sums.figures[wrong], -worst[wrong]))
    return sorted(wrong[order[:OUTPUTS]].tolist())


def _figure(table: Table, terms: _Terms) -> float:
    """Return the course's figure over all entries."""
    if terms.known is not None and not np.all(np.isfinite(table.analytic)):
        return math.inf
    squares = [float(v @ v) for v in terms.vectors]
    if terms.lines is not None:
        squares = [float(line.sum()) for line in terms.lines.columns]
    off, ours, theirs = map(math.sqrt, squares)
    return off / (ours + theirs) if off else 0.0


def _components(
    point: str,
    table: Table,
    theta: Theta,
    names: EntryNames,
) -> tuple[Component, ...]:
    """Return the entries that are not ok, worst first, at most `LISTED` of a parameter."""
    bad = np.flatnonzero(table.codes)
    if not bad.size:
        return ()
    owners = theta.owners(table.numbers[bad])
    listed: list[Component] = []
    for owner in np.unique(owners).tolist():
        mine = bad[owners == owner]
        order = np.sort(np.lexsort((-table.errors[mine], -table.codes[mine]))[:LISTED])
        parameter = theta.parameters[owner]
        listed += [_component(point, parameter, table, i, names) for i in mine[order].tolist()]
    return tuple(sorted(listed, key=rank))


def _component(
    point: str, parameter: Parameter, table: Table, place: int, names: EntryNames
) -> Component:
    output, number = int(table.outputs[place]), int(table.numbers[place])
    error, bar = float(table.errors[place]), float(table.bars[place])
    return Component(
        parameter=parameter.name,
        index=parameter.index(number),
        name=names.entry(output, number),
        analytic=float(table.analytic[place]),
        numerical=float(table.values[place]),
        error_bar=bar,
        relative_error=float(f"{error:.6g}") if bar else error,
        verdict=VERDICTS[int(table.codes[place])],
        point=point,
        output=None if names.output is None else names.output(output),
        entry=None if names.output is None else (output, number),
    )
