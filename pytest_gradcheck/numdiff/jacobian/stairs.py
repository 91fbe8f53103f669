"""Entries whose slopes nearby are those of treads: their output climbs a stair further off.

An output that multiplies by what rounds inside, such as ``x * (1 + tanh(x))`` far down, is a line
through 0 between two quanta of the factor. Differences at small steps agree with each other there,
and show no noise: the slope is that of the tread. The derivative is what the stair climbs by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.directions import random_weights
from pytest_gradcheck.numdiff.jacobian.evaluator import Direction, VectorEvaluator
from pytest_gradcheck.numdiff.noise.measuring import SLIGHT, climbs, measure_stairs
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import FloatArray, Indices

__all__ = ["Stair", "stairs_among"]

CLOSELY = 50
"""Entries at most whose stairs are measured."""

FRUITLESS = 3
"""Entries without one, in succession, after which no more are."""


class Stair(NamedTuple):
    """The noise of one output along one direction, where it climbs a stair."""

    number: int
    output: int
    level: float


def stairs_among(
    calls: VectorEvaluator,
    directions: Sequence[Direction],
    slopes: tuple[FloatArray, FloatArray],
    levels: FloatArray,
    wrong: tuple[Indices, Indices],
) -> Iterator[Stair]:
    """Yield the stairs among entries that look wrong; two to six calls where there are none.

    Parameters
    ----------
    calls : VectorEvaluator
    directions : sequence of k Directions
    slopes : (array, array) of shape (k, m)
        The numerical and the analytic ones.
    levels : array of shape (m,)
        The noise of each output nearby.
    wrong : (int array, int array)
        The directions and the outputs of the entries.
    """
    numbers = np.unique(wrong[0])
    if not numbers.size or calls.theta.layout.is_coarse:  # float32 steps by itself
        return
    values, analytic = (each[wrong] for each in slopes)
    with np.errstate(invalid="ignore"):
        asked = np.abs(values - analytic) <= SLIGHT * (np.abs(values) + np.abs(analytic))
    outputs = np.unique(wrong[1])
    asked |= np.isin(wrong[1], outputs[_climbing(calls, directions, slopes, numbers, outputs)])
    made: dict[tuple[int, float], FloatArray] = {}
    fruitless = 0
    for number, output in zip(*(each[asked][:CLOSELY].tolist() for each in wrong), strict=True):

        def along(distances: Sequence[float], k: int = number, i: int = output) -> list[float]:
            for distance in distances:
                if (k, distance) not in made:
                    reach = directions[k].reach
                    made[k, distance] = calls.at(directions[k], distance * reach)[1]
            return [float(made[k, distance][i]) for distance in distances]

        level = measure_stairs(along, float(calls.outputs0[output]), float(levels[output]))
        fruitless = 0 if level > levels[output] else fruitless + 1
        if not fruitless:
            yield Stair(number, output, level)
        elif fruitless == FRUITLESS:
            return


def _climbing(
    calls: VectorEvaluator,
    directions: Sequence[Direction],
    slopes: tuple[FloatArray, FloatArray],
    numbers: Indices,
    outputs: Indices,
) -> npt.NDArray[np.bool_]:
    """Return which of some outputs rise, some way off, as analytic slopes say.

    All directions that look wrong are taken at once.
    """
    reaches = np.array([directions[number].reach for number in numbers.tolist()])
    shares = random_weights(reaches, stream("stairs", 0))
    weights = np.zeros(calls.theta.base.size)
    for number, share in zip(numbers.tolist(), shares.tolist(), strict=True):
        weights[directions[number].place] += share * directions[number].weights

    def rise(distance: float) -> FloatArray:
        up, down = calls.along(weights, (distance, -distance))
        return np.asarray((up - down)[outputs] / (2 * distance))

    nearby, claimed = (shares @ each[np.ix_(numbers, outputs)] for each in slopes)
    return climbs(rise, nearby, claimed)
