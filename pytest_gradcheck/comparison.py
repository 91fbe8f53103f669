"""A comparison over theta as the report of a point: arrays in, plain types out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.differences import Approximation
from pytest_gradcheck.report import (
    VERDICTS,
    Component,
    Finding,
    ParameterReport,
    PointReport,
    failing,
)
from pytest_gradcheck.settings import Settings
from pytest_gradcheck.theta import FloatArray, Parameter, Theta
from pytest_gradcheck.verdict import INCONCLUSIVE, OK, Judgement, relative_error

__all__ = ["joined", "point_report", "rank"]

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
    parameters = tuple(
        _parameter(parameter, approximation, gradient, judgement) for parameter in theta.selected
    )
    listed = [
        _component(parameter, int(number), name, approximation, gradient, judgement)
        for parameter in theta.selected
        for number in _worst(parameter, judgement, approximation.checked)
    ]
    verdicts = judgement.verdicts[approximation.checked]
    bad = failing(settings)
    fails = (
        any(VERDICTS[code] in bad for code in np.flatnonzero(np.bincount(verdicts)))
        or bool(np.all(verdicts == INCONCLUSIVE))
        or any(finding.code == "canary" for finding in found)
        or (settings.strict and any(finding.code == "vacuous" for finding in found))
    )
    return PointReport(
        name=name,
        passed=not fails,
        verdict=VERDICTS[int(verdicts.max())],
        relative_error=_figure(approximation.checked, approximation, gradient),
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
    part: slice | npt.NDArray[np.bool_], approximation: Approximation, gradient: FloatArray
) -> float:
    values = approximation.values[part]
    with np.errstate(all="ignore"):
        finite = math.isfinite(float(values.sum()) + float(gradient[part].sum()))
    if finite:
        return relative_error(values, gradient[part])
    known = ~np.isnan(values) | ~np.isfinite(gradient[part])
    if not known.any() or not np.all(np.isfinite(gradient[part][known])):
        return math.inf
    return relative_error(values[known], gradient[part][known])


def _parameter(
    parameter: Parameter, approximation: Approximation, gradient: FloatArray, judgement: Judgement
) -> ParameterReport:
    mine = _looked_at(parameter, approximation)
    verdicts = judgement.verdicts[mine]
    tally = np.bincount(verdicts, minlength=len(VERDICTS)).tolist()
    return ParameterReport(
        name=parameter.name,
        shape=parameter.shape,
        size=parameter.size,
        checked=verdicts.size,
        relative_error=_figure(mine, approximation, gradient),
        verdict=VERDICTS[int(verdicts.max())],
        counts=dict(zip(VERDICTS, tally, strict=True)),
        resolution=float(judgement.resolutions[mine].max()),
    )


def _looked_at(parameter: Parameter, approximation: Approximation) -> slice | npt.NDArray[np.bool_]:
    """Return what picks a parameter's checked components: its slice, where that is all of them."""
    mine = approximation.checked[parameter.slice]
    if mine.all():
        return parameter.slice
    mask = np.zeros(approximation.checked.shape, np.bool_)
    mask[parameter.slice] = mine
    return mask


def _worst(
    parameter: Parameter, judgement: Judgement, checked: npt.NDArray[np.bool_]
) -> npt.NDArray[np.intp]:
    """Return the numbers of a parameter's checked components that are not ok, worst first."""
    verdicts = np.where(checked[parameter.slice], judgement.verdicts[parameter.slice], OK)
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
