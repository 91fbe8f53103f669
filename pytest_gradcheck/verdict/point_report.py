"""A comparison over theta as the report of a point: arrays in, plain types out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.differences import Approximation
from pytest_gradcheck.params.scales import finite_or_zero, rms
from pytest_gradcheck.params.theta import FloatArray, Parameter, Selection
from pytest_gradcheck.report.report import (
    VERDICTS,
    Component,
    Drawable,
    Finding,
    ParameterReport,
    PointReport,
    failing,
)
from pytest_gradcheck.settings import Settings
from pytest_gradcheck.verdict.comparison import Comparison
from pytest_gradcheck.verdict.judge import (
    Judgement,
    Verdict,
    figure_of,
    judged,
    relative_error,
    squares_of_each,
)

__all__ = ["joined", "point_report", "rank"]

Tally = Sequence[int]
"""A count for each of `VERDICTS`."""

UNPROVED = ("stationary", "vacuous")
"""Codes of warnings that say that little or nothing was tested."""

LISTED = 1000
"""Components of a parameter that a report lists at most; `counts` has them all."""


def point_report(
    name: str,
    comparison: Comparison,
    found: tuple[Finding, ...],
    picture: Callable[[], Drawable] | None = None,
) -> PointReport:
    """Return the report of one point.

    Parameters
    ----------
    name : str
        Of the point.
    comparison : Comparison
    found : tuple of Finding
        What was found out about it.
    picture : callable, optional
        Returns what can be drawn of it.
    """
    figures, figure = _figures(comparison)
    tallies = _tallies(comparison)
    parameters = tuple(
        _parameter(parameter, tally, own_figure, resolution, comparison)
        for parameter, tally, own_figure, resolution in zip(
            comparison.theta.selected, tallies, figures, _resolutions(comparison), strict=True
        )
    )
    listed = [
        component
        for parameter in (() if comparison.judgement.all_ok else comparison.theta.selected)
        for component in _components(parameter, name, comparison)
    ]
    whole = [sum(counts) for counts in zip(*tallies, strict=True)]
    for seen in comparison.approximation.seen.values():
        whole[judged(seen, comparison.settings)] += 1
    return PointReport(
        name=name,
        passed=not _fails(whole, found, comparison.settings),
        verdict=_worst_of(whole).word,
        relative_error=figure,
        parameters=parameters,
        components=tuple(sorted(listed, key=rank)),
        findings=found,
        picture=picture,
    )


def _fails(whole: Tally, found: Sequence[Finding], settings: Settings) -> bool:
    """Return whether a point fails: by verdicts, by unproved parts, or with all undecided."""
    bad = failing(settings)
    return (
        any(count and verdict in bad for verdict, count in zip(VERDICTS, whole, strict=True))
        or whole[Verdict.INCONCLUSIVE] == sum(whole)
        or any(finding.code == "canary" for finding in found)
        or (settings.strict and any(finding.code in UNPROVED for finding in found))
    )


def joined(points: Sequence[PointReport]) -> tuple[Component, ...]:
    """Return the components of all points, worst first, at most `LISTED` of a parameter."""
    if len(points) == 1:
        return points[0].components
    listed: Counter[str] = Counter()
    kept = []
    for component in sorted((c for point in points for c in point.components), key=rank):
        listed[component.parameter] += 1
        if listed[component.parameter] <= LISTED:
            kept.append(component)
    return tuple(kept)


def rank(component: Component) -> tuple[int, float, float]:
    """Return a key that sorts components worst first; NaN would sort nowhere.

    Six digits of how far they are apart: the others are another processor's to choose.
    """
    apart = float(f"{abs(component.numerical - component.analytic):.6g}")
    return (
        -VERDICTS.index(component.verdict),
        -component.relative_error,
        -math.inf if math.isnan(apart) else -apart,
    )


def _figure(
    part: Selection | npt.NDArray[np.bool_], numerical: FloatArray, gradient: FloatArray
) -> float:
    values, analytic = numerical[part], gradient[part]
    figure = relative_error(values, analytic)
    if math.isfinite(figure):
        return figure
    known = ~np.isnan(values) | ~np.isfinite(analytic)
    if not known.any() or not np.all(np.isfinite(analytic[known])):
        return math.inf
    return relative_error(values[known], analytic[known])


def _figures(comparison: Comparison) -> tuple[list[float], float]:
    """Return the course's figure of every parameter, and of the whole.

    Where directions have seen parameters, the figure of the whole is the worst of one. Components
    that are 0 in both gradients do not differ.
    """
    gradient, zeros = comparison.gradient, comparison.judgement.zeros
    values, at = comparison.approximation.values, comparison.approximation.evaluated
    seen = comparison.approximation.seen
    if zeros is not None:
        gradient = np.where(zeros, values, gradient)
    squares = squares_of_each(values, gradient, comparison.theta) if isinstance(at, slice) else []
    own = [figure_of(three) for three in squares] or [math.nan] * len(comparison.theta.parameters)
    figures = [
        seen[parameter.name].figure
        if parameter.name in seen
        else own[number]
        if math.isfinite(own[number])
        else _figure(_looked_at(parameter, comparison.approximation), values, gradient)
        for number, parameter in comparison.theta.layout.numbered
    ]
    if seen:
        return figures, max([*figures, *(one.figure for one in seen.values())])
    whole = figure_of([sum(parts) for parts in zip(*squares, strict=True)]) if squares else math.nan
    return figures, _figure(at, values, gradient) if math.isnan(whole) else whole


def _parameter(
    parameter: Parameter,
    tally: Tally,
    figure: float,
    resolution: float,
    comparison: Comparison,
) -> ParameterReport:
    checked, worst = sum(tally), _worst_of(tally)
    seen = comparison.approximation.seen.get(parameter.name)
    return ParameterReport(
        name=parameter.name,
        shape=parameter.shape,
        size=parameter.size,
        checked=checked,
        covered=checked if seen is None else parameter.size,
        relative_error=figure,
        verdict=(worst if seen is None else max(worst, judged(seen, comparison.settings))).word,
        counts=dict(zip(VERDICTS, tally, strict=True)),
        resolution=resolution,
    )


def _worst_of(tally: Tally) -> Verdict:
    """Return the worst verdict that was counted at all."""
    counted = [number for number, count in enumerate(tally) if count]
    return Verdict(counted[-1]) if counted else Verdict.OK


def _tallies(comparison: Comparison) -> list[Tally]:
    """Return how often each verdict fell on the components of every parameter."""
    theta, judgement = comparison.theta, comparison.judgement
    at = comparison.approximation.evaluated
    kinds = len(VERDICTS)
    numbers = np.arange(at.stop) if isinstance(at, slice) else at
    codes = theta.owners(numbers) * kinds + judgement.verdicts[at]
    table = np.bincount(codes, minlength=len(theta.parameters) * kinds).reshape(-1, kinds)
    rows = table.tolist()
    return [rows[number] for number, _ in theta.layout.numbered]


def _resolutions(comparison: Comparison) -> list[float]:
    """Return the smallest relative error of a component that would have been reported.

    That is of any component if all of a parameter were checked, else of one of usual size.
    """
    theta, resolutions = comparison.theta, comparison.judgement.resolutions
    largest = np.maximum.reduceat(resolutions, theta.starts).tolist()
    return [
        _resolution(parameter, largest[number], comparison)
        for number, parameter in theta.layout.numbered
    ]


def _resolution(parameter: Parameter, largest: float, comparison: Comparison) -> float:
    approximation, least = comparison.approximation, comparison.settings.suspect
    seen = approximation.seen.get(parameter.name)
    if seen is not None:
        return max(least, seen.resolution)
    mine = _looked_at(parameter, approximation)
    if isinstance(mine, slice):
        return float(largest)
    usual = rms(finite_or_zero(approximation.values[mine]))
    if not usual:
        return float(comparison.judgement.resolutions[mine].max(initial=least))
    bar = float(approximation.error_bars[mine].max(initial=0.0))
    return min(max(least, bar / usual), 1.0)


def _looked_at(parameter: Parameter, approximation: Approximation) -> slice | npt.NDArray[np.bool_]:
    """Return the selection of a parameter's checked components: its slice if all are."""
    if isinstance(approximation.evaluated, slice):
        return parameter.slice
    mine = approximation.checked[parameter.slice]
    if mine.all():
        return parameter.slice
    mask = np.zeros(approximation.checked.shape, np.bool_)
    mask[parameter.slice] = mine
    return mask


