"""Random directions over whole parameters: a screen of any number of components in a few calls.

The slope of the cost along a direction v is compared with v . g. What they differ by is the sum of
v_i times the fault of component i, so that one wrong component among a million shows as soon as its
share stands clear of the error bar. Where it does, `search` names the components that are wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pytest_gradcheck.numdiff.differences import WIDE, collective_slope
from pytest_gradcheck.numdiff.directions import (
    DirectionalProbe,
    ProbeResult,
    Residual,
    random_weights,
)
from pytest_gradcheck.numdiff.evaluators import Evaluator, LadderRequest
from pytest_gradcheck.numdiff.ladder import SAFETY, Slope
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.numdiff.sampling import sampled
from pytest_gradcheck.numdiff.search import CROWD, Run, Search, one_slice
from pytest_gradcheck.params.scales import finite_or_zero, lengths, rms
from pytest_gradcheck.params.theta import FloatArray, Numbers, Parameter
from pytest_gradcheck.settings import Settings

__all__ = ["Probed", "probed"]

ROUNDS = 8
"""Fresh directions over the same components, each of which found something more to name."""

FINER = ((16.0, 0.5), (math.inf, 0.125))
"""By how much a step shrinks for a second look, at what is off by up to so many error bars: noise
grows as truncation and the reach of kinks fall, and little is to be seen through it."""

LOOKS = 4
ALIKE = 2
"""Looks at smaller steps, and how many in a row have to see the same: a kink so close that one step
more does not get inside of it is as rare as it is close.
"""

SETTLED, CROWDED, SPREAD, UNSETTLED = "settled", "crowded", "spread", "unsettled"
"""How a search ends: all is named; too much is wrong to be; all of it is a little off, each by less
than counts; or it cannot be made out."""

ADDED = 4.0
"""How far many small errors may add up along a direction, in standard deviations."""

TYPICAL = math.sqrt(13 / 12)
"""The root mean square of numbers from 1/2 to 3/2."""

EVERY = 100
"""Components of a parameter, or of a slice of it, that are differenced all where some are wrong."""

GLANCE = 8
"""Components that are looked at to see whether a good part of them is wrong."""

PATTERN = 2
"""So many of those that look wrong are taken for a pattern, which samples describe better."""


class Look(NamedTuple):
    """A direction over a run of components, and what it says.

    Attributes
    ----------
    place : slice
    weights : array
        The direction.
    answer : Answer
    shrink : float
        What the usual step was multiplied by.
    """

    place: slice
    weights: FloatArray
    answer: Residual
    shrink: float


class Glance(NamedTuple):
    """What a few components show: whether many are wrong, and what small errors add up to."""

    crowded: bool
    spread: float


class Followed(NamedTuple):
    """The last answer along fresh directions, the cost's kind there, and whether all is crowded."""

    answer: Residual
    kind: str = "smooth"
    crowded: bool = False
    where: str | None = None


@dataclass
class Probed:
    """What is known from random directions.

    Attributes
    ----------
    seen : dict
        By the parameter's name; None for all together, where that shows what none alone does.
    slopes : dict
        Of the components that were differenced on the way, by number.
    asked : dict
        By where a parameter starts, the numbers of its components to be differenced: some of those
        in which too much is wrong to be named.
    """

    seen: dict[str | None, ProbeResult] = field(default_factory=dict)
    slopes: dict[int, Slope] = field(default_factory=dict)
    asked: dict[int, Numbers] = field(default_factory=dict)


def probed(
    evaluator: Evaluator,
    gradient: FloatArray,
    noise: Noise,
    settings: Settings,
    spent: Callable[[], int],
    rng: np.random.Generator,
) -> Probed:
    """Look at every parameter along a random direction, and at all of them along some more.

    Parameters
    ----------
    evaluator : Evaluator
    gradient : array laid out like theta
    noise : Noise
    settings : Settings
        For `probes`, `search_calls` and the threshold `suspect`.
    spent : callable
        Returns the number of cost calls so far.
    rng : numpy Generator
    """
    screen = _Screen(evaluator, gradient, noise, settings, spent, rng)
    selected = evaluator.theta.selected
    whole = slice(selected[0].start, selected[-1].stop)
    evaluator.progress.expect(len(selected) + settings.probes)
    for parameter in selected:
        screen.look_at(parameter)
        evaluator.progress.advance(1)
    for _ in range(settings.probes):
        if not screen.result.asked:  # else what they show is known
            screen.look_at_all(whole)
        evaluator.progress.advance(1)
    return screen.result


