"""The report of a point at which a Jacobian was compared: a row a parameter, a row an output."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
        Whether every entry was looked at in some way, one by one or with others.
    resolutions : array of shape (outputs,)
        The smallest relative error, for each output, of an entry of usual size that would have
        shown where it was looked at with others; 0 where all were looked at one by one.
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
    coarse = [0.0] * len(theta.parameters)
    if scope.by_parameter is not None:
        coarse = scope.by_parameter.tolist()
    parameters = tuple(
        _row(
            parameter.name,
            (*names.shape, *parameter.shape),
            i,
            by_parameter,
            scope,
            float(coarse[i]),
        )
        for i, parameter in enumerate(theta.parameters)
        if i in theta.selected_numbers
    )
    size = theta.checked_size
    outputs = tuple(
        _row(names.output(i), (size,), i, by_output, scope, float(scope.resolutions[i]))
        for i in _told_outputs(by_output)
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
    told = any(count and verdict in bad for verdict, count in zip(VERDICTS, counts, strict=True))
    undecided = counts[Verdict.INCONCLUSIVE] == sum(counts) and not (
        scope.covered and not sum(counts)
    )
    return told or undecided


@dataclass(frozen=True)
class _Terms:
    """What each entry adds to sums: arrays over the entries that are numbers, and those that are.

    Vectors whose squares are summed are over the largest of all, where its own square overflows or
    vanishes.
    """

    known: npt.NDArray[np.bool_] | None
    vectors: tuple[FloatArray, FloatArray, FloatArray]
    resolutions: FloatArray

    @classmethod
    def of(cls, table: Table) -> _Terms:
        """Return the terms of a table."""
        known = np.isfinite(table.values)
        known &= np.isfinite(table.analytic)
        everywhere = bool(known.all())
        values, analytic, bars = (
            column if everywhere else column[known]
            for column in (table.values, table.analytic, table.bars)
        )
        off = np.abs(analytic)  # buffers are used again: fresh memory costs more than the sums
        sizes = np.abs(values)
        sizes += off
        scale = float(sizes.max(initial=0.0)) or 1.0
        if SAFE_SQUARE < scale * scale < 1 / SAFE_SQUARE:
            scale = 1.0
        sizes[sizes == 0] = np.inf
        with np.errstate(all="ignore"):
            told = np.divide(bars, sizes, out=sizes)
        told *= 2
        told[np.isnan(told)] = 0.0
        if scale != 1.0:
            values, analytic = values / scale, analytic / scale
        np.subtract(values, analytic, out=off)
        return cls(None if everywhere else known, (off, values, analytic), told)


@dataclass(frozen=True)
class _Keyed:
    """Sums and maxima of terms by a key of each entry: its output, or its parameter.

    Attributes
    ----------
    keys : int array
        One for each entry.
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
        return cls(table.outputs, size, table.grid, False)

    @classmethod
    def of_parameters(cls, table: Table, theta: Theta) -> _Keyed:
        """Return the keys of parameters."""
        if table.grid is None:
            return cls(theta.owners(table.numbers), len(theta.parameters), None, True)
        k, m = table.grid
        owners = theta.owners(table.numbers[:: max(m, 1)])
        return cls(owners, len(theta.parameters), (k, m), True)

    def squares(self, values: FloatArray, known: npt.NDArray[np.bool_] | None) -> FloatArray:
        """Return the sum of the squares of values by key."""
        if self.grid is not None and known is None:
            table = values.reshape(self.grid)
            if not self.by_row:
                return np.asarray(np.einsum("km,km->m", table, table), np.float64)
            each = np.einsum("km,km->k", table, table)
            return np.bincount(self.keys, each, self.size).astype(np.float64)
        return np.bincount(self._every(known), values * values, self.size).astype(np.float64)

    def largest(
        self, values: FloatArray, known: npt.NDArray[np.bool_] | None, least: float
    ) -> FloatArray:
        """Return the largest value by key, and no less than `least`."""
        result = np.full(self.size, least)
        if self.grid is not None and known is None:
            k, m = self.grid
            if not self.by_row:
                most = values.reshape(k, m).max(axis=0, initial=least)
                return np.asarray(np.maximum(result, most), np.float64)
            np.maximum.at(result, self.keys, values.reshape(k, m).max(axis=1, initial=least))
            return result
        np.maximum.at(result, self._every(known), values)
        return result

    def _every(self, known: npt.NDArray[np.bool_] | None) -> Indices:
        """Return the key of each entry that is a number."""
        keys = self.keys
        if self.grid is not None and self.by_row:
            keys = np.repeat(keys, self.grid[1])
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
    off, ours, theirs = (np.sqrt(keyed.squares(v, terms.known)) for v in terms.vectors)
    with np.errstate(all="ignore"):
        figures = np.where(off > 0, off / (ours + theirs), 0.0)
    if terms.known is not None:
        figures[keyed.marked(~np.isfinite(table.analytic))] = math.inf
    resolutions = keyed.largest(terms.resolutions, terms.known, settings.suspect)
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


def _told_outputs(sums: _Sums) -> list[int]:
    """Return the outputs that a report has rows for: all of few, of many those that are not ok."""
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
    off, ours, theirs = (math.sqrt(float(v @ v)) for v in terms.vectors)
    return off / (ours + theirs) if off else 0.0


def _components(
    point: str,
    table: Table,
    theta: Theta,
    names: EntryNames,
) -> tuple[Component, ...]:
    """Return the entries that are not ok, worst first, at most `LISTED` of a parameter."""
    bad = np.flatnonzero(table.codes)
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
