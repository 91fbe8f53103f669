"""A comparison over theta as the report of a point: arrays in, plain types out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from operator import add

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.differences import Approximation
from pytest_gradcheck.params.scales import SAFE_SQUARE, finite_or_zero, rms
from pytest_gradcheck.params.theta import FloatArray, Parameter, Place, Theta
from pytest_gradcheck.report.report import (
    VERDICTS,
    Component,
    Finding,
    ParameterReport,
    PointReport,
    failing,
)
from pytest_gradcheck.settings import Settings
from pytest_gradcheck.verdict.judge import INCONCLUSIVE, OK, Judgement, judged, relative_error

__all__ = ["joined", "point_report", "rank"]

Tally = Sequence[int]
"""A count for each of `VERDICTS`."""

LISTED = 1000
"""Components of a parameter that a report lists at most; `counts` has them all."""


def point_report(
    name: str,
    approximation: Approximation,
    gradient: FloatArray,
    judgement: Judgement,
    found: tuple[Finding, ...],
    theta: Theta,
    settings: Settings,
) -> PointReport:
    """Return the report of one point."""
    figures, figure = _figures(theta, approximation, gradient)
    tallies = _tallies(theta, approximation, judgement)
    resolutions = _resolutions(theta, approximation, judgement, settings)
    parameters = tuple(
        _parameter(parameter, tally, own_figure, resolution, approximation, settings)
        for parameter, tally, own_figure, resolution in zip(
            theta.selected, tallies, figures, resolutions, strict=True
        )
    )
    listed = [
        _component(parameter, int(number), name, approximation, gradient, judgement)
        for parameter in (theta.selected if judgement.verdicts.any() else ())
        for number in _worst(parameter, judgement)
    ]
    whole = [sum(counts) for counts in zip(*tallies, strict=True)]
    for seen in approximation.seen.values():
        whole[judged(seen, settings)] += 1
    bad = failing(settings)
    fails = (
        any(count and verdict in bad for verdict, count in zip(VERDICTS, whole, strict=True))
        or whole[INCONCLUSIVE] == sum(whole)
        or any(finding.code == "canary" for finding in found)
        or (settings.strict and any(finding.code == "vacuous" for finding in found))
    )
    return PointReport(
        name=name,
        passed=not fails,
        verdict=VERDICTS[_worst_of(whole)],
        relative_error=figure,
        parameters=parameters,
        components=tuple(sorted(listed, key=rank)),
        findings=found,
    )


def joined(points: Sequence[PointReport]) -> tuple[Component, ...]:
    """Return the components of all points, worst first, at most `LISTED` of a parameter."""
    listed: Counter[str] = Counter()
    kept = []
    for component in sorted((c for point in points for c in point.components), key=rank):
        listed[component.parameter] += 1
        if listed[component.parameter] <= LISTED:
            kept.append(component)
    return tuple(kept)


def rank(component: Component) -> tuple[int, float, float]:
    """Return a key that sorts components worst first; NaN would sort nowhere."""
    apart = abs(component.numerical - component.analytic)
    return (
        -VERDICTS.index(component.verdict),
        -component.relative_error,
        -math.inf if math.isnan(apart) else -apart,
    )


def _figure(
    part: Place | npt.NDArray[np.bool_], approximation: Approximation, gradient: FloatArray
) -> float:
    values, analytic = approximation.values[part], gradient[part]
    figure = relative_error(values, analytic)
    if math.isfinite(figure):
        return figure
    known = ~np.isnan(values) | ~np.isfinite(analytic)
    if not known.any() or not np.all(np.isfinite(analytic[known])):
        return math.inf
    return relative_error(values[known], analytic[known])


def _figures(
    theta: Theta, approximation: Approximation, gradient: FloatArray
) -> tuple[list[float], float]:
    """Return the course's figure of every parameter, and of the whole.

    From the sums of squares of all of them at once, where nothing stands in the way. Where
    directions have seen parameters, the figure of the whole is the worst of one.
    """
    at, seen = approximation.evaluated, approximation.seen
    if isinstance(at, slice):  # and so every parameter, one next to the other
        values = approximation.values
        squares = [
            np.add.reduceat(vector * vector, theta.starts).tolist()
            for vector in (values - gradient, values, gradient)
        ]
        sizes = map(add, *squares[1:])
        if all(SAFE_SQUARE < size < 1 / SAFE_SQUARE for size in sizes):
            each = [_ratio(*three) for three in zip(*squares, strict=True)]
            return each, _ratio(*map(sum, squares))
    figures = [
        seen[parameter.name].figure
        if parameter.name in seen
        else _figure(_looked_at(parameter, approximation), approximation, gradient)
        for parameter in theta.selected
    ]
    if seen:
        return figures, max([*figures, *(one.figure for one in seen.values())])
    return figures, _figure(at, approximation, gradient)


def _ratio(off: float, numerical: float, analytic: float) -> float:
    """Return the course's figure from sums of squares."""
    return math.sqrt(off) / (math.sqrt(numerical) + math.sqrt(analytic))


