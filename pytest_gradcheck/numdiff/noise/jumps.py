"""Jumps between the values of a row: a nest of intervals tells them from bends.

The rise over an interval that shrinks vanishes where a cost bends, and stays where it jumps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, isfinite, log2
from operator import sub
from statistics import median

import numpy as np

from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY, is_guard

__all__ = [
    "PLAIN",
    "ROW",
    "STAYS_OF_ALL",
    "Along",
    "Row",
    "dense_jump",
    "is_even_stair",
    "jump_in",
    "largest_jump",
    "row_of",
    "stands_out",
]

ROW = 7
"""Values in a row as a rule; Moré and Wild find 6 to 8 enough to tell noise within a factor of two
or so."""

PLAIN = 32.0
"""Rounding units up to which noise is that of float64 arithmetic."""

QUARTERINGS = 7
"""Of an interval in which a jump is looked for, at least: a bend shrinks to 6e-5 of what it was."""

NARROWEST = 1e-9
"""The interval, relative to the parameters, down to which it is quartered: so that a ripple is seen
to be one."""

STAYS = 1 / 256
"""The part of a rise that is left of it at a jump: of some hundred quanta in the interval, one."""

STAYS_OF_ALL = 1e-6
"""The same of the whole of a cost's rise, which may have as many quanta."""

AMID = (1e-3, 0.25)
"""The part of the interval between two values of which the slope in its middle is taken: the least,
and the most where noise would drown it."""

OTHER = 0.05
"""By what part of it the slope amid two values is another."""

HUGE = 1e3
"""How many times larger than the cost a constant is that only stands for no value."""

Along = Callable[[Sequence[float]], Sequence[float]]
"""The costs at distances along a direction."""


@dataclass(frozen=True)
class Row:
    """Equally spaced values on one side of theta: a kink exactly there would look like noise."""

    spacing: float
    values: list[float]

    @property
    def steps(self) -> list[float]:
        """By how much each value exceeds the one before."""
        return list(map(sub, self.values[1:], self.values))

    @property
    def moves(self) -> bool:
        """Whether more than half of the steps are rises or falls."""
        steps = self.steps
        return 2 * steps.count(0.0) < len(steps)


def row_of(along: Along, cost0: float, spacing: float, count: int = ROW) -> Row | None:
    """Return a row of values on either side of theta, or None where the cost ends on both.

    It has no value there, or a constant that stands for none.
    """
    for signed in (spacing, -spacing):
        values = list(map(float, along([i * signed for i in range(1, count + 1)])))
        if all(map(isfinite, values)) and not _ends(values, cost0):
            return Row(signed, values)
    return None


def _ends(values: Sequence[float], cost0: float) -> bool:
    """Return whether a row of values runs into a constant that stands for no value."""
    if is_guard(values[0], cost0) and values.count(values[0]) == len(values):
        return True
    last = values[-1]
    return values.count(last) > 1 and abs(last) > HUGE * abs(cost0) > 0


def stands_out(row: Row) -> bool:
    """Return whether a row may jump once: what bends does so between all of its values."""
    moves = list(map(abs, _moves(row)))
    return max(moves) > 4 * median(moves)


def is_even_stair(along: Along, row: Row, noise: float) -> bool:
    """Return whether a row climbs a stair by a step each time: its values are those of a line.

    Amid two values the cost has another slope than from one to the other, by more than `noise`.
    Curvature leaves it the same there.
    """
    first, second = row.values[:2]
    step, least = second - first, max(SAFETY * noise, PLAIN * EPSILON * max(map(abs, row.values)))
    visible = least / (OTHER * abs(step)) if step else 0.0
    part = min(max(AMID[0], visible), AMID[1])
    before, after = along([(1.5 + half) * row.spacing for half in (-0.5 * part, 0.5 * part)])
    return abs(after - before - part * step) > max(OTHER * part * abs(step), least)


def largest_jump(along: Along, row: Row, least: float, both_ways: bool) -> float:
    """Return the jump in the interval of a row that moves most, 0 where there is none.

    Of a stair that may be one without a step: then it is the one that moves most the other way.
    """
    for way in _ways(_moves(row))[: 1 + both_ways]:
        jump = jump_in(along, row, place=way[-1], least=least) if way else 0.0
        if jump > least:
            return jump
    return 0.0


