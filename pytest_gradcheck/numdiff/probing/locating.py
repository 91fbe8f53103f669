"""From a direction that is off to what is wrong: all parameters, single arrays, components."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np

from pytest_gradcheck.numdiff.differences import WIDE, stirred
from pytest_gradcheck.numdiff.directions import Residual
from pytest_gradcheck.numdiff.ladder import SAFETY, Kind
from pytest_gradcheck.numdiff.probing.screen import Screen
from pytest_gradcheck.numdiff.probing.search import Interval, Look, Search, one_slice
from pytest_gradcheck.numdiff.sampling import sampled
from pytest_gradcheck.params.theta import Indices, Parameter

__all__ = ["Located", "Locator"]

ROUNDS = 8
"""Fresh directions over all parameters, each of which found something more to name."""

ADDED = 4.0
"""How far many small errors may add up along a direction, in standard deviations."""

EVERY = 100
"""Components of a parameter, or of a slice of it, that are differenced all where some are wrong."""

DENSE = 4
"""Parts of an array in which something is wrong, from which on it is asked whether all of it is."""

ALONE = 8
"""Parameters at most that are looked at alone, on ladders of steps, where something hides them."""

MORE_VECTORS = 2
"""Further vectors over such a parameter, while noise hides what one shows."""

NEARER = 0.25
BENT = 0.125
"""At this part of a distance, this part of the rise is between a 16th, as where a cost bends, and a
fourth, as where it has a slope."""

STIRRED = 32
"""Groups of arrays without a gradient that are moved some way off, at most."""

MANY = 8
"""Runs of arrays of which each holds something wrong: all of them are taken to be."""


class Ending(Enum):
    """How a search ends."""

    SETTLED = "all that is wrong is named, or its array is sampled"
    SPREAD = "all components are a little off, each by less than counts"
    UNSETTLED = "what is wrong cannot be made out"
    UNSEEN = "a ladder of steps does not show it"


class Located(NamedTuple):
    """What is wrong with one array as a whole.

    Attributes
    ----------
    answer : Residual
        What a direction over it says.
    where : str or None
        The row, column or slice that all of it lies in.
    """

    answer: Residual
    where: str | None = None


@dataclass
class Whole:
    """What the last direction over all parameters says.

    Attributes
    ----------
    answer : Residual
    kind : Kind
        Of the cost along it, as of a `Slope`.
    crowded : bool
        Whether nearly all parameters have something wrong with them.
    """

    answer: Residual
    kind: Kind = Kind.SMOOTH
    crowded: bool = False


class Locator:
    """Follows what directions show, to arrays and to components.

    Parameters
    ----------
    screen : Screen
    samples : int
        Components to be differenced of an array in which too much is wrong to be named.
    left : callable
        Returns how many calls may still be made.

    Attributes
    ----------
    first, last : Whole or None
        What the first and the last direction over all parameters say.
    dense : dict
        By where they start, the arrays in which too much is wrong to be named.
    alone : dict
        By where they start, what a ladder of steps says of arrays that noise or a kink hid.
    asked : dict
        By where a parameter starts, the numbers of its components to be differenced.
    """

    def __init__(self, screen: Screen, samples: int, left: Callable[[], int]) -> None:
        self._screen, self._samples, self._left = screen, samples, left
        self.first: Residual | None = None
        self.last = Whole(Residual(0.0, math.inf))
        self.dense: dict[int, Located] = {}
        self.alone: dict[int, Whole] = {}
        self.asked: dict[int, Indices] = {}

    @property
    def is_open(self) -> bool:
        """Whether the last direction shows something that could not be located."""
        return not self.last.answer.is_consistent or self.last.crowded

    def look(self) -> None:
        """Take a direction over all parameters, and name what is wrong until one is silent."""
        for _ in range(ROUNDS):
            look = self._screen.fresh(self._screen.whole)
            self.first = self.first or look.answer
            self.last = Whole(look.answer)
            if look.answer.is_consistent:
                break
            before = len(self._screen.slopes) + len(self.asked)
            ending = self._searched(look) if look.answer.is_finite else Ending.UNSETTLED
            if ending is Ending.SPREAD:
                off, bar = look.answer
                self.last.answer = Residual(off, abs(off) + bar)
            if ending in (Ending.SPREAD, Ending.UNSEEN):
                break
            stuck = len(self._screen.slopes) + len(self.asked) == before
            if ending is Ending.UNSETTLED or stuck:
                self.last = Whole(*self._screen.climbed(look))
            if ending is Ending.UNSETTLED or stuck or self.last.crowded:
                break
        self._ask_for_named()

    def finish(self) -> None:
        """Look at arrays alone where noise or a kink hides what is wrong with them."""
        arrays = [array for array in self._screen.arrays if array.start not in self.dense]
        if self.is_open:
            if sum(array.size for array in arrays) <= EVERY:
                for array in arrays:
                    self._ask_for(array, array.size)
            return
        kinked = self.last.kind != Kind.SMOOTH
        hidden = [array for array in arrays if kinked or self._is_hidden(array)]
        for array in hidden[:ALONE]:
            look = self._screen.fresh(array.slice)
            if look.answer.is_consistent and not self._is_hidden(array):
                continue
            seen = self._seen_alone(array, look)
            self.alone[array.start] = seen
            small = array.size <= EVERY
            if not seen.answer.is_consistent or (small and self._is_hidden(array, seen.answer)):
                self._ask_for(array, array.size if small else self._samples)

    def stir(self) -> None:
        """Ask for components of arrays whose gradient is all 0 though the cost moves some way off.

        A gradient that was never filled in looks right where steps are too small to show a slope.
        Where the cost bends as at a minimum, it has none.
        """
        screen = self._screen
        flat = [
            array
            for array in screen.arrays
            if array.start not in self.asked and not screen.gradient[array.slice].any()
        ]
        groups = [flat] if flat and not self.is_open else []
        least = SAFETY * screen.noise.level
        for _ in range(STIRRED):
            if not groups:
                break
            group = groups.pop()
            rise = stirred(screen.evaluator, group, screen.lengths, screen.noise)
            if rise <= least:
                continue
            nearer = stirred(screen.evaluator, group, screen.lengths, screen.noise, NEARER)
            if 0 < nearer <= BENT * rise:
                continue
            if len(group) == 1:
                self._ask_for(group[0], min(group[0].size, self._samples))
            else:
                groups += [group[len(group) // 2 :], group[: len(group) // 2]]

    def _seen_alone(self, array: Parameter, look: Look) -> Whole:
        """Return what ladders of steps say of an array: some vectors tell it better than others."""
        seen = Whole(*self._screen.climbed(look))
        for _ in range(MORE_VECTORS):
            if not (seen.answer.is_consistent and self._is_hidden(array, seen.answer)):
                break
            seen = Whole(*self._screen.climbed(self._screen.fresh(array.slice)))
        return seen

    def _is_hidden(self, array: Parameter, answer: Residual | None = None) -> bool:
        """Return whether a direction says nothing of an array, as noise hides it."""
        size = self._screen.size(array.slice)
        return bool(size) and not (answer or self.last.answer).error_bar <= WIDE * size

    def _ask_for_named(self) -> None:
        """Ask for components that were found wrong, and for all of small arrays that hold one."""
        screen = self._screen
        numbers = [n for n in screen.slopes if screen.right[n] != screen.gradient[n]]
        for number in sorted(numbers):
            array = screen.evaluator.theta.owner(number)
            if array.start in self.dense:
                continue
            if array.size <= EVERY:
                self._ask_for(array, array.size)
            else:
                before = self.asked.get(array.start, np.empty(0, np.intp))
                self.asked[array.start] = np.union1d(before, number)

    def _searched(self, look: Look) -> Ending:
        """Follow a direction over all parameters."""
        search = Search(self._screen, look, self._left)
        if not search.split(search.whole):
            return Ending.SETTLED
        climbed = Whole(*self._screen.climbed(look))
        if not climbed.answer.is_finite or climbed.answer.is_consistent:
            self.last = climbed
            return Ending.UNSEEN
        glance = self._screen.glance([look.place])
        if not glance.crowded and abs(look.answer.residual) <= ADDED * glance.spread:
            return Ending.SPREAD
        arrays = self._loud_arrays(search, glance.crowded)
        if self.last.crowded:
            return Ending.SETTLED
        for number, interval in arrays:
            if self._left() <= 0:
                return Ending.UNSETTLED
            self._inspect(self._screen.arrays[number], interval, look, search)
        return Ending.SETTLED

    def _loud_arrays(self, search: Search, crowded: bool) -> list[tuple[int, Interval]]:
        """Return the numbers of the arrays in which something is wrong, and what is seen there.

        Halves the runs of arrays. Where a good part of all components is wrong and hardly one run
        is silent, nearly all arrays are.
        """
        arrays = self._screen.arrays
        level = [(0, len(arrays), search.whole)]
        found: list[tuple[int, Interval]] = []
        while level:
            parts = []
            for first, last, interval in level:
                if last - first == 1:
                    found.append((first, interval))
                    continue
                sizes = np.cumsum([array.size for array in arrays[first:last]])
                middle = first + 1 + int(np.searchsorted(sizes[:-2], sizes[-1] / 2))
                left = search.ask(interval.start, arrays[middle - 1].stop)
                right = search.beside(left, interval, arrays[middle].start, interval.stop)
                halves = (first, middle, left), (middle, last, right)
                parts += [half for half in halves if half[2].is_loud]
            if crowded and len(parts) >= MANY and len(parts) > 0.9 * 2 * len(level):
                self._all_wrong()
                return []
            level = parts
        return found

    def _all_wrong(self) -> None:
        """Ask for samples of all arrays: something is wrong with nearly all of them."""
        self.last.crowded = True
        arrays = self._screen.arrays
        each = max(1, self._samples // len(arrays))
        for array in arrays:
            self._ask_for(array, each)

    def _ask_for(self, array: Parameter, count: int) -> None:
        screen = self._screen
        self.asked[array.start] = sampled(
            array, screen.evaluator.theta, screen.gradient, count, screen.rng
        )

    def _inspect(self, array: Parameter, interval: Interval, look: Look, search: Search) -> None:
        """Name what is wrong with one array, or note that it is too much."""
        intervals = search.split(interval)
        if not intervals:
            return
        if array.size <= EVERY:
            self._ask_for(array, array.size)
            self._screen.exclude(array)
            return
        asked = False
        for loud in search.levels(intervals):
            if len(loud) >= DENSE and not asked:
                asked = True
                if self._is_dense(array, loud, look):
                    return
        if loud:
            self._note_dense(array, Located(Residual(interval.residual, interval.error_bar)))

    def _is_dense(self, array: Parameter, loud: Sequence[Interval], look: Look) -> bool:
        """Note an array in which one slice, or a good part of all components, is wrong."""
        origin = look.place.start
        weights = look.weights[array.start - origin : array.stop - origin]
        answer = self._screen.ask(array.slice, weights, look.shrink)  # less what is named by now
        found = one_slice(self._screen, array, Look(array.slice, weights, answer, look.shrink))
        if found is not None:
            axis, position, numbers = found
            if numbers.size > max(self._samples, EVERY):
                numbers = np.sort(self._screen.rng.choice(numbers, self._samples, replace=False))
            where = _slice_name(array, axis, position)
            self._note_dense(array, Located(answer, where), numbers)
            return True
        if not self._screen.glance([slice(i.start, i.stop) for i in loud]).crowded:
            return False
        self._note_dense(array, Located(answer))
        return True

    def _note_dense(
        self, array: Parameter, located: Located, numbers: Indices | None = None
    ) -> None:
        self.dense[array.start] = located
        if numbers is None:
            self._ask_for(array, self._samples)
        else:
            self.asked[array.start] = numbers
        self._screen.exclude(array)


def _slice_name(array: Parameter, axis: int, position: int) -> str:
    what = ("row", "column")[axis] if len(array.shape) == 2 else "slice"
    on = "" if len(array.shape) == 2 else f" of axis {axis}"
    return f"{what} {position}{on} of {array.shape[axis]}"
