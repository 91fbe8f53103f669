"""Slopes to more digits than a verdict needs, for causes.

A wrong component is differenced only until it is wrong for sure. Whether it is 2 or 2.003 times the
slope takes more digits, which a few more calls of a smooth cost give.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pytest_gradcheck.diagnosis.evidence import Evidence, ParameterEvidence
from pytest_gradcheck.diagnosis.hypotheses import BLURRED, LITTLE
from pytest_gradcheck.numdiff.evaluators import SerialEvaluator
from pytest_gradcheck.numdiff.ladder import SAFETY, Kind
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.theta import FloatArray, Indices

__all__ = ["Slopes", "at_some_reach", "extrapolated", "sharpened"]

FARTHEST = 0.1
"""The largest step, in lengths of a component."""

SHORTER = (0.03, 1e-3)
"""Parts of that step that are tried next, if a cost bends sooner."""

RUNGS = 5
"""Steps, each half of the one before. Five central differences leave an error of order h**10."""

MARGIN = 4.0
"""The error bar over the difference of the last two extrapolations."""

MOST = 6
"""Components of a point at most: single numbers lack digits, large arrays do not."""

FEW = 8
"""Sharp wrong components from which on more digits would not help to find a pattern."""


class Slopes(NamedTuple):
    """Slopes in some components, and their error bars."""

    values: FloatArray
    bars: FloatArray


def extrapolated(
    evaluator: SerialEvaluator, places: Indices, reach: FloatArray, noise: Noise
) -> Slopes:
    """Return the slopes in some components by Richardson's extrapolation of central differences.

    As in Ridders' method, the entry of the tableau with the least error bar counts: its distance
    from the two entries that it is made of, and noise over its step.
    """
    best = Slopes(np.full(places.size, np.nan), np.full(places.size, np.inf))
    before: list[FloatArray] = []
    for rung in range(RUNGS):
        steps = reach * FARTHEST * 0.5**rung
        if np.all(SAFETY * noise.level / steps >= best.bars):
            break  # noise alone leaves no less
        found = evaluator.differences(places, steps)
        rounding = 2 * SAFETY * noise.at(found.sizes) / found.widths
        row = [found.slopes]
        for order, coarse in enumerate(before, 1):
            fine = row[-1]
            row.append(fine + (fine - coarse) / (4.0**order - 1))
            apart = np.maximum(np.abs(row[-1] - fine), np.abs(row[-1] - coarse))
            bars = MARGIN * apart + rounding
            better = bars < best.bars  # never where it is NaN
            best = Slopes(np.where(better, row[-1], best.values), np.where(better, bars, best.bars))
        before = row
    return best


def sharpened(part: ParameterEvidence, evidence: Evidence, doubtful: Indices) -> ParameterEvidence:
    """Return the evidence on a parameter with more digits of some of its wrong components.

    Parameters
    ----------
    part : ParameterEvidence
    evidence : Evidence
    doubtful : int array
        Components whose error bars are in doubt.
    """
    noise, theta = evidence.noise, evidence.pair.theta
    mine = doubtful[:MOST] if doubtful.size else _short_of_digits(part)
    mine = mine[evidence.approximation.of_kind(Kind.SMOOTH, part.parameter.slice)[mine]]
    if noise is None or not mine.size:
        return part
    reach = lengths(theta, evidence.gradient)[part.parameter.slice][mine]
    if not doubtful.size:  # at the largest step, too, noise may leave no less than is known
        tells = SAFETY * noise.level < part.bars[mine] * FARTHEST * reach
        mine, reach = mine[tells], reach[tells]
    if not mine.size:
        return part
    places = part.parameter.start + mine
    evaluator = SerialEvaluator(evidence.pair.prober(), theta, float("nan"))
    with theta.kept(part.parameter.slice), np.errstate(all="ignore"):
        known = Slopes(part.numerical[mine], part.bars[mine])
        found = at_some_reach(evaluator, places, reach, noise, known)
    allowed = found.bars + (LITTLE if doubtful.size else 1.0) * part.bars[mine]
    better = np.abs(found.values - part.numerical[mine]) <= allowed
    better &= (found.bars < part.bars[mine]) | (doubtful.size > 0)
    values, bars = part.numerical.copy(), part.bars.copy()
    values[mine[better]], bars[mine[better]] = found.values[better], found.bars[better]
    return replace(part, numerical=values, bars=bars)


def at_some_reach(
    evaluator: SerialEvaluator, places: Indices, reach: FloatArray, noise: Noise, known: Slopes
) -> Slopes:
    """Return the slopes from the largest steps that improve on the known ones, or from the least.

    Where a component enters as a small difference of large numbers, the cost bends sooner than at
    its length: slopes of long steps are wrong, and may agree by chance.
    """
    found = Slopes(np.full(places.size, np.nan), np.full(places.size, np.inf))
    for part in (1.0, *SHORTER):
        agree = np.abs(found.values - known.values) <= found.bars + LITTLE * known.bars
        left = np.flatnonzero(~(agree & (found.bars < known.bars)))
        if left.size:
            again = extrapolated(evaluator, places[left], part * reach[left], noise)
            found.values[left], found.bars[left] = again.values, again.bars
    return found


def _short_of_digits(part: ParameterEvidence) -> Indices:
    """Return the largest wrong components, if too few have the digits for a pattern."""
    with np.errstate(all="ignore"):
        bits = np.log2(np.abs(part.numerical / part.bars)[part.wrong])
    if np.count_nonzero(bits >= BLURRED) >= FEW or not np.any(bits > 0):
        return np.zeros(0, np.intp)
    order = np.argsort(-np.abs(part.numerical[part.wrong]), kind="stable")
    return np.sort(np.flatnonzero(part.wrong)[order][:MOST])
