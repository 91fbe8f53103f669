"""Finding the few wrong components among many, from the slopes along vectors that hold them all.

How far the slope along a vector v lies from what the gradient says is linear in the faults: the sum
of v_i times the fault of component i. If a run of components holds one fault, then weighing the
same vector by the position in the run, from 0 to 1, and dividing by what it gave without gives the
position of the fault, to within the error bar of the ratio. A few questions name one component
among millions, and its own two-sided difference confirms it. Several faults give a position between
them: the run is split there, and what a question says of one side tells of the other as well.

What is found is put right, so that what is asked next is of the rest ("peeling"). Group testing is
older (R. Dorfman, The detection of defective members of large populations, Annals of Mathematical
Statistics 14 (1943) 436-440); reading a place off a ratio, and peeling, are known from sparse
recovery (M. Bakshi, S. Jaggi, S. Cai and M. Chen, SHO-FA, 2012; S. Pawar and K. Ramchandran,
FFAST, 2013).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from pytest_gradcheck.numdiff.directions import Residual
from pytest_gradcheck.numdiff.ladder import Slope
from pytest_gradcheck.params.theta import FloatArray, Indices, Parameter, Selection

__all__ = ["Interval", "Look", "Oracle", "Search", "one_slice"]

TRUST = 0.5
"""The part of an error bar that is believed here: bars are some ten standard deviations of the
noise, and a component that is named wrongly is found out by its own difference."""

CROWD = 24
"""Parts from which on the share of the silent ones tells how many faults there are."""

RECHECKED = 0.1
"""What is left beside a fault is asked about again where it is less than this part of it."""

CALLS_A_FAULT = 25
"""Calls that a fault costs, about: to set it apart, to read its place, and to confirm it."""


class Look(NamedTuple):
    """A direction over a part of theta, and what it says.

    Attributes
    ----------
    place : slice
    weights : array
        The direction.
    answer : Residual
    shrink : float
        What the usual step was multiplied by.
    """

    place: slice
    weights: FloatArray
    answer: Residual
    shrink: float


class Oracle(Protocol):
    """Whom a search asks.

    Attributes
    ----------
    right : array
        The gradient, in which components that turn out wrong are put right.
    """

    @property
    def right(self) -> FloatArray:
        """The gradient, put right where it turned out wrong."""

    def ask(self, place: Selection, weights: FloatArray, shrink: float) -> Residual:
        """Return what one two-sided difference along a vector says."""

    def slope_of(self, number: int) -> Slope:
        """Return the slope of a component, from differences of its own."""


@dataclass(frozen=True)
class Interval:
    """A run of components, and what a direction says of it.

    Attributes
    ----------
    start, stop : int
        Their numbers.
    residual, error_bar : float
        What the direction says of them.
    """

    start: int
    stop: int
    residual: float
    error_bar: float

    @property
    def size(self) -> int:
        """Number of components."""
        return self.stop - self.start

    @property
    def is_loud(self) -> bool:
        """Whether something is to be seen."""
        return not abs(self.residual) <= TRUST * self.error_bar

    def without(self, other: Interval, start: int, stop: int) -> Interval:
        """Return what is left of the interval, which lies there, beside another part of it."""
        return Interval(
            start, stop, self.residual - other.residual, math.hypot(self.error_bar, other.error_bar)
        )


class Search:
    """Looks for what is wrong along one direction.

    Parameters
    ----------
    oracle : Oracle
    look : Look
        The direction.
    left : callable
        Returns how many calls may still be made.
    """

    def __init__(self, oracle: Oracle, look: Look, left: Callable[[], int]) -> None:
        self._oracle, self._look, self._left = oracle, look, left
        self._silent = 0

    @property
    def whole(self) -> Interval:
        """All of the direction."""
        place, _, answer, _ = self._look
        return Interval(place.start, place.stop, *answer)

    def levels(self, loud: Sequence[Interval]) -> Iterator[Sequence[Interval]]:
        """Yield what is loud, and what is of its parts, until nothing is or the calls will not do.

        They will not where so few of the parts are silent that what is wrong must be too much to
        be named one by one.
        """
        while loud:
            yield loud
            self._silent = 0
            parts: list[Interval] = []
            for interval in loud:
                parts += self.split(interval) if self._left() > 0 else [interval]
            if self._left() <= 0 or self._is_hopeless(len(parts)):
                yield parts
                return
            loud = parts
        yield []

    def _is_hopeless(self, loud: int) -> bool:
        """Return whether so many loud parts hold more faults than the calls that are left allow.

        Faults thrown at random into parts, n for each, leave exp(-n) of them silent.
        """
        silent = max(self._silent, 0.5)
        faults = loud * -math.log(silent / (silent + loud))
        return loud >= CROWD and faults * CALLS_A_FAULT > self._left()

    def split(self, interval: Interval) -> list[Interval]:
        """Settle a run that holds one fault, or return the parts of it that are loud."""
        inner = interval
        while inner.size > 1:
            places = self._decoded(inner)
            if places is None:
                return self._halves(inner)
            part = self.ask(*places)
            rest = inner.without(part, inner.start, inner.stop)
            if rest.is_loud and (loud := self._around(inner, part)) != [part]:
                return loud
            inner = part
        return self._named(inner, interval)

    def _decoded(self, interval: Interval) -> tuple[int, int] | None:
        """Return the narrower run in which the one fault must lie, or None where there is none."""
        if not interval.residual:
            return None
        code = (np.arange(interval.size) + 0.5) / interval.size
        code *= self._part(interval.start, interval.stop)
        answer = self._ask(interval.start, interval.stop, code)
        share = answer.residual / interval.residual
        slack = TRUST * (answer.error_bar + abs(share) * interval.error_bar)
        slack /= abs(interval.residual)
        place, width = interval.size * share - 0.5, interval.size * slack
        if not math.isfinite(place + width):
            return None
        first = max(math.ceil(place - width), 0)
        last = min(math.floor(place + width), interval.size - 1)
        if not 0 <= last - first < 0.5 * interval.size:
            return None
        return interval.start + first, interval.start + last + 1

    def _named(self, found: Interval, interval: Interval) -> list[Interval]:
        """Difference the component that was found, put it right, and return what is left."""
        number = found.start
        slope = self._oracle.slope_of(number)
        value = slope.value if slope.sides is None else 0.5 * sum(slope.sides)
        if not math.isfinite(value + slope.error_bar):
            return []
        weight = float(self._look.weights[number - self._look.place.start])
        before, bar = float(self._oracle.right[number]), abs(weight) * slope.error_bar
        fault = weight * (value - before)
        if found.error_bar < bar and abs(found.residual - fault) <= bar:
            fault, bar = found.residual, found.error_bar
            value = before + fault / weight
        self._oracle.right[number] = value
        bar = math.hypot(interval.error_bar, bar)
        left = Interval(interval.start, interval.stop, interval.residual - fault, bar)
        if left.is_loud and interval.size > 1 and abs(left.residual) < RECHECKED * abs(fault):
            left = self.ask(interval.start, interval.stop)  # float32 rounds the weight
        if not left.is_loud or interval.size == 1:
            return []
        return [left] if abs(left.residual) < 0.5 * abs(interval.residual) else self._halves(left)

    def _halves(self, interval: Interval) -> list[Interval]:
        middle = (interval.start + interval.stop) // 2
        left = self.ask(interval.start, middle)
        return self._loud([left, self.beside(left, interval, middle, interval.stop)])

    def _around(self, interval: Interval, part: Interval) -> list[Interval]:
        """Return what is loud of a part, and of the run on either side of it."""
        if part.start == interval.start:
            return self._loud([part, self.beside(part, interval, part.stop, interval.stop)])
        if part.stop == interval.stop:
            return self._loud([self.beside(part, interval, interval.start, part.start), part])
        before = self.ask(interval.start, part.start)
        rest = interval.without(before, part.start, interval.stop)
        return self._loud([before, part, self.beside(part, rest, part.stop, interval.stop)])

    def beside(self, part: Interval, interval: Interval, start: int, stop: int) -> Interval:
        """Return what is left of an interval beside a part of it, which lies there.

        It is asked about by itself where it is little beside that part: the noise of the whole, and
        what its step and that of the part make of curvature, stay in what is left.
        """
        left = interval.without(part, start, stop)
        if left.is_loud and abs(left.residual) < RECHECKED * abs(part.residual):
            return self.ask(start, stop)
        return left

    def _loud(self, intervals: Sequence[Interval]) -> list[Interval]:
        loud = [interval for interval in intervals if interval.is_loud]
        self._silent += len(intervals) - len(loud)
        return loud

    def ask(self, start: int, stop: int) -> Interval:
        """Return what the direction says of some components alone."""
        return Interval(start, stop, *self._ask(start, stop, self._part(start, stop)))

    def _part(self, start: int, stop: int) -> FloatArray:
        origin = self._look.place.start
        return self._look.weights[start - origin : stop - origin]

    def _ask(self, start: int, stop: int, weights: FloatArray) -> Residual:
        return self._oracle.ask(slice(start, stop), weights, self._look.shrink)


def one_slice(oracle: Oracle, parameter: Parameter, look: Look) -> tuple[int, int, Indices] | None:
    """Return the one slice of an array in which all that is wrong lies, or None.

    Weighed by its position along an axis, a slice is read off the ratio just as a component is,
    however many of its components are wrong. A question of that slice alone confirms it.

    Parameters
    ----------
    oracle : Oracle
    parameter : Parameter
    look : Look
        A direction over all of it.

    Returns
    -------
    axis, position : int
    numbers : array of int
        The components of the slice.
    """
    _, weights, answer, shrink = look
    for axis, count in enumerate(parameter.shape):
        if count < 2 or count == parameter.size:
            continue
        along = np.arange(count).reshape(
            [-1 if a == axis else 1 for a in range(len(parameter.shape))]
        )
        positions = np.broadcast_to(along, parameter.shape).reshape(-1)
        coded = oracle.ask(parameter.slice, weights * ((positions + 0.5) / count), shrink)
        share = coded.residual / answer.residual
        slack = TRUST * (coded.error_bar + abs(share) * answer.error_bar) / abs(answer.residual)
        place = count * share - 0.5
        position = round(place) if math.isfinite(place) else -1
        if (
            not 0 <= position < count
            or abs(place - position) > count * slack
            or count * slack > 0.5
        ):
            continue
        mine = np.flatnonzero(positions == position)
        numbers = parameter.start + mine
        part = oracle.ask(numbers, weights[mine], shrink)
        bars = TRUST * math.hypot(part.error_bar, answer.error_bar)
        if abs(part.residual - answer.residual) <= bars:
            return axis, position, numbers
    return None