class _Screen:
    """The directions taken so far, and what they showed."""

    def __init__(
        self,
        evaluator: Evaluator,
        gradient: FloatArray,
        noise: Noise,
        settings: Settings,
        spent: Callable[[], int],
        rng: np.random.Generator,
    ) -> None:
        self._evaluator, self._gradient, self._noise = evaluator, gradient, noise
        self._suspect, self._samples, self._rng = settings.suspect, settings.samples, rng
        self._spent, self._last = spent, spent() + settings.search_calls
        self._length = _lengths(evaluator, gradient)
        finite = gradient if np.all(np.isfinite(gradient)) else finite_or_zero(gradient)
        self._questions = DirectionalProbe(
            evaluator.cost, evaluator.theta, finite, evaluator.cost0, noise
        )
        self._reached = 1.0
        self.result = Probed()

    def look_at(self, parameter: Parameter) -> None:
        """Take a direction over one parameter, and follow what it shows."""
        look = self._fresh(parameter.slice)
        unmoved = not (look.answer.residual or self._gradient[parameter.slice].any())
        if unmoved and collective_slope(self._evaluator, parameter, self._length, self._noise):
            self._ask_for(parameter)
            return
        look = self._closer(look)
        self._reached = min(self._reached, look.shrink)
        followed = self._climbed(look, False) if self._is_wide(look) else None
        answer = look.answer if followed is None else followed.answer
        if parameter.size <= EVERY and not answer.is_consistent:
            self._ask_for(parameter)
            return
        followed = followed or self._followed(look)
        if not followed.answer.is_consistent and parameter.start not in self.result.asked:
            self._ask_for(parameter)
        self.result.seen[parameter.name] = self._seen(look, followed)

    def _ask_for(self, parameter: Parameter) -> None:
        """Have components of a parameter differenced: all of them, where they are few."""
        count = parameter.size if parameter.size <= EVERY else self._samples
        self.result.asked[parameter.start] = sampled(
            parameter, self._evaluator.theta, self._gradient, count, self._rng
        )

    def look_at_all(self, place: slice) -> None:
        """Take a direction over all parameters; what it shows, none alone has shown.

        Its steps begin where those over single parameters have come to: kinks that are in reach of
        those are in its reach.
        """
        look = self._closer(self._fresh(place, self._reached))
        followed = self._followed(look)
        if not followed.answer.is_consistent:
            self.result.seen[None] = self._seen(look, followed)

    def _is_wide(self, look: Look) -> bool:
        """Return whether nothing is to be seen because the noise over so small a step hides it."""
        size = self._questions.size(look.place, look.weights)
        return look.answer.is_consistent and 0 < WIDE * size < look.answer.error_bar

    def _fresh(self, place: slice, shrink: float = 1.0) -> Look:
        weights = random_weights(self._length[place], self._rng)
        return self._taken(place, weights, shrink)

    def _taken(self, place: slice, weights: FloatArray, shrink: float) -> Look:
        step = shrink * self._questions.step(weights.size)
        return Look(place, weights, self._questions.ask(place, weights, step), shrink)

    def _closer(self, look: Look) -> Look:
        """Look again at smaller steps until what is off does not depend on them.

        Truncation falls with the step, and so do the kinks that lie within it; a fault stays.
        Return the finest look, or, where something is off, the coarsest that the next finer one
        bears out, for it has the narrowest error bar.
        """
        looks, alike = [look], 0
        while len(looks) <= LOOKS and alike < ALIKE:
            last = looks[-1]
            if last.answer.is_consistent or not math.isfinite(last.answer.residual):
                return last
            loud = abs(last.answer.residual) / last.answer.error_bar
            factor = next(factor for most, factor in FINER if loud <= most)
            finer = self._taken(look.place, look.weights, factor * last.shrink)
            same = abs(finer.answer.residual - last.answer.residual) <= 0.3 * abs(
                last.answer.residual
            )
            alike = alike + 1 if same else 0
            looks.append(finer)
        for coarse, fine in pairwise(looks):
            apart = abs(coarse.answer.residual - fine.answer.residual)
            if apart <= coarse.answer.error_bar + fine.answer.error_bar:
                return coarse
        return looks[-1]

    def _followed(self, look: Look) -> Followed:
        """Name what is wrong until a fresh direction is silent."""
        for _ in range(ROUNDS):
            if look.answer.is_consistent:
                break
            before = len(self.result.slopes)
            ended = self._searched(look) if math.isfinite(look.answer.residual) else UNSETTLED
            if ended == SPREAD:
                off, bar = look.answer
                return Followed(Residual(off, abs(off) + bar))
            if ended not in (SETTLED, CROWDED, UNSETTLED):
                return Followed(look.answer, "smooth", True, ended)
            if ended != SETTLED or len(self.result.slopes) == before:
                return self._climbed(look, ended == CROWDED)
            look = self._closer(self._fresh(look.place))
        return Followed(look.answer)

    def _searched(self, look: Look) -> str:
        """Search along a direction; return how that ended, or in which slice all of it lies."""
        place = look.place
        search = Search(
            self._questions, place.start, look.weights, look.shrink, self._slope_of, self._left
        )
        runs = search.split(Run(place.start, place.stop, *look.answer))
        if not runs:
            return SETTLED
        if not self._is_borne_out(look):
            return UNSETTLED
        where = self._slice(look)
        if where is not None:
            return where
        glance = self._glanced(place)
        if glance.crowded:
            return CROWDED
        if abs(look.answer.residual) <= ADDED * glance.spread:
            return SPREAD
        if search.through(runs):
            return SETTLED
        return CROWDED if self._left() > 0 or search.loud >= CROWD else UNSETTLED

    def _is_borne_out(self, look: Look) -> bool:
        """Return whether the whole ladder, too, shows that something is wrong."""
        answer = self._climbed(look, False).answer
        return answer.is_finite and not answer.is_consistent

    def _slice(self, look: Look) -> str | None:
        """Name the row, column or slice in which all that is wrong lies, and ask for some of it."""
        selected = self._evaluator.theta.selected
        parameter = next((p for p in selected if p.slice == look.place), None)
        if parameter is None or len(parameter.shape) < 2:
            return None
        found = one_slice(self._questions, parameter, look.weights, look.answer, look.shrink)
        if found is None:
            return None
        axis, position, numbers = found
        if numbers.size > max(self._samples, EVERY):
            numbers = np.sort(self._rng.choice(numbers, self._samples, replace=False))
        self.result.asked[parameter.start] = numbers
        what = ("row", "column")[axis] if len(parameter.shape) == 2 else "slice"
        on = "" if len(parameter.shape) == 2 else f" of axis {axis}"
        return f"{what} {position}{on} of {parameter.shape[axis]}"

    def _left(self) -> int:
        return self._last - self._spent()

    def _slope_of(self, number: int) -> Slope:
        if number not in self.result.slopes:
            parameter = self._evaluator.theta.owner(number)
            analytic, length = float(self._gradient[number]), float(self._length[number])
            step = float(np.cbrt(self._noise.relative)) * length
            wide = WIDE * max(abs(analytic), rms(self._gradient[parameter.slice]))
            climb = LadderRequest(number, step, length, analytic, wide)
            [self.result.slopes[number]] = self._evaluator.slopes(
                [climb], self._noise.level, self._suspect
            )
        return self.result.slopes[number]

    def _glanced(self, place: slice) -> Glance:
        """Difference some components, to see what is off in most of them.

        One that is off by less than a first step can tell climbs its ladder: an error that is small
        but in all components is a fault too, where a single one of it would be.
        """
        drawn = place.start + self._rng.integers(place.stop - place.start, size=GLANCE)
        numbers = np.unique(drawn[self._length[drawn] > 0])
        length = self._length[numbers]
        both = self._evaluator.differences(numbers, self._questions.step(1) * length)
        values, right = both.slopes, self._questions.right[numbers]
        clear = np.abs(values - right) - 2 * SAFETY * self._noise.at(both.sizes) / both.widths
        size = np.abs(values) + np.abs(right)
        enough, wrong = min(PATTERN, numbers.size), int(np.count_nonzero(clear > WIDE * size))
        for k in np.flatnonzero((clear > self._suspect * size) & (clear <= WIDE * size)).tolist():
            if wrong >= enough:
                break
            slope = self._slope_of(int(numbers[k]))
            clear[k] = abs(slope.value - right[k]) - slope.error_bar
            wrong += int(clear[k] > self._suspect * size[k])
        shares = (np.maximum(clear, 0.0) * length)[clear <= self._suspect * size]
        spread = TYPICAL * math.sqrt(place.stop - place.start) * (rms(shares) if shares.size else 0)
        return Glance(wrong >= enough, spread)

    def _climbed(self, look: Look, crowded: bool) -> Followed:
        """Return what the whole ladder says of a direction."""
        wide = WIDE * self._questions.size(look.place, look.weights)
        slope = self._questions.climb(look.place, look.weights, wide)
        off = slope.value - self._questions.predicted(look.place, look.weights)
        return Followed(Residual(off, slope.error_bar), slope.kind, crowded)

    def _seen(self, first: Look, followed: Followed) -> ProbeResult:
        answer, length = followed.answer, self._length[first.place]
        usual, weight = rms(self._questions.right[first.place]), TYPICAL * rms(length)
        size = usual * weight * math.sqrt(length.size)
        unit = size if followed.crowded else usual * weight
        beyond = max(0.0, abs(answer.residual) - answer.error_bar) if answer.is_finite else 0.0
        least = usual * 0.5 * float(length[length > 0].min(initial=math.inf))
        off = abs(first.answer.residual) if first.answer.is_finite else math.inf
        hidden = max(answer.error_bar, abs(answer.residual)) if answer.is_finite else math.inf
        return ProbeResult(
            residual=answer.residual,
            error_bar=answer.error_bar,
            kind=followed.kind,
            figure=off / (2 * size) if size else float(off != 0),
            relative_error=beyond / (beyond + 2 * unit) if beyond else 0.0,
            resolution=hidden / least if least else 0.0,
            wide=bool(size) and not answer.error_bar <= WIDE * size,
            crowded=followed.crowded,
            where=followed.where,
        )


def _lengths(evaluator: Evaluator, gradient: FloatArray) -> FloatArray:
    """Return the lengths of components; 0 where the gradient is no number or is not asked about."""
    length = np.zeros(gradient.size)
    known = lengths(evaluator.theta, gradient)
    for parameter in evaluator.theta.selected:
        length[parameter.slice] = known[parameter.slice]
    length[~np.isfinite(gradient)] = 0.0
    return length
