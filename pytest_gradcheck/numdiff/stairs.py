"""Slopes of stairs with sloping treads, where what rounds inside a cost is a factor of it.

1 + tanh(x) is a multiple of 1.1e-16, and x times that is, far down, a line through 0 from one
multiple to the next. Differences at small steps agree with each other there and show no noise: they
are slopes of treads. The derivative is what the stair climbs by.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from pytest_gradcheck.numdiff.differences import Approximation, Comparand, approximate
from pytest_gradcheck.numdiff.evaluators import Evaluator
from pytest_gradcheck.numdiff.noise.lines import WEIGHTS
from pytest_gradcheck.numdiff.noise.measuring import (
    SLIGHT,
    Noise,
    NoiseKind,
    climbs,
    measure_stairs,
)
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.streams import random_bytes
from pytest_gradcheck.params.theta import FloatArray, Indices

__all__ = ["approximated_on_stairs"]


def approximated_on_stairs(
    evaluator: Evaluator, approximation: Approximation, comparand: Comparand, wrong: Indices
) -> Approximation:
    """Return the approximation, with what looks wrong taken anew where the cost climbs a stair.

    Two to six calls where it does not. Arrays of few digits step by themselves, and are left out.

    Parameters
    ----------
    evaluator : Evaluator
    approximation : Approximation
    comparand : Comparand
    wrong : int array
        The components that look wrong.
    """
    noise, gradient = approximation.noise, comparand.gradient
    numbers = wrong[gradient[wrong] != 0]
    if noise is None or not numbers.size or evaluator.theta.layout.is_coarse:
        return approximation
    stairs = _noise_of_stairs(evaluator, approximation.values, gradient, numbers, noise)
    if stairs is None:
        return approximation
    anew = approximate(evaluator, numbers, comparand, stairs)
    return replace(approximation.joined(anew), noise=stairs)


def _noise_of_stairs(
    evaluator: Evaluator,
    values: FloatArray,
    gradient: FloatArray,
    numbers: Indices,
    noise: Noise,
) -> Noise | None:
    """Return the noise along components, if the cost climbs a stair there.

    It rises some way off as the gradient says, and not as differences nearby do. What they are
    slightly off by may be the noise of a stair, too, whose few values happened to be even.
    """
    length = lengths(evaluator.theta, gradient)
    draws = np.frombuffer(random_bytes("stairs", 0, length.size), np.uint8)
    weights = np.zeros(length.size)
    weights[numbers] = WEIGHTS[draws[numbers]] * length[numbers]
    found, due = (weights[numbers] @ each[numbers] for each in (values, gradient))

    def rise(distance: float) -> FloatArray:
        up, down = evaluator.along(weights, (distance, -distance))
        return np.array([(up - down) / (2 * distance)])

    slight = abs(found - due) <= SLIGHT * (abs(found) + abs(due))
    if not slight and not climbs(rise, np.array([found]), np.array([due])).any():
        return None
    level = measure_stairs(partial(evaluator.along, weights), evaluator.cost0, noise.level)
    if level <= noise.level:
        return None
    return replace(noise, level=level, kind=NoiseKind.JUMPS, measure_far=None)
