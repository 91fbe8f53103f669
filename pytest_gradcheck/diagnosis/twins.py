"""What a point and its twin without the penalty say together.

A relative error is one of the whole gradient. Where the penalty's part is a thousand times as large
as the data's, a fault of one per cent in the data term is one of 1e-5 in the sum, and passes. The
point without the penalty finds it; this says that only that point could. And where only the point
with the penalty fails, the fault lies in the penalty, whatever its pattern.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from pytest_gradcheck.diagnosis.words import listed
from pytest_gradcheck.numdiff.differences import Approximation
from pytest_gradcheck.params.theta import FloatArray, Parameter
from pytest_gradcheck.report.report import Finding, PointReport

__all__ = ["HIDES", "blamed_on_penalty", "dominated"]

MISSING, WRONG = "missing-regularization", "wrong-regularization"

HIDES = 100.0
"""How many times the data's part the penalty's may be before it is said to hide it."""


def dominated(
    whole: Approximation, data: Approximation, parameters: Sequence[Parameter], point: str
) -> tuple[Finding, ...]:
    """Return a warning for every parameter in which the penalty hides the data term.

    Parameters
    ----------
    whole, data : Approximation
        The numerical gradients at one theta, with the penalty and with it off. What they differ in
        is the penalty's part, whatever the user's gradient says of it.
    parameters : sequence of Parameter
        Those that were checked.
    point : str
        The name of the point that has the penalty.

    Returns
    -------
    tuple of Finding
        None for a parameter whose data term is 0 throughout: that is `vacuous` without the penalty.
    """
    return tuple(_found(whole, data, parameters, point))


def _found(
    whole: Approximation, data: Approximation, parameters: Sequence[Parameter], point: str
) -> Iterator[Finding]:
    known = whole.checked & data.checked  # samples of the two points need not be the same
    known &= np.isfinite(whole.values) & np.isfinite(data.values)
    for parameter in parameters:
        seen = parameter.start + np.flatnonzero(known[parameter.slice])
        part_of_data = _norm(data.values[seen])
        with np.errstate(all="ignore"):  # so large a ratio that it overflows is large
            part_of_penalty = _norm(whole.values[seen] - data.values[seen])
            ratio = float(np.divide(part_of_penalty, part_of_data))
        if part_of_data > 0 and ratio > HIDES:
            yield Finding.warning(
                "dominated",
                f"{parameter.name}: the penalty's part of the gradient is {_times(ratio)} x the "
                f"data's (norms {part_of_penalty:.3g} and {part_of_data:.3g}) and hides faults; "
                "the point with the penalty off shows them. Is the penalty meant to be that large?",
                parameter=parameter.name,
                factor=ratio,
                point=point,
            )


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio < 1e6 else f"{ratio:.1e}"


def _norm(values: FloatArray) -> float:
    largest = float(np.max(np.abs(values), initial=0.0))
    if not 0 < largest < np.inf:
        return largest
    return largest * float(np.linalg.norm(values / largest))  # scaled: no overflow, no underflow


def blamed_on_penalty(whole: PointReport, twin: PointReport) -> PointReport:
    """Return the report of a point, with the penalty blamed for what is right without it."""
    codes = {finding.code for finding in whole.findings}
    if whole.passed or not twin.passed or codes & {MISSING, WRONG}:
        return whole
    rest = tuple(finding for finding in whole.findings if finding.severity != "cause")
    return dataclasses.replace(whole, findings=(_blamed(whole), *rest))


def _blamed(point: PointReport) -> Finding:
    wrong = [p for p in point.parameters if p.verdict in ("suspect", "bug", "nonfinite")]
    count = sum(p.counts.get(v, 0) for p in wrong for v in ("suspect", "bug", "nonfinite"))
    checked = sum(p.checked for p in point.parameters)
    message = (
        f"{listed([p.name for p in wrong])}: {count} of {checked} components are wrong, and none "
        "with the penalty off: the penalty of the gradient is not that of the cost"
    )
    name = wrong[0].name if len(wrong) == 1 else None
    names = tuple(parameter.name for parameter in wrong)
    return Finding.cause(WRONG, message, parameter=name, point=point.name, parameters=names)
