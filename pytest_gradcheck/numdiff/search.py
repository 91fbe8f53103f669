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
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_gradcheck.numdiff.directions import DirectionalProbe, Residual
from pytest_gradcheck.numdiff.ladder import Slope
from pytest_gradcheck.params.theta import FloatArray, Numbers, Parameter

__all__ = ["CROWD", "Run", "Search", "one_slice"]

TRUST = 0.5
"""The part of an error bar that is believed here: bars are some ten standard deviations of the
noise, and a component that is named wrongly is found out by its own difference."""

CROWD = 24
"""Parts from which on the share of the silent ones tells how many faults there are."""

EACH = 25
"""Calls that a fault costs, about: to set it apart, to read its place, and to confirm it."""


@dataclass(frozen=True)
class Run:
    """A run of components that holds something wrong.

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

    def without(self, other: Run, start: int, stop: int) -> Run:
        """Return what is left of the run, which lies there, beside another part of it."""
        return Run(
            start, stop, self.residual - other.residual, math.hypot(self.error_bar, other.error_bar)
        )


class Search:
    """Looks for what is wrong along one direction.

    Parameters
    ----------
    questions : Questions
    origin : int
    weights : array
        The direction: what it is from that component on.
    shrink : float
        What the steps are multiplied by, where those of `Questions.step` have proved too large.
    slope_of : callable
        Returns the slope of a component, from a two-sided difference of its own.
    left : callable
        Returns how many calls may still be made.

    Attributes
    ----------
    loud : int
        How many parts of the components were loud when they were last looked through.
    """

    def __init__(
        self,
        questions: DirectionalProbe,
        origin: int,
        weights: FloatArray,
        shrink: float,
        slope_of: Callable[[int], Slope],
        left: Callable[[], int],
    ) -> None:
        self._questions, self._origin, self._weights = questions, origin, weights
        self._shrink = shrink
        self._slope_of, self._left = slope_of, left
        self._silent = self.loud = 0

    def through(self, runs: Sequence[Run]) -> bool:
        """Go through runs, and what they are split into, until all is settled.

        Return False where the calls will not do: none are left, or so few of the parts are silent
        that what is wrong must be too much to be named one by one.
        """
        while runs:
            self._silent, self.loud = 0, len(runs)
            parts: list[Run] = []
            for run in runs:
                if self._left() <= 0:
                    return False
                parts += self.split(run)
            if len(parts) >= CROWD and self._faults(len(parts)) * EACH > self._left():
                return False
            runs = parts
        return True

    def _faults(self, loud: int) -> float:
        """Return about how many faults so many loud parts hold, from the share of silent ones.

        Thrown at random into parts, n for each, they leave exp(-n) of them silent.
        """
        silent = max(self._silent, 0.5)
        return loud * -math.log(silent / (silent + loud))

    def split(self, run: Run) -> list[Run]:
        """Settle a run that holds one fault, or return the parts of it that are loud."""
        inner = run
        while inner.size > 1:
            places = self._decoded(inner)
            if places is None:
                return self._halves(inner)
            part = self._asked(*places)
            rest = inner.without(part, inner.start, inner.stop)
            if rest.is_loud:
                return self._around(inner, part)
            inner = part
        return self._named(inner, run)

    def _decoded(self, run: Run) -> tuple[int, int] | None:
        """Return the narrower run in which the one fault must lie, or None where there is none."""
        code = (np.arange(run.size) + 0.5) / run.size
        code *= self._part(run.start, run.stop)
        answer = self._ask(run.start, run.stop, code)
        share = answer.residual / run.residual
        slack = TRUST * (answer.error_bar + abs(share) * run.error_bar) / abs(run.residual)
        place, width = run.size * share - 0.5, run.size * slack
        if not math.isfinite(place + width):
            return None
        first = max(math.ceil(place - width), 0)
        last = min(math.floor(place + width), run.size - 1)
        if not 0 <= last - first < 0.5 * run.size:
            return None
        return run.start + first, run.start + last + 1

    def _named(self, found: Run, run: Run) -> list[Run]:
        """Difference the component that was found, put it right, and return what is left."""
        number = found.start
        slope = self._slope_of(number)
        value = slope.value if slope.sides is None else 0.5 * sum(slope.sides)
        if not math.isfinite(value + slope.error_bar):
            return []
        weight = float(self._weights[number - self._origin])
        fault = weight * (value - float(self._questions.right[number]))
        self._questions.right[number] = value
        bar = math.hypot(run.error_bar, weight * slope.error_bar)
        left = Run(run.start, run.stop, run.residual - fault, bar)
        if not left.is_loud or run.size == 1:
            return []
        return [left] if abs(left.residual) < 0.5 * abs(run.residual) else self._halves(left)

    def _halves(self, run: Run) -> list[Run]:
        middle = (run.start + run.stop) // 2
        left = self._asked(run.start, middle)
        return self._loud([left, run.without(left, middle, run.stop)])

    def _around(self, run: Run, part: Run) -> list[Run]:
        """Return what is loud of a part, and of the run on either side of it."""
        both = run.without(part, run.start, run.stop)
        if part.start == run.start:
            return self._loud([part, Run(part.stop, run.stop, both.residual, both.error_bar)])
        if part.stop == run.stop:
            return self._loud([Run(run.start, part.start, both.residual, both.error_bar), part])
        before = self._asked(run.start, part.start)
        return self._loud([before, part, both.without(before, part.stop, run.stop)])

    def _loud(self, runs: Sequence[Run]) -> list[Run]:
        loud = [run for run in runs if run.is_loud]
        self._silent += len(runs) - len(loud)
        return loud

    def _asked(self, start: int, stop: int) -> Run:
        return Run(start, stop, *self._ask(start, stop, self._part(start, stop)))

    def _part(self, start: int, stop: int) -> FloatArray:
        return self._weights[start - self._origin : stop - self._origin]

    def _ask(self, start: int, stop: int, weights: FloatArray) -> Residual:
        step = self._shrink * self._questions.step(stop - start)
        return self._questions.ask(slice(start, stop), weights, step)


def one_slice(
    questions: DirectionalProbe,
    parameter: Parameter,
    weights: FloatArray,
    answer: Residual,
    shrink: float,
) -> tuple[int, int, Numbers] | None:
    """Return the one slice of an array in which all that is wrong lies, or None.

    Weighed by its position along an axis, a slice is read off the ratio just as a component is,
    however many of its components are wrong. A question of that slice alone confirms it.

    Parameters
    ----------
    questions : Questions
    parameter : Parameter
        Of two axes or more.
    weights : array
        A direction over all of it.
    answer : Answer
        What that says.
    shrink : float
        As for `Search`.

    Returns
    -------
    axis, position : int
    numbers : array of int
        The components of the slice.
    """
    step = shrink * questions.step(parameter.size)
    for axis, count in enumerate(parameter.shape):
        if count < 2 or count == parameter.size:
            continue
        along = np.arange(count).reshape(
            [-1 if a == axis else 1 for a in range(len(parameter.shape))]
        )
        positions = np.broadcast_to(along, parameter.shape).reshape(-1)
        coded = questions.ask(parameter.slice, weights * ((positions + 0.5) / count), step)
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
        part = questions.ask(numbers, weights[mine], shrink * questions.step(mine.size))
        bars = TRUST * math.hypot(part.error_bar, answer.error_bar)
        if abs(part.residual - answer.residual) <= bars:
            return axis, position, numbers
    return None
