"""Planted faults: proof that a check which passes would have failed.

Every fault is put into the analytic gradient of one parameter and compared with the approximations
at hand, so a canary costs no call of the cost.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pytest_gradcheck.numdiff.directions import ProbeResult
from pytest_gradcheck.numdiff.ladder import Kind
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.theta import FloatArray, Parameter
from pytest_gradcheck.report.report import Finding
from pytest_gradcheck.verdict.comparison import Comparison
from pytest_gradcheck.verdict.judge import Verdict, judge

__all__ = ["unnoticed"]

VISIBLE = 1e-3
"""A fault that changes no component by more than this part of the largest is none: the transpose of
a symmetric gradient, say."""


def unnoticed(comparison: Comparison, point: str) -> tuple[Finding, ...]:
    """Return a finding for every planted fault that the comparison lets pass.

    Parameters
    ----------
    comparison : Comparison
        Of the user's gradient, which is taken to be right.
    point : str
        The name of the point.
    """
    found = []
    approximation, gradient, theta = (
        comparison.approximation,
        comparison.gradient,
        comparison.theta,
    )
    length = lengths(theta, gradient) if approximation.seen else gradient
    for parameter in theta.selected:
        part = parameter.slice
        seen = approximation.seen.get(parameter.name)
        for fault, values in _faults(parameter, comparison):
            if seen is not None and _shows(values - gradient[part], length[part], seen):
                continue
            planted = gradient.copy()
            planted[part] = values
            verdicts = judge(approximation, planted, theta, comparison.settings).verdicts
            changed = parameter.start + np.flatnonzero(values != gradient[part])
            if np.any(verdicts[changed] >= Verdict.SUSPECT):
                continue
            message = (
                f"{parameter.name}: a planted fault ({fault}) went unnoticed: the error bars of "
                "this parameter are too wide to prove its gradient right"
            )
            found.append(Finding.cause("canary", message, parameter=parameter.name, point=point))
    return tuple(found)


def _shows(fault: FloatArray, length: FloatArray, seen: ProbeResult) -> bool:
    """Return whether a random direction over a parameter shows a fault.

    Its weights are half the lengths at least. Two bars, as for a component: one by which the slope
    may be off, and one that the verdict forgives.
    """
    return bool(0.5 * np.linalg.norm(length * fault) > 2 * seen.error_bar)


def _faults(parameter: Parameter, comparison: Comparison) -> Iterator[tuple[str, FloatArray]]:
    """Yield faulty gradients of a parameter that differ from its own where it was checked.

    Components that are 0 beside rounding in both gradients get no fault.
    """
    part, approximation = parameter.slice, comparison.approximation
    own = comparison.gradient[part]
    clear = approximation.checked[part] | (parameter.name in approximation.seen)
    clear &= approximation.of_kind(Kind.SMOOTH)[part]
    if comparison.judgement.zeros is not None:
        clear &= ~comparison.judgement.zeros[part]
    if not np.any(own[clear]):
        return
    largest = int(np.argmax(np.where(clear, np.abs(own), -1.0)))
    name = parameter.component_name(parameter.index(parameter.start + largest))
    scaled, neighbour = own.copy(), own.copy()
    scaled[largest] *= 1.01
    neighbour[largest] = own[largest - 1]
    faults = [
        (f"{name} x 1.01", scaled),
        ("the sign", -own),
        ("zero", np.zeros_like(own)),
        (f"{name} with its neighbour's value", neighbour),
    ]
    if len(parameter.shape) == 2:
        faults.append(("transposed", own.reshape(parameter.shape).T.reshape(-1)))
    for fault, values in faults:
        difference = np.abs(values - own)[clear]
        if difference.max() > VISIBLE * np.abs(own[clear]).max():
            yield fault, values