def _worst(parameter: Parameter, judgement: Judgement) -> npt.NDArray[np.intp]:
    """Return the numbers of the worst of a parameter's components that are not ok, in order."""
    verdicts = judgement.verdicts[parameter.slice]
    if not verdicts.any():
        return np.empty(0, np.intp)
    errors = judgement.errors[parameter.slice]
    order = np.lexsort((-errors, -verdicts))
    return parameter.start + np.sort(order[: np.count_nonzero(verdicts != Verdict.OK)][:LISTED])


def _six_digits(error: float, error_bar: float) -> float:
    """Return an error to six digits, or exactly if it has no error bar.

    The digits beyond are noise, and would order components of one error differently on every
    machine.
    """
    return float(f"{error:.6g}") if error_bar else error


def _components(parameter: Parameter, point: str, comparison: Comparison) -> Iterator[Component]:
    """Yield the worst of a parameter's components, in order."""
    approximation, judgement = comparison.approximation, comparison.judgement
    numbers = _worst(parameter, judgement)
    arrays = (
        comparison.gradient,
        approximation.values,
        approximation.error_bars,
        judgement.errors,
        judgement.verdicts,
    )
    columns = (array[numbers].tolist() for array in arrays)
    for index, analytic, value, bar, error, verdict in zip(
        parameter.indices(numbers), *columns, strict=True
    ):
        yield Component(
            parameter=parameter.name,
            index=index,
            name=parameter.component_name(index),
            analytic=analytic,
            numerical=value,
            error_bar=bar,
            relative_error=_six_digits(error, bar),
            verdict=VERDICTS[verdict],
            point=point,
        )
