"""Noise that shows over larger distances only: when it is asked for, and whom it concerns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pytest_gradcheck.numdiff.evaluators import Evaluator
from pytest_gradcheck.numdiff.ladder import SAFETY
from pytest_gradcheck.numdiff.noise.lines import WEIGHTS
from pytest_gradcheck.numdiff.noise.measuring import Mask, Noise
from pytest_gradcheck.params.scales import of_each, rms_of_each
from pytest_gradcheck.params.streams import random_bytes
from pytest_gradcheck.params.theta import FloatArray, Theta

__all__ = ["Disagreement", "FurtherOff", "disagreements", "further_off", "is_off_course"]

BEARINGS = (1e-2, 2.5e-3, 6e-4)
"""Distances, in lengths, at which the cost is compared with its linear prediction. The first is
beyond the quanta of bfloat16; the nearer ones follow where the prediction fails."""

OFF_BEARING = 0.03
"""The largest deviation from that prediction, as a part of the rise, without a closer look."""

COARSEST = 2.0**-7
"""The part of a number that bfloat16 rounds away, at most."""

GROSS = 0.1
"""The tolerance at which an iteration stops does not explain relative errors beyond this."""


class Disagreement(NamedTuple):
    """Components that disagree, and by how much the cost's rises over their lengths do.

    Attributes
    ----------
    where : bool array or None
        Over theta; None stands for all that are checked.
    residual : float
        In the median of those; infinity where most are grossly wrong: that is no matter of a
        tolerance.
    slopes : array or None
        Which way each moves the cost up, so that nothing cancels along them; None for ways as they
        are drawn.
    """

    where: Mask | None
    residual: float
    slopes: FloatArray | None = None


def disagreements(
    values: FloatArray,
    error_bars: FloatArray,
    gradient: FloatArray,
    suspect: float,
    length: FloatArray,
) -> list[Disagreement]:
    """Return how first differences, NaN where there is none, disagree with a gradient.

    That of all components comes last, and before it that of those with which the cost does not move
    at all, where it moves with others.
    """
    off = np.abs(values - gradient) - error_bars
    size = np.abs(values) + np.abs(gradient)
    wrong = off > suspect * size
    if not wrong.any():
        return []
    gross = float(np.median((off / size)[wrong])) > GROSS
    residual = math.inf if gross else float(np.median((off * length)[wrong]))
    still = wrong & (values == 0)
    if np.all(still == wrong):
        return [Disagreement(still, math.inf, gradient)]
    every = Disagreement(wrong, residual)
    return [Disagreement(still, math.inf, gradient), every] if still.any() else [every]


class FurtherOff(NamedTuple):
    """What the cost shows over larger distances.

    Attributes
    ----------
    noise : Noise
    calm : bool array
        The components that have nothing to do with it.
    bars : array or None
        By how much the gradient may be off where what the cost stands still with is a factor of it.
    """

    noise: Noise
    calm: Mask
    bars: FloatArray | None = None


def further_off(
    evaluator: Evaluator,
    values: FloatArray,
    agreeing: Mask,
    found: Sequence[Disagreement],
    length: FloatArray,
    noise: Noise,
) -> FurtherOff:
    """Return the noise over larger distances along components that disagree, or along all.

    Parameters
    ----------
    evaluator : Evaluator
    values : array
        First differences, over theta; NaN where there is none.
    agreeing : bool array
        Where they agree to a part of their size, and surely: their error bars are as narrow.
    found : sequence of Disagreement
        Of them; empty where the cost leaves its linear prediction though all agree.
    length : array
        Over theta.
    noise : Noise
        What was measured near theta.
    """
    calm = np.zeros(length.size, np.bool_)
    every = found[-1].where if found else None
    others = calm if every is None else agreeing & ~every
    loudest, bars = replace(noise, measure_far=None), None
    for where, residual, up in found or [Disagreement(None, 0.0)]:
        far = noise.with_far(residual, where, up)
        if far.level <= noise.level:
            continue
        loudest = max(far, loudest, key=lambda one: one.level)
        if where is not None and up is not None and bars is None:
            bars = np.where(where, 0.0, _part(far, up, where, length) * np.abs(up))
        if _is_calm(evaluator, values, others, length, noise):
            calm = others
            break
    return FurtherOff(loudest, calm, bars)


def _part(noise: Noise, slopes: FloatArray, where: Mask, length: FloatArray) -> float:
    """Return what part of it is rounded away of a number that the cost stands still with."""
    rise = float((np.abs(slopes) * length)[where].max())
    return min(COARSEST, math.sqrt(12) * noise.level / rise) if rise else COARSEST


def _is_calm(
    evaluator: Evaluator, values: FloatArray, where: Mask, length: FloatArray, noise: Noise
) -> bool:
    """Return whether components have nothing to do with the larger noise of others.

    Along all of them the cost does not jump further off, and rises as its differences nearby say:
    what rounds coarsely does not depend on them.
    """
    slopes, reach = np.where(where, values, 0.0), np.where(where, length, 0.0)
    return (
        bool(where.any())
        and not is_off_course(evaluator, slopes, reach, noise)
        and noise.with_far(0.0, where, values).level <= noise.level
    )


def is_off_course(
    evaluator: Evaluator, gradient: FloatArray, length: FloatArray, noise: Noise
) -> bool:
    """Return whether the cost rises otherwise some way off than a gradient says that agrees.

    A cost that rounds to bfloat16 inside, or looks values up in a table, is flat between its jumps
    or has the slope of its other parts alone, and a gradient that lacks the rest agrees with it.
    Parameters whose rises differ by no more than a factor of ten share a direction, so that none
    drowns in those of others. What is off because of curvature or kinks is less at a smaller step.
    """
    theta = evaluator.theta
    signs = np.frombuffer(random_bytes("bearing", 0, length.size), np.uint8)
    weights = WEIGHTS[signs] * length
    for numbers in _of_one_size(rms_of_each(gradient * weights, theta), theta):
        own = np.zeros(len(theta.parameters))
        own[numbers] = 1.0
        mine = of_each(own, theta)
        mine *= weights
        terms = mine * gradient
        size, predicted = math.sqrt(float(terms @ terms)), float(terms.sum())
        before = math.inf
        for distance in BEARINGS:
            up, down = evaluator.along(mine, (distance, -distance))
            off = abs((up - down) / (2 * distance) - predicted)
            bar = SAFETY * float(noise.at(max(abs(up), abs(down)))) / distance
            if not off > max(OFF_BEARING * size, bar) or off <= 0.5 * before < math.inf:
                break
            before = off
        else:
            return True
    return False


def _of_one_size(rises: Sequence[float], theta: Theta) -> list[list[int]]:
    """Return the numbers of the checked parameters in groups, from the largest rise downward.

    No rise of a group is below a tenth of its largest. Parameters without a rise are left out.
    """
    groups: list[list[int]] = []
    least = math.inf
    for number in sorted(theta.selected_numbers, key=lambda n: -rises[n]):
        if not rises[number] > 0:
            continue
        if rises[number] < least:
            groups.append([])
            least = 0.1 * rises[number]
        groups[-1].append(number)
    return groups
