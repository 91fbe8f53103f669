"""Slopes of many outputs along random vectors, with error bars that no fault makes wider.

What passes along a vector bounds the faults of all entries together, and the bound is stated before
there is any fault. So the error bar must not depend on what the slopes are compared with: one more
pair of calls further out tells truncation from a fault, right or wrong. Of a smooth function the
truncation error there is that of the first pair times the square of the ratio, and Richardson's
extrapolation takes it off; a fault is the same at both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pytest_gradcheck.numdiff.jacobian.evaluator import Direction, VectorEvaluator
from pytest_gradcheck.numdiff.jacobian.noise import OutputNoise
from pytest_gradcheck.numdiff.jacobian.search import CLEAR
from pytest_gradcheck.numdiff.jacobian.slopes import (
    Open,
    Slopes,
    Target,
    first_pass,
    look_closer,
    tolerances,
)
from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY
from pytest_gradcheck.params.theta import FloatArray

__all__ = ["slopes_along_vectors"]

OUTWARD = 4.0
"""How many times the first step the second is."""

SHARE = 1 / (OUTWARD**2 - 1)
"""What part of two differences' distance the truncation error of the finer one is."""

TELLING = 0.1
"""Error bars up to this part of a disagreement tell whether it is one."""


def slopes_along_vectors(
    calls: VectorEvaluator,
    directions: Sequence[Direction],
    noise: OutputNoise,
    target: Target,
    blurs: FloatArray,
) -> Slopes:
    """Return the slopes along vectors, from four calls for each where all is smooth.

    Parameters
    ----------
    calls : VectorEvaluator
    directions : sequence of k Directions
    noise : OutputNoise
    target : Target
    blurs : array of shape (k, m)
        How far the analytic slopes may be off by their own rounding.
    """
    result = first_pass(calls, directions, noise, target)
    first = result.error_bars.copy()
    for number, direction in enumerate(directions):
        _extrapolate(calls, direction, noise, result, number)
    with np.errstate(invalid="ignore"):
        off = np.abs(result.values - target.analytic)
        loud = ~(off <= CLEAR * (result.error_bars + blurs)) & np.isfinite(target.analytic)
    touched = np.flatnonzero(loud.any(axis=1))
    if touched.size:
        wide = tolerances(result, target, touched, first=True)
        stated = np.maximum(CLEAR * (result.error_bars + blurs), TELLING * off)[touched]
        wide = np.where(np.isfinite(stated), np.minimum(wide, stated), wide)
        result.error_bars[loud] = first[loud]
        look_closer(calls, directions, noise, Open(result, target, touched, loud[touched], wide))
    return result


def _extrapolate(
    calls: VectorEvaluator,
    direction: Direction,
    noise: OutputNoise,
    result: Slopes,
    number: int,
) -> None:
    """Take the truncation error off the slopes along one vector, and note what may be left of it.

    That is as much as was taken off, for it need not fall with the square of the step, and half of
    the gap between the one-sided slopes, but for what is proportional to the step.
    """
    values, bars, gaps = (
        whole[number] for whole in (result.values, result.error_bars, result.gaps)
    )
    for first, outputs in result.steps[number]:
        served = np.arange(values.size) if outputs is None else outputs
        mine = served[np.isfinite(values[served]) & (bars[served] > 0)]
        if not mine.size:
            continue
        step = OUTWARD * first
        sides = calls.sides(direction, step)
        level = np.maximum(noise.levels, 0.5 * EPSILON * sides.largest())[mine]
        left = np.abs(gaps[mine] - sides.gaps(calls.outputs0)[mine] / OUTWARD) / (1 - 1 / OUTWARD)
        with np.errstate(invalid="ignore"):
            off = SHARE * (values[mine] - sides.slopes[mine])
            wider = (1 + SHARE) * bars[mine] + SHARE * SAFETY * level / step
            wider += np.abs(off) + 0.5 * np.minimum(np.abs(gaps[mine]), left)
        known = np.isfinite(wider)
        values[mine[known]] += off[known]
        bars[mine[known]] = wider[known]
