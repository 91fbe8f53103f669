"""Causes at a stationary point: the change of the gradient nearby tells them.

Where the slopes of the terms of a cost cancel, a wrong factor of one leaves an error without a
gradient to compare it with. Some way off both gradients have changed, and the ratio of the changes
tells the factor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pytest_gradcheck.diagnosis.evidence import Evidence, ParameterEvidence, gradient_at
from pytest_gradcheck.diagnosis.hypotheses import BLURRED, Hypothesis, Rule, rule
from pytest_gradcheck.diagnosis.rules.places import shifted, transposed
from pytest_gradcheck.diagnosis.rules.values import factor, sign, zero
from pytest_gradcheck.diagnosis.sharper import Slopes, extrapolated
from pytest_gradcheck.numdiff.evaluators import SerialEvaluator
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import FloatArray

__all__ = ["CHANGE_RULES", "changes"]

FARTHER = 0.2
"""The distance, in lengths of each component, of the second point."""

MOST = 100
"""Wrong components at most: each is differenced there."""

ROUNDING = 1e-13
"""The precision of a difference of two gradients, relative to either."""


@rule("offset", "a constant is added to it")
def constant(part: ParameterEvidence, evidence: Evidence) -> Iterator[Hypothesis]:
    """Make the hypothesis that the gradients change by the same, and differ by a constant.

    Its bits come from the size of the changes over the error bars.
    """
    with np.errstate(all="ignore"):
        bits = np.log2(np.abs(part.numerical) / part.bars)[part.wrong]
    yield Hypothesis(
        part.numerical,
        part.bars,
        "as much as the numerical gradient",
        "a term that does not depend on theta is left out, or one too many",
        bits=float(np.sum(bits[bits >= BLURRED])),
    )


CHANGE_RULES: tuple[Rule, ...] = (*(constant, zero, sign, factor, transposed, shifted),)
"""Rules that hold for changes of gradients as for the gradients themselves."""


def changes(evidence: Evidence) -> list[ParameterEvidence]:
    """Return how the gradients of wrong parameters change near a stationary point; empty elsewhere.

    They are differences of the analytic and of the numerical gradient between two points.
    """
    parts = [part for part in evidence.wrong_parts if part.is_legible and part.is_complete]
    still = all(np.all(np.abs(p.numerical) <= p.bars) for p in evidence.parts if p.is_complete)
    noise, theta = evidence.noise, evidence.pair.theta
    if not parts or not still or noise is None or sum(part.size for part in parts) > MOST:
        return []
    if not _is_still(evidence, parts, noise):
        return []
    reach = lengths(theta)
    signs = stream("changes", 0).choice([-1.0, 1.0], reach.size)
    here, there = theta.base.copy(), theta.base + FARTHER * reach * signs
    moved = gradient_at(evidence.pair, there)
    if moved is None:
        return []
    found = []
    theta.move_base(there)
    try:
        evaluator = SerialEvaluator(evidence.pair.prober(), theta, float("nan"))
        for part in parts:
            place = part.parameter.slice
            slopes = _slopes(evaluator, part, reach, noise)
            rounding = ROUNDING * (np.abs(moved[place]) + np.abs(part.analytic))
            changed = replace(
                part,
                theta=there[place],
                analytic=moved[place] - part.analytic,
                numerical=slopes.values - part.numerical,
                bars=slopes.bars + part.bars + rounding,
                known=np.isfinite(slopes.values) & np.isfinite(slopes.bars),
            )
            if changed.is_legible and changed.scale > 0:
                found.append(changed)
    finally:
        theta.move_base(here)
    return found


def _is_still(evidence: Evidence, parts: list[ParameterEvidence], noise: Noise) -> bool:
    """Return whether all slopes are 0 within the digits that are known beside a large gradient."""
    theta = evidence.pair.theta
    evaluator = SerialEvaluator(evidence.pair.prober(), theta, float("nan"))
    found = [_slopes(evaluator, part, lengths(theta), noise) for part in parts]
    return all(bool(np.all(np.abs(slopes.values) <= slopes.bars)) for slopes in found)


def _slopes(
    evaluator: SerialEvaluator, part: ParameterEvidence, reach: FloatArray, noise: Noise
) -> Slopes:
    """Return the slopes in the components of a parameter at the present theta."""
    place = part.parameter.slice
    with np.errstate(all="ignore"):
        return extrapolated(evaluator, np.r_[place], reach[place], noise)
