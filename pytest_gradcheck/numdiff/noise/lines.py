"""Random lines, scaled to the parameters, along which the noise of a cost is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from pytest_gradcheck.numdiff.evaluators import Evaluator
from pytest_gradcheck.numdiff.ladder import EPSILON
from pytest_gradcheck.numdiff.noise.jumps import PLAIN, Along
from pytest_gradcheck.numdiff.noise.measuring import (
    Mask,
    Noise,
    given,
    measure,
    measure_far,
    moves_far,
)
from pytest_gradcheck.numdiff.refinement.undecided import storage_unit
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.streams import random_bytes
from pytest_gradcheck.params.theta import FloatArray

__all__ = ["WEIGHTS", "cost_noise", "moves"]

SMALLEST = float(np.finfo(np.float64).smallest_subnormal)
"""The least noise level: half a rounding unit of a cost near the smallest numbers is 0."""

LINES = 5
"""Lines through arrays of few digits along which the noise is measured, where one shows any."""

HALF = (np.arange(128) + 0.5) / 128

WEIGHTS = np.concatenate([-0.5 - HALF, 0.5 + HALF])
"""The possible weights of a component in a direction, in its size: see `random_weights`."""


def cost_noise(evaluator: Evaluator, seed: int, relative: float | None = None) -> Noise:
    """Measure the noise of the cost along one random direction, scaled to the parameters.

    Parameters
    ----------
    evaluator : Evaluator
    seed : int
    relative : float, optional
        The noise relative to the cost, where the user knows it.
    """
    near = _near(evaluator, seed)
    if near.level < SMALLEST:
        near = replace(near, level=SMALLEST)
    if relative is not None:
        return given(relative, near)

    def far(residual: float, among: Mask | None, slopes: FloatArray | None) -> Noise:
        # The direction is drawn again: it takes the memory of theta.
        unit = storage_unit(evaluator.theta)
        still = slopes is not None and residual == math.inf  # nearer by, nothing was seen
        line = _random_line(evaluator, seed, among=among, slopes=slopes, over_lengths=still)
        grain = unit if unit > EPSILON else 0.0
        return measure_far(line, evaluator.cost0, near, residual, grain)

    return replace(near, measure_far=far)


def _near(evaluator: Evaluator, seed: int) -> Noise:
    """Return the noise of the cost next to theta.

    Arrays of few digits cannot be moved so little that no kink is crossed. A kink shows along some
    lines and noise along all, so the second smallest of several levels is taken.
    """

    def along(seed: int) -> Noise:
        return measure(
            _random_line(evaluator, seed),
            evaluator.cost0,
            far=lambda distances: _random_line(evaluator, seed, least=1.0)(distances),
        )

    near = along(seed)
    is_coarse = storage_unit(evaluator.theta) > EPSILON
    if not is_coarse or near.level <= PLAIN * EPSILON * near.magnitude:
        return near
    others = [along(seed + number) for number in range(1, LINES)]
    return sorted([near, *others], key=lambda noise: noise.level)[1]


def moves(evaluator: Evaluator, seed: int) -> bool:
    """Return whether the cost changes at all along a random direction, far away if need be."""
    return moves_far(_random_line(evaluator, seed, 1.0), evaluator.cost0)


def _random_line(
    evaluator: Evaluator,
    seed: int,
    least: float = 0.0,
    among: Mask | None = None,
    slopes: FloatArray | None = None,
    over_lengths: bool = False,
) -> Along:
    """Return the costs by distances along a random direction, over all components or some.

    A distance of 1 is the size of the parameters, or `least` where that is larger. Any direction
    in which nothing cancels will do, so a byte for each component is enough. Python's own generator
    starts in a tenth of the time of NumPy's. Where slopes are given, each moves the cost up by its
    own, and nothing cancels at all. Over their lengths, small ones move as far as others.
    """
    theta = evaluator.theta
    size = lengths(theta, slopes) if over_lengths else np.abs(theta.base)
    if not size.all():
        size = np.where(size > 0, size, np.minimum(lengths(theta), 1.0))
    if least:
        np.maximum(size, least, out=size)
    draws = np.frombuffer(random_bytes("noise", seed, size.size), np.uint8)
    weights = WEIGHTS[draws] * size
    if theta.selected != theta.parameters:
        weights[~theta.is_selected] = 0.0
    if slopes is not None:
        weights = np.copysign(weights, slopes)
    if among is not None:
        weights[~among] = 0.0
    if not theta.layout.is_coarse:
        return partial(evaluator.along, weights)
    digits = [parameter.digits for parameter in theta.parameters]
    _, exponents = np.frexp(theta.base)
    units = np.ldexp(1.0, exponents - np.array(digits).repeat(theta.sizes))

    def along(distances: Sequence[float]) -> list[float]:
        """Return the costs where theta can be stored: its rounding is none of the cost's noise."""
        steps = np.round(distances[0] * weights / units)
        steps += np.where((steps == 0) & (weights != 0), np.copysign(1.0, weights), 0.0)
        return evaluator.along(steps * units, [distance / distances[0] for distance in distances])

    return along
