"""Verdicts on the entries of a Jacobian, and the report of a point that is made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.differences import KINDS
from pytest_gradcheck.numdiff.jacobian.slopes import Slopes, tolerances
from pytest_gradcheck.params.theta import FloatArray, Numbers, Parameter
from pytest_gradcheck.report.report import (
    VERDICTS,
    Component,
    Finding,
    ParameterReport,
    PointReport,
    failing,
)
from pytest_gradcheck.settings import Settings
from pytest_gradcheck.verdict.comparison import LISTED, rank
from pytest_gradcheck.verdict.judge import BUG, INCONCLUSIVE, KINK, NONFINITE, OK, SUSPECT
from pytest_gradcheck.verdict.judge import relative_error as course_figure

__all__ = [
    "Entries",
    "EntryNames",
    "Judged",
    "asymmetries",
    "entries_report",
    "judge_entries",
    "judge_symmetry",
]

Codes = npt.NDArray[np.int8]

DUST = 1e-8
"""An analytic slope below this part of its output's largest is zero beside the others."""

OUTPUTS = 1000
"""Outputs that a report has a row for at most, the worst of them."""


@dataclass(frozen=True)
class Entries:
    """A Jacobian beside its approximation, column by column.

    Attributes
    ----------
    numbers : int array of shape (k,)
        The components of theta, in ascending order.
    parameters : tuple of Parameter
        Those that the components belong to.
    starts : tuple of int
        Where the components of each parameter begin among the k.
    analytic : array of shape (k, m)
        The user's Jacobian, transposed.
    slopes : Slopes
        Its approximation.
    asked : bool array of shape (k, m), or None
        Which entries are compared; None where all are.
    """

    numbers: Numbers
    parameters: tuple[Parameter, ...]
    starts: tuple[int, ...]
    analytic: FloatArray
    slopes: Slopes
    asked: npt.NDArray[np.bool_] | None = None

    @property
    def parts(self) -> list[tuple[Parameter, slice]]:
        """Each parameter, and where its components stand among the k."""
        ends = [*self.starts[1:], len(self.numbers)]
        places = [slice(*pair) for pair in zip(self.starts, ends, strict=True)]
        return list(zip(self.parameters, places, strict=True))


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


@dataclass(frozen=True)
class EntryNames:
    """What entries are called.

    Attributes
    ----------
    entry : callable
        Takes an output's number and a component's; returns ``jac[3, 12]``.
    output : callable
        Takes an output's number; returns ``out[3]``.
    shape : tuple of int
        Of the outputs, where they are one array; else their number.
    """

    entry: Callable[[int, int], str]
    output: Callable[[int], str]
    shape: tuple[int, ...]


def judge_entries(entries: Entries, settings: Settings) -> Judged:
    """Compare a Jacobian with its approximation, entry by entry, each beside its own output."""
    slopes, analytic = entries.slopes, entries.analytic
    with np.errstate(all="ignore"):
        off = np.abs(slopes.values - analytic)
        size = np.abs(slopes.values) + np.abs(analytic)
        errors = np.maximum(off - slopes.error_bars, 0.0)
        np.divide(errors, size, out=errors, where=size > 0)
        codes = np.zeros(errors.shape, np.int8)
        wide = tolerances(slopes, analytic, entries.starts)
        decided = (slopes.error_bars <= wide) | _is_zero(slopes, analytic)
        if np.all(decided) and np.all(errors <= settings.suspect) and not slopes.kinds.any():
            return Judged(codes, errors)
        codes[slopes.kinds == KINDS.index("kink")] = KINK
        codes[~decided | ~np.isfinite(slopes.values)] = INCONCLUSIVE
        codes[slopes.kinds == KINDS.index("jump")] = INCONCLUSIVE
        codes[errors > settings.suspect] = SUSPECT
        codes[errors > settings.bug] = BUG
        codes[(slopes.kinds == KINDS.index("nonfinite")) | ~np.isfinite(analytic)] = NONFINITE
    errors[codes == NONFINITE] = math.inf
    errors[np.isnan(errors)] = 0.0
    if entries.asked is not None:
        codes[~entries.asked], errors[~entries.asked] = OK, 0.0
    return Judged(codes, errors)


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
    told = apart & ~((mine >= SUSPECT) | (mine.T >= SUSPECT))
    if not told.any():
        return judged
    codes, all_errors = judged.codes.copy(), judged.errors.copy()
    rows, columns = np.nonzero(told)
    places = rows, entries.numbers[columns]
    codes[places] = np.where(errors[told] > settings.bug, BUG, SUSPECT)
    all_errors[places] = errors[told]
    return Judged(codes, all_errors)


def _is_zero(slopes: Slopes, analytic: FloatArray) -> npt.NDArray[np.bool_]:
    """Return where an output does not move beyond its rounding, and the analytic slope is zero.

    Zero beside the other slopes of the output, and beside that rounding.
    """
    still = np.abs(slopes.values) <= slopes.error_bars
    dust = DUST * np.abs(np.where(np.isfinite(analytic), analytic, 0.0)).max(axis=0, initial=0.0)
    zero: npt.NDArray[np.bool_] = still & (np.abs(analytic) <= np.minimum(slopes.error_bars, dust))
    return zero


