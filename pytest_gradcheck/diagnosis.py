"""What the pattern of errors gives away: findings, each said in numbers.

A finding that is not sure is not made: a cause has to explain every component that differs, within
its error bar, and two components at least.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pytest_gradcheck.differences import Approximation
from pytest_gradcheck.noise import EPSILON, Noise
from pytest_gradcheck.report import Finding
from pytest_gradcheck.theta import FloatArray, Parameter, Theta
from pytest_gradcheck.verdict import BUG, INCONCLUSIVE, KINK, SUSPECT, Judgement

__all__ = ["findings"]

POOR = 1e-3
"""A check that resolves less than this, the error of a bug, says so."""

FIT = 1e-4
"""A factor explains a component when it is off by no more than this part of it."""


def findings(
    approximation: Approximation,
    gradient: FloatArray,
    judgement: Judgement,
    theta: Theta,
    noise: Noise | None,
    point: str,
) -> tuple[Finding, ...]:
    """Return the causes first, then the warnings, in the order of the parameters.

    Parameters
    ----------
    approximation, gradient, judgement
        The two gradients and their comparison, over theta.
    theta : Theta
    noise : Noise or None
        Of the cost; None in the classical check, which measures none.
    point : str
        The name of the point.
    """
    causes: list[Finding] = []
    warnings: list[Finding] = [] if noise is None else list(_coarse(judgement, noise, point))
    for parameter in theta.selected:
        causes += _cause(parameter, approximation, gradient, judgement, point)
        warnings += _kink(parameter, approximation, gradient, judgement, point)
        warnings += _vacuous(parameter, approximation, gradient, point)
        if noise is not None:
            warnings += _precision(parameter, approximation, judgement, noise, point)
    return (*causes, *warnings)


def _cause(
    parameter: Parameter,
    approximation: Approximation,
    gradient: FloatArray,
    judgement: Judgement,
    point: str,
) -> Iterator[Finding]:
    """Name a parameter whose gradient is a multiple of the numerical one, or was never filled."""
    part = parameter.slice
    wrong = (judgement.verdicts[part] == BUG) | (judgement.verdicts[part] == SUSPECT)
    values, analytic = approximation.values[part], gradient[part]
    bars = approximation.error_bars[part]
    if not wrong.any() or not np.all(np.isfinite(values)) or not np.all(np.isfinite(analytic)):
        return
    if not analytic.any():
        yield Finding(
            "zero",
            "cause",
            parameter.name,
            f"{parameter.name}: the gradient is 0 throughout, while {wrong.sum()} of "
            f"{wrong.size} numerical components are not: it was never filled in",
            0.0,
            point,
        )
        return
    clear = np.abs(values) > 10 * bars
    if np.count_nonzero(clear) < min(2, wrong.size) or not clear.any():
        return
    clear_values = values[clear] / np.max(np.abs(values))  # scaled: no overflow, no underflow
    clear_analytic = analytic[clear] / np.max(np.abs(values))
    factor = float(np.dot(clear_analytic, clear_values) / np.dot(clear_values, clear_values))
    unexplained = np.abs(analytic - factor * values)
    if np.any(
        unexplained > abs(factor) * bars + FIT * np.maximum(np.abs(analytic), np.abs(values))
    ):
        return
    if wrong.size == 1 and abs(factor + 1) > FIT:
        return  # one number is a multiple of any other
    code = "sign" if abs(factor + 1) <= FIT else "scale"
    reason = (
        "the sign is turned round"
        if code == "sign"
        else f"a factor of {factor:.4g} is too much: remove it, or undo a sum where a mean is due"
        if abs(factor) > 1
        else f"a factor of {1 / factor:.4g} is missing"
    )
    yield Finding(
        code,
        "cause",
        parameter.name,
        f"{parameter.name}: {wrong.sum()} of {wrong.size} components are {factor:.3f} x the "
        f"numerical gradient: {reason}",
        factor,
        point,
    )


def _kink(
    parameter: Parameter,
    approximation: Approximation,
    gradient: FloatArray,
    judgement: Judgement,
    point: str,
) -> Iterator[Finding]:
    part = parameter.slice
    at_kink = parameter.start + np.flatnonzero(approximation.of_kind("kink")[part])
    if not at_kink.size:
        return
    errors = judgement.errors[at_kink]
    number = int(at_kink[int(np.argmax(errors))])
    left, right = approximation.sides[number]
    name = parameter.component_name(parameter.index(number))
    valid = judgement.verdicts[number] == KINK
    where = "between them: a valid subgradient" if valid else "outside them: no subgradient"
    yield Finding(
        "kink",
        "warning",
        parameter.name,
        f"{name}: the cost has a kink here, with slope {left:.4g} on the left and {right:.4g} on "
        f"the right; the gradient {gradient[number]:.4g} lies {where}"
        + (f" ({at_kink.size} kinks in {parameter.name})" if at_kink.size > 1 else ""),
        None,
        point,
    )


def _vacuous(
    parameter: Parameter, approximation: Approximation, gradient: FloatArray, point: str
) -> Iterator[Finding]:
    part = parameter.slice
    kinks = approximation.of_kind("kink")[part]
    if gradient[part].any() or approximation.values[part].any() or kinks.any():
        return
    yield Finding(
        "vacuous",
        "warning",
        parameter.name,
        f"{parameter.name}: analytic and numerical gradient are 0 throughout, so nothing was "
        "tested: check at a point where the cost depends on it",
        None,
        point,
    )


def _precision(
    parameter: Parameter,
    approximation: Approximation,
    judgement: Judgement,
    noise: Noise,
    point: str,
) -> Iterator[Finding]:
    part = parameter.slice
    undecided = judgement.verdicts[part] == INCONCLUSIVE
    if not undecided.any():
        return
    if np.any(approximation.of_kind("jump")[part] & undecided):
        reason = "the cost jumps here, and has no slope"
    else:
        reason = _noise_reason(noise)
    yield Finding(
        "precision",
        "warning",
        parameter.name,
        f"{parameter.name}: {undecided.sum()} of {undecided.size} components cannot be decided: "
        f"{reason}",
        None,
        point,
    )


def _coarse(judgement: Judgement, noise: Noise, point: str) -> Iterator[Finding]:
    """Say what a noisy cost hides, though every component could be decided."""
    worst = float(judgement.resolutions.max())
    decided = not np.any(judgement.verdicts == INCONCLUSIVE)
    if decided and noise.relative > 100 * EPSILON and worst > POOR:
        message = (
            f"{_noise_reason(noise)}; in the smallest components a relative error under "
            f"{worst:.0e} goes unseen"
        )
        yield Finding("precision", "warning", None, message, None, point)


def _noise_reason(noise: Noise) -> str:
    if noise.relative < 100 * EPSILON:
        return (
            f"|J| = {noise.magnitude:.2g} is so large beside its slope that its rounding "
            f"({noise.level:.1g}) hides it: scale the cost, or leave constants out of it"
        )
    if 3e-9 < noise.relative < 3e-6:
        return (
            f"the cost computes in float32 (noise {noise.relative:.1g} of its size): compute in "
            "float64 for the check"
        )
    return f"the cost is noisy ({noise.level:.1g}, {noise.relative:.1g} of its size)"
