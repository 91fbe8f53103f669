"""Warnings, which a right pair may get: kinks, nothing tested, not decided."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pytest_gradcheck.differences import Approximation
from pytest_gradcheck.noise import EPSILON, Noise
from pytest_gradcheck.report import Finding
from pytest_gradcheck.theta import FloatArray, Parameter
from pytest_gradcheck.verdict import INCONCLUSIVE, KINK, Judgement

__all__ = ["coarse", "kink", "precision", "vacuous"]

POOR = 1e-3
"""A check that resolves less than this, the error of a bug, says so."""


def kink(
    parameter: Parameter,
    approximation: Approximation,
    gradient: FloatArray,
    judgement: Judgement,
    point: str,
) -> Iterator[Finding]:
    """Tell of kinks: both slopes, and where the gradient lies."""
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


def vacuous(
    parameter: Parameter, approximation: Approximation, gradient: FloatArray, point: str
) -> Iterator[Finding]:
    """Tell that nothing was tested: both gradients are 0 wherever they were compared."""
    part = parameter.slice
    checked = approximation.checked[part]
    kinks = approximation.of_kind("kink")[part]
    if kinks.any() or gradient[part].any() or approximation.values[part][checked].any():
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


def precision(
    parameter: Parameter,
    approximation: Approximation,
    judgement: Judgement,
    noise: Noise,
    point: str,
) -> Iterator[Finding]:
    """Tell how many components cannot be decided, and why."""
    part = parameter.slice
    checked = approximation.checked[part]
    undecided = checked & (judgement.verdicts[part] == INCONCLUSIVE)
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
        f"{parameter.name}: {undecided.sum()} of {checked.sum()} components cannot be decided: "
        f"{reason}",
        None,
        point,
    )


def coarse(judgement: Judgement, noise: Noise, point: str) -> Iterator[Finding]:
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