def _parameter(
    parameter: Parameter,
    tally: Tally,
    figure: float,
    resolution: float,
    approximation: Approximation,
    settings: Settings,
) -> ParameterReport:
    checked, worst = sum(tally), _worst_of(tally)
    seen = approximation.seen.get(parameter.name)
    return ParameterReport(
        name=parameter.name,
        shape=parameter.shape,
        size=parameter.size,
        checked=checked,
        covered=checked if seen is None else parameter.size,
        relative_error=figure,
        verdict=VERDICTS[worst if seen is None else max(worst, judged(seen, settings))],
        counts=dict(zip(VERDICTS, tally, strict=True)),
        resolution=resolution,
    )


def _worst_of(tally: Tally) -> int:
    """Return the worst verdict that was counted at all, an index into `VERDICTS`."""
    worst = OK
    for code, count in enumerate(tally):
        worst = code if count else worst
    return worst


def _tallies(theta: Theta, approximation: Approximation, judgement: Judgement) -> list[Tally]:
    """Return how often each verdict fell on the components of every parameter."""
    at = approximation.evaluated
    if isinstance(at, slice) and not judgement.verdicts.any():
        others = [0] * (len(VERDICTS) - 1)
        return [[parameter.size, *others] for parameter in theta.selected]
    kinds = len(VERDICTS)
    numbers = np.arange(at.stop) if isinstance(at, slice) else at
    codes = theta.owners(numbers) * kinds + judgement.verdicts[at]
    table = np.bincount(codes, minlength=len(theta.parameters) * kinds).reshape(-1, kinds)
    return [table[number].tolist() for number in sorted(theta.selected_numbers)]


def _resolutions(
    theta: Theta,
    approximation: Approximation,
    judgement: Judgement,
    settings: Settings,
) -> list[float]:
    """Return the smallest relative error of a component that would have been reported.

    Of any component where all of a parameter were looked at, else of one of its usual size.
    """
    if isinstance(approximation.evaluated, slice) and not approximation.seen:
        largest: list[float] = np.maximum.reduceat(judgement.resolutions, theta.starts).tolist()
        return largest
    return [_resolution(one, approximation, judgement, settings) for one in theta.selected]


def _resolution(
    parameter: Parameter, approximation: Approximation, judgement: Judgement, settings: Settings
) -> float:
    seen = approximation.seen.get(parameter.name)
    if seen is not None:
        return max(settings.suspect, seen.resolution)
    mine = _looked_at(parameter, approximation)
    if isinstance(mine, slice):
        return float(judgement.resolutions[mine].max())
    usual = rms(finite_or_zero(approximation.values[mine]))
    bar = float(approximation.error_bars[mine].max(initial=0.0))
    return max(settings.suspect, bar / usual if usual else 0.0)


def _looked_at(parameter: Parameter, approximation: Approximation) -> slice | npt.NDArray[np.bool_]:
    """Return what picks a parameter's checked components: its slice, where that is all of them."""
    mine = approximation.checked[parameter.slice]
    if mine.all():
        return parameter.slice
    mask = np.zeros(approximation.checked.shape, np.bool_)
    mask[parameter.slice] = mine
    return mask


def _worst(parameter: Parameter, judgement: Judgement) -> npt.NDArray[np.intp]:
    """Return the numbers of a parameter's checked components that are not ok, worst first."""
    verdicts = judgement.verdicts[parameter.slice]
    if not verdicts.any():
        return np.empty(0, np.intp)
    errors = judgement.errors[parameter.slice]
    order = np.lexsort((-errors, -verdicts))
    return parameter.start + order[: np.count_nonzero(verdicts != OK)][:LISTED]


def _told(error: float, error_bar: float) -> float:
    """Return an error to six digits, unless it has no error bar and is to the last bit what it is.

    The digits beyond are noise, and would order components of one error differently on every
    machine.
    """
    return float(f"{error:.6g}") if error_bar else error


def _component(
    parameter: Parameter,
    number: int,
    point: str,
    approximation: Approximation,
    gradient: FloatArray,
    judgement: Judgement,
) -> Component:
    index = parameter.index(number)
    return Component(
        parameter=parameter.name,
        index=index,
        name=parameter.component_name(index),
        analytic=float(gradient[number]),
        numerical=float(approximation.values[number]),
        error_bar=float(approximation.error_bars[number]),
        relative_error=_told(float(judgement.errors[number]), approximation.error_bars[number]),
        verdict=VERDICTS[int(judgement.verdicts[number])],
        point=point,
    )
