"""Findings from a point and its twin without the penalty.

A relative error is relative to the whole gradient. If the penalty's part is a thousand times the
data's, an error of one per cent in the data term is one of 1e-5 in the sum, and passes. Only the
point without the penalty can show it, and a warning says so. If only the point with the penalty
fails, the penalty is wrong, whatever the pattern.
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
"""The ratio of the penalty's to the data's part above which the penalty hides the data term."""


def dominated(
    whole: Approximation, data: Approximation, parameters: Sequence[Parameter], point: str
) -> tuple[Finding, ...]:
    """Return a warning for every parameter in which the penalty hides the data term.

    Parameters
    ----------
    whole, data : Approximation
        The numerical gradients at one theta, with the penalty and with it off. Their difference is
        the penalty's part.
    parameters : sequence of Parameter
        Those that were checked.
    point : str
        The name of the point with the penalty.

    Returns
    -------
    tuple of Finding
        There is none for a parameter whose data term is 0 throughout: that is `vacuous` without the
        penalty.
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
        with np.errstate(all="ignore"):  # an overflow means a large ratio
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
    """Return the report of a point, with the penalty as the cause if the twin passes."""
    codes = {finding.code for finding in whole.findings}
    if whole.passed or not twin.passed or codes & {MISSING, WRONG}:
        return whole
    rest = tuple(f for f in whole.findings if f.severity != "cause" or f.code == "line")
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
