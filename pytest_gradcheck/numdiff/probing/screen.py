"""Directions over any part of theta, at steps that its arrays, its noise and its kinks ask for."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pytest_gradcheck.numdiff.differences import WIDE
from pytest_gradcheck.numdiff.directions import (
    NEAR,
    DirectionalProbe,
    Residual,
    random_weights,
)
from pytest_gradcheck.numdiff.evaluators import Evaluator
from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY, Kind, Slope
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.numdiff.probing.search import Look
from pytest_gradcheck.numdiff.refinement import Undecided, refined, storage_unit
from pytest_gradcheck.params.scales import finite_or_zero, lengths, of_each, rms, rms_of_each
from pytest_gradcheck.params.theta import FloatArray, Indices, Parameter, Selection

__all__ = ["TYPICAL", "Glance", "Screen"]

FINER = ((16.0, 0.5), (math.inf, 0.125))
"""By how much a step shrinks for a second look, at what is off by up to so many error bars: noise
grows as truncation and the reach of kinks fall, and little is to be seen through it."""

LOOKS = 4
ALIKE = 2
"""Looks at smaller steps, and how many in a row have to see the same: a kink so close that one step
more does not get inside of it is as rare as it is close.
"""

STORED = 32.0
"""Rounding units of coarse arrays in the shortest step: a ladder needs a finer one as well."""

STEP = 0.5
"""The part of the step at which truncation and rounding balance that is taken along a vector. The
lengths of normal numbers, and random weights, have large sixth powers, on which truncation hangs;
here it stays a tenth of the error bar."""

TYPICAL = math.sqrt(13 / 12)
"""The root mean square of numbers from 1/2 to 3/2."""

GLANCE = 8
"""Components that are looked at to see whether a good part of them is wrong."""

PATTERN = 2
"""So many of those that look wrong are taken for a pattern, which samples describe better."""


class Glance(NamedTuple):
    """What a few components show: whether many are wrong, and what small errors add up to."""

    crowded: bool
    spread: float


class Screen:
    """Directions over theta, the components that were differenced, and what is known by now.

    Each array is moved over a part of its lengths at which truncation and rounding balance for its
    own gradient: arrays with small gradients are moved further, and show as well as others.

    Parameters
    ----------
    evaluator : Evaluator
    gradient : array laid out like theta
    noise : Noise
    suspect : float
        The relative error at which a disagreement begins.
    rng : numpy Generator

    Attributes
    ----------
    scale : array
        How far the components are moved at a step of 1: their lengths, times a factor of up to 1
        for each array.
    reach : array
        The same, and 0 for what no direction asks about any more.
    slopes : dict
        Of the components that were differenced, by number.
    shrink : float
        What the usual step is multiplied by from now on: kinks came in its reach.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        gradient: FloatArray,
        noise: Noise,
        suspect: float,
        rng: np.random.Generator,
    ) -> None:
        self.evaluator, self.gradient, self.noise, self.rng = evaluator, gradient, noise, rng
        self._suspect = suspect
        finite = gradient if np.all(np.isfinite(gradient)) else finite_or_zero(gradient)
        self.probe = DirectionalProbe(
            evaluator.cost, evaluator.theta, finite, evaluator.cost0, noise
        )
        self.lengths = self._asked_lengths()
        factors = self._factors(finite)
        self._longest = max(factors)
        unit = storage_unit(evaluator.theta)
        self._shortest = STORED * unit if unit > EPSILON else 0.0
        self.scale = self.lengths * of_each(factors, evaluator.theta) / self._longest
        self.reach = self.scale
        self.slopes: dict[int, Slope] = {}
        self.shrink = 1.0

    @property
    def arrays(self) -> tuple[Parameter, ...]:
        """The parameters that are checked."""
        return self.evaluator.theta.selected

    @property
    def whole(self) -> slice:
        """The part of theta that holds all of them."""
        return slice(self.arrays[0].start, self.arrays[-1].stop)

    @property
    def right(self) -> FloatArray:
        """The gradient, in which components that turn out wrong are put right."""
        right: FloatArray = self.probe.right
        return right

    def _asked_lengths(self) -> FloatArray:
        """Return the lengths of components; 0 where no direction asks about them."""
        theta = self.evaluator.theta
        asked = theta.is_selected & np.isfinite(self.gradient)
        return np.where(asked, lengths(theta, self.gradient), 0.0)

    def _factors(self, gradient: FloatArray) -> list[float]:
        """Return by what each array's step exceeds the usual one along all of theta.

        For one array that step is where h**3 is three times the noise over the third derivative,
        which is of the order of the slope along a random vector; see `differences`.
        """
        theta, noise = self.evaluator.theta, self.noise.level
        usual = self.probe.step(theta.base.size)
        largest = max(NEAR, usual)
        among = len(self.arrays) ** 0.125
        rises = rms_of_each(gradient * self.lengths, theta)
        factors = []
        for rise, size in zip(rises, theta.sizes.tolist(), strict=True):
            slope = rise * math.sqrt(size)
            own = STEP * (3 * noise / slope) ** (1 / 3) / among if slope else largest
            factors.append(min(max(own, usual), largest) / usual)
        return factors

    def step(self, count: int, shrink: float) -> float:
        """Return the step along a vector over so many components, in their `reach`.

        Where arrays of float32 bend the line, parts of a vector are only comparable at one step.
        """
        usual = self.probe.step(self.reach.size if self._shortest else count)
        step = shrink * min(self._longest * usual, max(NEAR, usual))
        return max(step, self._shortest)

    def ask(self, place: Selection, weights: FloatArray, shrink: float) -> Residual:
        """Return what one two-sided difference along a vector says, from two calls."""
        return self.probe.ask(place, weights, self.step(weights.size, shrink))

    def size(self, place: slice) -> float:
        """Return what the slope along a random vector over a part of theta usually is."""
        return TYPICAL * float(np.linalg.norm(self.scale[place] * self.right[place]))

    def fresh(self, place: slice) -> Look:
        """Look along a random vector, and again at smaller steps where something is off."""
        weights = random_weights(self.reach[place], self.rng)
        look = self._closer(self._taken(place, weights, self.shrink))
        self.shrink = min(self.shrink, look.shrink)
        return look

    def exclude(self, parameter: Parameter) -> None:
        """Ask no more about an array: what is wrong with it is known."""
        if self.reach is self.scale:
            self.reach = self.scale.copy()
        self.reach[parameter.slice] = 0.0

    def _taken(self, place: slice, weights: FloatArray, shrink: float) -> Look:
        return Look(place, weights, self.ask(place, weights, shrink), shrink)

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
            apart = abs(finer.answer.residual - last.answer.residual)
            alike = alike + 1 if apart <= 0.3 * abs(last.answer.residual) else 0
            looks.append(finer)
        for coarse, fine in pairwise(looks):
            apart = abs(coarse.answer.residual - fine.answer.residual)
            if apart <= coarse.answer.error_bar + fine.answer.error_bar:
                return coarse
        return looks[-1]

    def climbed(self, look: Look) -> tuple[Residual, Kind]:
        """Return what a whole ladder of steps says along a vector, and the cost's kind there.

        Arrays of float32 bend the line, at every step in another way: what a fault adds along it
        converges to nothing, and a single difference is all there is.
        """
        if self._shortest and not look.answer.is_consistent:
            return look.answer, Kind.SMOOTH
        wide = WIDE * self.probe.size(look.place, look.weights)
        first = self.step(look.weights.size, look.shrink)
        slope = self.probe.climb(look.place, look.weights, wide, first)
        off = slope.value - self.probe.predicted(look.place, look.weights)
        return Residual(off, slope.error_bar), slope.kind

    def slope_of(self, number: int) -> Slope:
        """Return the slope of a component, from differences of its own."""
        if number not in self.slopes:
            self._difference(np.array([number]))
        return self.slopes[number]

    def _difference(self, numbers: Indices) -> None:
        """Note the slopes of components."""
        step = self.probe.step(1) * self.lengths[numbers]
        differences = self.evaluator.differences(numbers, step)
        roundings = 2 * SAFETY * self.noise.at(differences.sizes) / differences.widths
        analytic = self.gradient[numbers]
        owners = [self.evaluator.theta.owner(number) for number in numbers.tolist()]
        usual = np.array([rms(self.gradient[owner.slice]) for owner in owners])
        first = Undecided(
            numbers,
            self.lengths[numbers],
            analytic,
            WIDE * np.maximum(np.abs(analytic), usual),
            differences,
            roundings,
            self.evaluator.cost0,
            self._suspect,
        )
        settled, slopes = refined(self.evaluator, first, self.noise)
        for found in settled:
            for number, value, bar in zip(*map(np.ndarray.tolist, found), strict=True):
                self.slopes[number] = Slope(value, bar)
        self.slopes.update(slopes)

    def glance(self, places: list[slice]) -> Glance:
        """Difference some components, to see what is off in most of them.

        One that is off by less than a first step can tell is looked at closer: an error that is
        small but in all components is a fault too, where a single one of it would be.
        """
        sizes = np.array([place.stop - place.start for place in places])
        drawn = self.rng.integers(sizes.sum(), size=GLANCE)
        inside = np.searchsorted(np.cumsum(sizes), drawn, "right")
        starts = np.array([place.start for place in places]) - np.cumsum(sizes) + sizes
        drawn = np.unique(drawn + starts[inside])
        numbers = drawn[self.reach[drawn] > 0]
        length = self.lengths[numbers]
        both = self.evaluator.differences(numbers, self.probe.step(1) * length)
        values, right = both.slopes, self.right[numbers]
        clear = np.abs(values - right) - 2 * SAFETY * self.noise.at(both.sizes) / both.widths
        size = np.abs(values) + np.abs(right)
        enough, wrong = min(PATTERN, numbers.size), int(np.count_nonzero(clear > WIDE * size))
        for k in np.flatnonzero((clear > self._suspect * size) & (clear <= WIDE * size)).tolist():
            if wrong >= enough:
                break
            slope = self.slope_of(int(numbers[k]))
            clear[k] = abs(slope.value - right[k]) - slope.error_bar
            wrong += int(clear[k] > self._suspect * size[k])
        shares = (np.maximum(clear, 0.0) * self.reach[numbers])[clear <= self._suspect * size]
        count = math.sqrt(float(sizes.sum()))
        return Glance(wrong >= enough, TYPICAL * count * (rms(shares) if shares.size else 0.0))