def entries_report(
    name: str,
    entries: Entries,
    judged: Judged,
    names: EntryNames,
    found: tuple[Finding, ...],
    settings: Settings,
) -> PointReport:
    """Return the report of a point at which a Jacobian was compared."""
    asked = entries.asked
    parameters = tuple(
        _row(
            parameter.name,
            (*names.shape, *parameter.shape),
            (part, slice(None)),
            entries,
            judged,
            settings,
        )
        for parameter, part in entries.parts
    )
    outputs = tuple(
        _row(names.output(i), (len(entries.numbers),), (slice(None), i), entries, judged, settings)
        for i in _told_outputs(judged)
    )
    counts = np.bincount(
        judged.codes.reshape(-1) if asked is None else judged.codes[asked], minlength=len(VERDICTS)
    ).tolist()
    bad = failing(settings)
    fails = (
        any(count and verdict in bad for verdict, count in zip(VERDICTS, counts, strict=True))
        or counts[INCONCLUSIVE] == sum(counts)
        or any(finding.severity == "cause" for finding in found)
    )
    worst = max((code for code, count in enumerate(counts) if count), default=OK)
    if any(finding.severity == "cause" for finding in found):
        worst = max(worst, BUG)  # a law that is broken though no entry is
    return PointReport(
        name=name,
        passed=not fails,
        verdict=VERDICTS[worst],
        relative_error=_figure(entries, (slice(None), slice(None))),
        parameters=parameters,
        components=_components(name, entries, judged, names),
        findings=found,
        outputs=outputs,
    )


def _told_outputs(judged: Judged) -> list[int]:
    """Return the outputs that a report has rows for: all, or the worst of them, in their order."""
    worst = judged.codes.max(axis=0, initial=OK)
    if worst.size <= OUTPUTS:
        return list(range(worst.size))
    order = np.lexsort((-judged.errors.max(axis=0, initial=0.0), -worst))
    return sorted(order[: min(OUTPUTS, max(1, np.count_nonzero(worst)))].tolist())


Part = tuple[slice, slice] | tuple[slice, int]
"""Which components, and which outputs."""


def _row(
    name: str,
    shape: tuple[int, ...],
    part: Part,
    entries: Entries,
    judged: Judged,
    settings: Settings,
) -> ParameterReport:
    """Return the report of a parameter, or of an output, which is one of its parts."""
    codes = judged.codes[part]
    if entries.asked is not None:
        codes = codes[entries.asked[part]]
    tally = np.bincount(codes.reshape(-1), minlength=len(VERDICTS)).tolist()
    worst = max((code for code, count in enumerate(tally) if count), default=OK)
    return ParameterReport(
        name=name,
        shape=shape,
        size=math.prod(shape),
        checked=sum(tally),
        covered=sum(tally),
        relative_error=_figure(entries, part),
        verdict=VERDICTS[worst],
        counts=dict(zip(VERDICTS, tally, strict=True)),
        resolution=_resolution(entries, part, settings),
    )


def _figure(entries: Entries, part: Part) -> float:
    """Return the course's figure over a part of the entries."""
    values, analytic = entries.slopes.values[part], entries.analytic[part]
    known = ~np.isnan(values) | ~np.isfinite(analytic)
    if entries.asked is not None:
        known &= entries.asked[part]
    if not known.any() or not np.all(np.isfinite(analytic[known])):
        return math.inf if known.any() else 0.0
    return course_figure(values[known].reshape(-1), analytic[known].reshape(-1))


def _resolution(entries: Entries, part: Part, settings: Settings) -> float:
    """Return the smallest relative error of any one entry that would have been reported.

    Two bars: one by which the approximation may be off, and one that the verdict forgives.
    """
    bars = entries.slopes.error_bars[part]
    with np.errstate(all="ignore"):
        size = np.abs(entries.slopes.values[part]) + np.abs(entries.analytic[part])
        told = 2 * bars / size
    told = told[(size > 0) & np.isfinite(size)]
    return float(max(told.max(initial=0.0), settings.suspect))


def _components(
    point: str, entries: Entries, judged: Judged, names: EntryNames
) -> tuple[Component, ...]:
    """Return the entries that are not ok, worst first, at most `LISTED` of a parameter."""
    listed: list[Component] = []
    for parameter, part in entries.parts:
        codes, errors = judged.codes[part].reshape(-1), judged.errors[part].reshape(-1)
        if not codes.any():
            continue
        order = np.lexsort((-errors, -codes))[: np.count_nonzero(codes)][:LISTED]
        m = judged.codes.shape[1]
        for flat in order.tolist():
            k, i = part.start + flat // m, flat % m
            listed.append(_component(point, parameter, (k, i), entries, judged, names))
    return tuple(sorted(listed, key=rank))


def _component(
    point: str,
    parameter: Parameter,
    place: tuple[int, int],
    entries: Entries,
    judged: Judged,
    names: EntryNames,
) -> Component:
    number, output = int(entries.numbers[place[0]]), place[1]
    error, bar = float(judged.errors[place]), float(entries.slopes.error_bars[place])
    return Component(
        parameter=parameter.name,
        index=parameter.index(number),
        name=names.entry(output, number),
        analytic=float(entries.analytic[place]),
        numerical=float(entries.slopes.values[place]),
        error_bar=bar,
        relative_error=float(f"{error:.6g}") if bar else error,
        verdict=VERDICTS[int(judged.codes[place])],
        point=point,
        output=names.output(output),
        entry=(output, number),
    )


def worst_rows(rows: Sequence[ParameterReport]) -> list[ParameterReport]:
    """Return rows that are not ok, the worst first."""
    bad = [row for row in rows if row.verdict != "ok"]
    return sorted(bad, key=lambda row: (-VERDICTS.index(row.verdict), -row.relative_error))