def dense_jump(along: Along, row: Row, least: float, both_ways: bool = False) -> float:
    """Return the jump that a quantized cost has between a good part of its values, or 0.

    Two thirds of the intervals may move less than the one that is looked at: jumps of several sizes
    are among them where layers round one after the other, and a single jump bends the polynomial
    beside which all of them move. Of a stair it may be one without a step: then it is one of those
    that move the other way.
    """
    moves = _moves(row)
    place = sorted(range(len(moves)), key=lambda k: abs(moves[k]))[2 * len(moves) // 3]
    places, other = [place], next(way for way in _ways(moves) if place not in way)
    if both_ways and len(other) > 1:
        places.append(other[min(2 * len(other) // 3, len(other) - 2)])
    for place in places:
        jump = jump_in(along, row, place=place, least=least)
        if jump > least:
            return jump
    return 0.0


def jump_in(
    along: Along,
    row: Row,
    start: float | None = None,
    stays: float = STAYS,
    place: int | None = None,
    least: float = 0.0,
) -> float:
    """Return the size of a jump of the cost within a row of values, or 0 where there is none.

    None, that is, beyond rounding, beyond a part of the rise that `stays`, and beyond `least`.

    What a polynomial through the row leaves of it is looked at, after the value of a `place` or
    where that moves most: of an interval always the quarter that moves most beside the slope that
    there is between two jumps. A cost that stands still over an interval has no jump in it, and
    moves most beside the polynomial all the same where jumps are what makes up its slope.
    """
    start = row.spacing if start is None else start
    count = len(row.values)
    fit = _polynomial(row, (count - 1) // 2)

    def rest(places: Sequence[float]) -> list[float]:
        costs = along([start + place * row.spacing for place in places])
        return [float(cost) - fit(place) for cost, place in zip(costs, places, strict=True)]

    values = [value - fit(float(k)) for k, value in enumerate(row.values)]
    k = place
    if k is None:
        moving = [i for i in range(count - 1) if row.values[i + 1] != row.values[i]]
        k = max(moving or range(count - 1), key=lambda i: abs(values[i + 1] - values[i]))
    left, width, low, high = float(k), 1.0, values[k], values[k + 1]
    first = moved = abs(high - low)
    quarterings = max(QUARTERINGS, ceil(log2(abs(row.spacing) / NARROWEST) / 2))
    near = 0.25**quarterings
    pairs = rest([k + place + end for place in (0.2, 0.5, 0.8) for end in (0.0, near)])
    slope = median(map(sub, pairs[1::2], pairs[::2])) / near
    least = max(least, PLAIN * EPSILON * max(map(abs, row.values)), stays * first)
    for _ in range(quarterings):
        width /= 4
        between = [low, *rest([left + i * width for i in (1, 2, 3)]), high]
        if not all(map(isfinite, between)):
            return 0.0
        moves = [abs(after - before - slope * width) for before, after in pairwise(between)]
        moved = max(moves)
        if moved <= least:
            return 0.0  # a bend, of which narrower intervals leave no more
        k = moves.index(moved)
        left, low, high = left + k * width, between[k], between[k + 1]
    return moved


def _moves(row: Row) -> list[float]:
    """Return by how much a row moves between its values, beside a polynomial through it."""
    fit = _polynomial(row, (len(row.values) - 1) // 2)
    rest = [value - fit(float(k)) for k, value in enumerate(row.values)]
    return [after - before for before, after in pairwise(rest)]


def _ways(moves: Sequence[float]) -> list[list[int]]:
    """Return the intervals that move up and those that move down, the largest moves last.

    Beside a polynomial through a stair, the steps of the stair move one way and what is flat
    between them the other. The way with the largest move comes first.
    """
    order = sorted(range(len(moves)), key=lambda k: abs(moves[k]))
    up = moves[order[-1]] > 0
    return [[k for k in order if (moves[k] > 0) is way] for way in (up, not up)]


def _polynomial(row: Row, degree: int) -> Callable[[float], float]:
    """Return the polynomial of a degree that fits a row best, over the numbers of its values."""
    places = np.arange(len(row.values), dtype=np.float64)
    size = max(map(abs, row.values)) or 1.0  # squares may overflow
    fit = np.polynomial.Polynomial.fit(places, np.array(row.values) / size, degree)
    return lambda place: size * float(fit(place))
