"""Two-sided differences of a cost in every component, each with an error bar.

A first pass takes one central difference a component, at a step scaled to it; its error bar is the
noise of the cost over the step. That is enough for a component whose analytic gradient agrees.
`refinement` treats components that disagree or that noise leaves undecided.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.directions import SINGLE, ProbeResult, is_single
from pytest_gradcheck.numdiff.evaluators import Differences, Evaluator
from pytest_gradcheck.numdiff.ladder import READABLE, SAFETY, Kind, Slope
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.numdiff.noise.further_off import (
    Disagreement,
    FurtherOff,
    disagreements,
    further_off,
    is_off_course,
)
from pytest_gradcheck.numdiff.refinement import Undecided, refined
from pytest_gradcheck.params.scales import finite_or_zero, lengths, of_each, rms, rms_of_each
from pytest_gradcheck.params.theta import FloatArray, Indices, Parameter, Selection, Theta, scatter
from pytest_gradcheck.problem.preflight import refuse_changed

__all__ = [
    "WIDE",
    "Approximation",
    "Comparand",
    "all_agree",
    "approximate",
    "classical",
    "collective_slope",
    "relative_errors",
    "stirred",
    "tolerances",
]

WIDE = 1e-3
"""An error bar beyond this part of a component's size leaves it undecided."""

KINKED = 0.3
"""The smallest gap between one-sided slopes at a kink, as a part of the component's size."""

FLAT_ALONE = 8
"""Up to this many parameters without any slope are moved one by one."""

STIR = 1e-2
"""The move, in sizes of a parameter, that tests whether the cost depends on it, at least."""

GOLDEN = 0.6180339887498949
"""Parts of its multiples are spread evenly: amounts of a move in which nothing cancels."""

NOTHING: Mapping[Any, Any] = {}

EVERYWHERE = slice(None)


@dataclass(frozen=True)
class Approximation:
    """The numerical gradient: arrays over theta.

    Attributes
    ----------
    values : float64 array
        The approximations; NaN where a component was not looked at.
    error_bars : float64 array
        Bounds of their errors, safety factor included.
    kinds : int8 array
        Of each component, as numbers of `Kind`.
    evaluated : slice or int array
        The components that were looked at; a slice where those are all.
    sides : dict
        Component to its slopes on the left and on the right, at kinks.
    seen : dict
        What random directions saw of parameters, by name, where they were asked; see `ProbeResult`.
    nearby : frozenset of int
        Components at kinks whose values are those of gradients at points nearby.
    around : dict
        Component to its slope around a special branch of the cost, within which its value is taken.
    noise : Noise or None
        Of the cost, as the error bars have it; None in the classical check.
    """

    values: FloatArray
    error_bars: FloatArray
    kinds: npt.NDArray[np.int8]
    evaluated: Selection
    sides: dict[int, tuple[float, float]]
    seen: Mapping[str | None, ProbeResult] = field(default_factory=dict)
    nearby: frozenset[int] = frozenset()
    around: Mapping[int, float] = field(default_factory=dict)
    noise: Noise | None = None

    @cached_property
    def checked(self) -> npt.NDArray[np.bool_]:
        """Where a component was looked at."""
        result = np.zeros(self.values.size, np.bool_)
        result[self.evaluated] = True
        return result

    @cached_property
    def is_smooth(self) -> bool:
        """Whether the cost is smooth in all components."""
        return not self.kinds.any()

    def of_kind(self, kind: Kind, part: slice = EVERYWHERE) -> npt.NDArray[np.bool_]:
        """Return where the cost is of a kind, in a part of theta."""
        return np.asarray(self.kinds[part] == kind)

    def joined(self, other: Approximation) -> Approximation:
        """Return this approximation with the components of another one, and its own noise."""
        at = other.evaluated
        values, bars, kinds = self.values.copy(), self.error_bars.copy(), self.kinds.copy()
        values[at], bars[at], kinds[at] = other.values[at], other.error_bars[at], other.kinds[at]
        both = np.flatnonzero(self.checked | other.checked)
        return replace(
            self,
            values=values,
            error_bars=bars,
            kinds=kinds,
            evaluated=slice(0, values.size) if both.size == values.size else both,
            sides={**self.sides, **other.sides},
        )

    def without_kinks(self, where: npt.NDArray[np.bool_]) -> Approximation:
        """Return an approximation in which components are smooth that rounding made kinks of."""
        if not np.any(self.kinds[where]):
            return self
        sides = {number: both for number, both in self.sides.items() if not where[number]}
        return replace(self, kinds=np.where(where, np.int8(0), self.kinds), sides=sides)


@dataclass(frozen=True)
class Comparand:
    """What differences are compared with.

    Attributes
    ----------
    gradient : float64 array
        The analytic gradient, laid out like theta.
    suspect : float
        The relative error at which a disagreement begins.
    bars : float64 array or None
        By how much the gradient may be off itself: it was rounded to float32, or two calls of it
        differ.
    """

    gradient: FloatArray
    suspect: float
    bars: FloatArray | None = None

    @classmethod
    def of(
        cls, gradient: FloatArray, suspect: float, theta: Theta, again: FloatArray | None = None
    ) -> Comparand:
        """Return the comparand of a gradient and of another call of it at the same theta."""
        single = is_single(gradient)
        if again is None and not single:
            return cls(gradient, suspect)
        usual = np.zeros(len(theta.parameters))
        if single:
            usual += SINGLE * np.array(rms_of_each(gradient, theta))
        if again is not None:
            usual += rms_of_each(finite_or_zero(gradient) - finite_or_zero(again), theta)
        return cls(gradient, suspect, SAFETY * of_each(usual, theta) if usual.any() else None)

    def with_bars(self, bars: FloatArray | None) -> Comparand:
        """Return the same with further error bars of the gradient."""
        own = self.bars
        if bars is None or own is None:
            return replace(self, bars=own if bars is None else bars)
        return replace(self, bars=own + bars)


def classical(evaluator: Evaluator, numbers: Indices, eps: float) -> Approximation:
    """Take the course's differences: one fixed step, divided by ``2 * eps``, and no error bar."""
    both = evaluator.differences(numbers, np.full(numbers.size, eps))
    values, size = (both.ahead - both.behind) / (2 * eps), evaluator.theta.base.size
    result = _scattered(values, np.zeros(numbers.size), numbers, numbers, size)
    result.kinds[result.checked & ~np.isfinite(result.values)] = Kind.NONFINITE
    return result


def approximate(
    evaluator: Evaluator,
    numbers: Indices,
    comparand: Comparand,
    noise: Noise,
    slopes: Mapping[int, Slope] = NOTHING,
    seen: Mapping[str | None, ProbeResult] = NOTHING,
) -> Approximation:
    """Approximate components, each as well as the comparison needs.

    The noise is measured farther away as well if a component disagrees, or if the cost leaves its
    linear prediction. Jumps that are wider apart than the first steps hide a slope or show a wrong
    one; the larger noise makes the steps reach over them.

    Refinement is skipped if all components agree. That saves over a third of a check of 20 numbers,
    and the calls that look for kinks and hidden slopes.

    Parameters
    ----------
    evaluator : Evaluator
        How the cost is called.
    numbers : int array
        Which components to look at, in ascending order.
    comparand : Comparand
    noise : Noise
    slopes : mapping of int to Slope
        Components whose slopes are known already; no call is made for them.
    seen : mapping of str to ProbeResult
        What random directions saw.

    Returns
    -------
    Approximation
        From two cost calls a component where all agree. Where its noise is larger than what
        directions were asked at, they have to be asked again.
    """
    known = list(slopes)
    unknown = np.setdiff1d(numbers, known) if known else numbers
    length = lengths(evaluator.theta, comparand.gradient)
    first = _first_pass(evaluator, unknown, comparand, length, noise)
    result = replace(_spread(first, unknown, known), seen=seen, noise=noise)
    at, gradient = result.evaluated, comparand.gradient
    errors = relative_errors(result.values[at], result.error_bars[at], gradient[at])
    agree = not known and all_agree(*errors, comparand.suspect)
    if agree:
        del first  # as large as theta, several times
    off: list[Disagreement] = []
    hidden: list[_Hidden] = []
    if not agree:
        hidden = list(_hidden_slopes(evaluator, result, gradient, length, noise))
        off = _contradictions(result, comparand, slopes, hidden, length)
    louder = None if agree and seen else _louder(evaluator, result, comparand, length, off)
    if louder is not None:
        far, calm, bars = louder
        if far.level > noise.level:
            if seen:
                return replace(result, noise=far)
            inner = numbers[calm[numbers]]
            outer = np.setdiff1d(numbers, inner)
            rest = approximate(evaluator, outer, comparand.with_bars(bars), far)
            if not inner.size:
                return rest
            near = replace(noise, measure_far=None)
            return rest.joined(approximate(evaluator, inner, comparand, near))
        result = replace(result, noise=far)
        if agree:  # kinks may hide in differences that do
            agree, first = False, _first_pass(evaluator, unknown, comparand, length, noise)
            hidden = list(_hidden_slopes(evaluator, result, gradient, length, noise))
    for number, slope in slopes.items():
        _record(result, number, slope, comparand)
    if not agree:
        _refine(evaluator, result, unknown, first, comparand, hidden)
    return result


class _Hidden(NamedTuple):
    """A parameter without any slope, and how steep the cost is with all of it some way off."""

    parameter: Parameter
    steepness: float


def _contradictions(
    result: Approximation,
    comparand: Comparand,
    slopes: Mapping[int, Slope],
    hidden: Sequence[_Hidden],
    length: FloatArray,
) -> list[Disagreement]:
    """Return what larger noise over larger distances might explain.

    Directions went as far themselves, but for components with which the cost stands still.
    """
    values, bars = result.values, result.error_bars
    if slopes:
        values, bars = values.copy(), bars.copy()
        for number, slope in slopes.items():
            values[number], bars[number] = slope.value, slope.error_bar
    found = disagreements(values, bars, comparand.gradient, comparand.suspect, length)
    if result.seen:
        found = [one for one in found if not values[one.where].any()]
    moved = np.zeros(values.size, np.bool_)
    for parameter, steepness in hidden:
        moved[parameter.slice] = steepness > 0
    return found or ([Disagreement(moved, math.inf)] if moved.any() else [])


def _louder(
    evaluator: Evaluator,
    result: Approximation,
    comparand: Comparand,
    length: FloatArray,
    off: Sequence[Disagreement],
) -> FurtherOff | None:
    """Return the noise over larger distances, or None where nothing contradicts that nearby."""
    noise, gradient, values = result.noise, comparand.gradient, result.values
    if noise is None or noise.measure_far is None or (result.seen and not off):
        return None
    refuse_changed(evaluator.theta, "cost")  # a line sets all of theta, and would hide a change
    if not off and not is_off_course(evaluator, gradient, length, noise):
        return None
    size, apart = np.abs(values) + np.abs(gradient), np.abs(values - gradient)
    sharp = np.maximum(apart, result.error_bars) <= comparand.suspect * size
    agreeing = sharp | (size == 0)
    return further_off(evaluator, values, agreeing, off, length, noise)


class _First(NamedTuple):
    """The first differences of components, at a step for each, and their error bars.

    The lengths of all of theta stand beside them.
    """

    length: FloatArray
    differences: Differences
    error_bars: FloatArray
    roundings: FloatArray


def _first_pass(
    evaluator: Evaluator,
    numbers: Indices,
    comparand: Comparand,
    length: FloatArray,
    noise: Noise,
) -> _First:
    """Take one central difference a component."""
    steps = _first_steps(comparand.gradient, length, noise, evaluator.theta, numbers)
    both = _without_guards(evaluator.differences(numbers, steps), evaluator.cost0)
    roundings = 2 * SAFETY * noise.at(both.sizes) / both.widths
    bars = roundings if comparand.bars is None else roundings + comparand.bars[numbers]
    return _First(length, both, bars, roundings)


def _without_guards(both: Differences, cost0: float) -> Differences:
    """Take constants on both sides that stand for no value for none: their difference is 0."""
    same = both.ahead == both.behind
    if not (cost0 and same.any()):
        return both
    guards = same & (np.abs(both.ahead - cost0) > 0.5 * np.maximum(both.sizes, abs(cost0)))
    if not guards.any():
        return both
    ahead, behind = (np.where(guards, math.nan, side) for side in (both.ahead, both.behind))
    return Differences(ahead, behind, both.widths)


def _spread(first: _First, numbers: Indices, known: Sequence[int] = ()) -> Approximation:
    """Return the approximation that first differences make, with room for those `known`."""
    at = np.union1d(numbers, np.array(known, np.intp)) if known else numbers
    return _scattered(first.differences.slopes, first.error_bars, numbers, at, first.length.size)


def _scattered(
    values: FloatArray, error_bars: FloatArray, numbers: Indices, at: Indices, size: int
) -> Approximation:
    """Return the approximation that values of components make, among those that are evaluated."""
    return Approximation(
        scatter(values, numbers, size, math.nan),
        scatter(error_bars, numbers, size, math.inf),
        np.zeros(size, np.int8),
        slice(0, size) if at.size == size else at,
        {},
    )


def _refine(
    evaluator: Evaluator,
    result: Approximation,
    numbers: Indices,
    first: _First,
    comparand: Comparand,
    hidden: Sequence[_Hidden],
) -> None:
    """Look again at what the first differences do not show to be right."""
    theta, gradient, noise = evaluator.theta, comparand.gradient, result.noise
    assert noise is not None
    length = first.length
    tolerance = tolerances(result, gradient, theta.selected, first=True)
    undecided = _undecided(result, comparand, tolerance)
    undecided[numbers[_bent(first, evaluator.cost0, comparand.gradient[numbers])]] = True
    for parameter, steepness in hidden:
        part = parameter.slice
        mine = part.start + np.flatnonzero(result.checked[part])
        tolerance[mine] = WIDE * steepness
        undecided[mine] = steepness > 0
    at = np.flatnonzero(undecided[numbers])
    left = numbers[at]
    open_ = Undecided(
        left,
        length[left],
        gradient[left],
        tolerance[left],
        Differences(*(part[at] for part in first.differences)),
        first.roundings[at],
        evaluator.cost0,
        comparand.suspect,
    )
    settled, climbed = refined(evaluator, open_, noise)
    own = comparand.bars
    for found in settled:
        result.values[found.numbers] = found.values
        extra = 0.0 if own is None else own[found.numbers]
        result.error_bars[found.numbers] = found.error_bars + extra
    for number, slope in climbed.items():
        known = _within_length(slope, gradient[number], length[number], noise.level)
        _record(result, number, known, comparand)


def _within_length(slope: Slope, analytic: float, length: float, noise: float) -> Slope:
    """Return a slope whose error bar reaches the analytic value, where a kink may lie between them.

    Noise hides what a disagreement adds up to over the length of a component, and the slopes on
    both sides are those beyond. Tiny weights have many units switch there, each with a gap of its
    own, and the slope between them need not lie between those beyond.
    """
    off = abs(slope.value - analytic)
    if slope.sides is None or off * length >= READABLE * noise:
        return slope
    return replace(slope, error_bar=max(off, slope.error_bar))


def _bent(first: _First, cost0: float, analytic: FloatArray) -> npt.NDArray[np.bool_]:
    """Return where one-sided slopes lie apart by a good part of their size, over the components.

    The central difference at a kink is the mean of the two, and agrees with a gradient that is. Of
    several kinks that meet it need not be one: three equal values do not have half of their maximum
    each.
    """
    ahead, behind, widths = first.differences
    with np.errstate(invalid="ignore"):
        gaps = np.abs((ahead - cost0) - (cost0 - behind)) / (0.5 * widths)
        usual = np.abs(first.differences.slopes) + np.abs(analytic)
        least = np.maximum(
            KINKED * np.maximum(usual, rms(finite_or_zero(usual))), 4 * first.roundings
        )
        return np.asarray(gaps > least)


def _hidden_slopes(
    evaluator: Evaluator,
    result: Approximation,
    gradient: FloatArray,
    length: FloatArray,
    noise: Noise,
) -> Iterator[_Hidden]:
    """Yield parameters without any slope, and how steep the cost is with all of each.

    Where many have none, all of them are moved at once first.
    """
    theta = evaluator.theta
    flat = [p for p in theta.selected if not gradient[p.slice].any() and _is_flat(result, p.slice)]
    if len(flat) > FLAT_ALONE and stirred(evaluator, flat, length, noise) == 0:
        yield from (_Hidden(parameter, 0.0) for parameter in flat)
        return
    for parameter in flat:
        yield _Hidden(parameter, collective_slope(evaluator, parameter, length, noise))


def stirred(
    evaluator: Evaluator,
    parameters: Sequence[Parameter],
    length: FloatArray,
    noise: Noise,
    part: float = 1.0,
) -> float:
    """Return by how much the cost changes where all of some parameters are moved some way off.

    Once every other component up and the rest down, and once all of them down by other amounts.
    """
    place, rises = slice(parameters[0].start, parameters[-1].stop), []
    reach = np.zeros(length.size)
    for parameter in parameters:
        reach[parameter.slice] = _stir(noise) * np.maximum(length[parameter.slice], 1.0)
    reach, count = reach[place], np.arange(place.start, place.stop)
    reach *= part
    for move in (reach * (-1.0) ** count, -reach * (0.5 + np.modf(GOLDEN * count)[0])):
        with evaluator.theta.moved(place, move, 1.0):
            rises.append(abs(evaluator.cost() - evaluator.cost0))
    return max(filter(math.isfinite, rises), default=0.0)


def _stir(noise: Noise) -> float:
    """Return how far parameters are moved to see whether the cost depends on them at all."""
    return float(max(STIR, noise.relative ** (1 / 3)))


def _is_flat(result: Approximation, part: slice) -> bool:
    """Return whether components were looked at, and the cost does not move with any of them."""
    checked = result.checked[part]
    return bool(checked.any() and not result.values[part][checked].any())


def _first_steps(
    gradient: FloatArray, length: FloatArray, noise: Noise, theta: Theta, numbers: Indices
) -> FloatArray:
    """Return steps at which truncation and rounding balance, for components.

    That is where h**3 is three times the noise over the third derivative (W. Press et al.,
    Numerical Recipes, 3rd ed., section 5.7), which is of the order of the gradient over the length
    squared, or of the cost over the length cubed, in each parameter. The larger step of the two has
    the narrower error bar; beyond a thousandth of the length kinks come in reach. The gradient may
    be wrong: it sets a step here, and what it is compared with tells.
    """
    least = noise.relative ** (1 / 3)  # balances them for a cost that changes by its own size
    most = max(least, 1e-3)
    mean = np.add.reduceat(length, theta.starts) / theta.sizes
    rises = [
        size * far for size, far in zip(rms_of_each(gradient, theta), mean.tolist(), strict=True)
    ]
    parts = [
        min(max((3 * noise.level / rise) ** (1 / 3), least), most) if rise else least
        for rise in rises
    ]
    if numbers.size == theta.base.size:
        return np.asarray(of_each(parts, theta) * length)
    return np.asarray(np.array(parts)[theta.owners(numbers)] * length[numbers])


def relative_errors(
    values: FloatArray, error_bars: FloatArray, analytic: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the disagreement beyond the error bar and the error bar, as parts of the size.

    The size of a component is ``|D| + |g|``. NaN where that is 0, or no number.
    """
    size = np.abs(values) + np.abs(analytic)
    return (np.abs(values - analytic) - error_bars) / size, error_bars / size


def all_agree(beyond: FloatArray, bars: FloatArray, suspect: float) -> bool:
    """Return whether all components are right, and decided beside their own sizes.

    Takes what `relative_errors` returns. Most gradients are right: their check ends here.
    """
    return bool(beyond.max(initial=0.0) <= suspect and bars.max(initial=0.0) <= WIDE)


def collective_slope(
    evaluator: Evaluator, parameter: Parameter, length: FloatArray, noise: Noise
) -> float:
    """Return how steeply the cost moves with all of a parameter whose gradients are all 0, or 0.

    A gradient that was never filled in looks right where the first steps are too small to show a
    slope. Two calls, some way off, tell a parameter that has none from one that hides it.
    """
    rise = stirred(evaluator, [parameter], length, noise)
    size = _stir(noise) * max(float(length[parameter.slice].max()), 1.0)
    return rise / size if rise > SAFETY * noise.level else 0.0


def tolerances(
    approximation: Approximation,
    gradient: FloatArray,
    parameters: Sequence[Parameter],
    first: bool = False,
) -> FloatArray:
    """Return the error bars beyond which components are undecided, over theta.

    They are a part of the component's size or of its parameter's root mean square, whichever is
    larger. If analytic and numerical value are both 0, that of the whole gradient is taken. If that
    is 0 too, no component is undecided.

    Values smaller than their own error bars do not count towards a root mean square. Those of a
    `first` pass count by no more than the analytic ones: a step that is too large for a component
    may give any number, which must not make all others look small.

    If every error bar is within that part of the component's own size, a lower bound is returned:
    that part of the own sizes. No component is undecided by either.
    """
    at = approximation.evaluated
    values = np.abs(finite_or_zero(approximation.values[at]))
    analytic = np.abs(finite_or_zero(gradient[at]))
    size = values + analytic
    for number, (left, right) in approximation.sides.items():
        place = number if isinstance(at, slice) else int(np.searchsorted(at, number))
        size[place] = max(size[place], abs(left) + abs(right))
    error_bars = approximation.error_bars[at]
    if np.all(error_bars <= WIDE * size):
        return scatter(WIDE * size, at, gradient.size, math.inf)
    typical = np.where(error_bars <= values, values, 0.0)
    if first:
        typical = np.minimum(typical, analytic)
    whole = rms(typical) or math.inf
    bars = np.full(size.shape, math.inf)
    for parameter in parameters:
        part = _within(parameter, at)
        usual = rms(typical[part])
        bars[part] = WIDE * np.where(size[part] == 0, whole, np.maximum(size[part], usual))
    return scatter(bars, at, gradient.size, math.inf)


def _within(parameter: Parameter, at: Selection) -> slice:
    """Return where a parameter's components stand among those of a place."""
    if isinstance(at, slice):
        return parameter.slice
    return slice(*np.searchsorted(at, (parameter.start, parameter.stop)).tolist())


def _undecided(
    result: Approximation, comparand: Comparand, tolerance: FloatArray
) -> npt.NDArray[np.bool_]:
    """Return where the first pass does not show a component to be right, over theta.

    `tolerance` is narrowed on the way, to what the comparison needs.
    """
    at, gradient, suspect = result.evaluated, comparand.gradient, comparand.suspect
    values, bars, analytic = result.values[at], result.error_bars[at], gradient[at]
    known = np.isfinite(values)
    size, other = np.where(known, np.abs(values), 0.0), np.abs(analytic)
    tolerance[at] = np.minimum(tolerance[at], np.maximum(bars, suspect * np.maximum(size, other)))
    right = np.abs(values - analytic) <= bars + suspect * (size + other)
    undecided = np.zeros(gradient.shape, np.bool_)
    undecided[at] = ~(right & known & (bars <= tolerance[at])) & np.isfinite(analytic)
    return undecided


def _record(result: Approximation, number: int, slope: Slope, comparand: Comparand) -> None:
    result.values[number] = slope.value
    result.error_bars[number] = slope.error_bar
    if comparand.bars is not None:
        result.error_bars[number] += comparand.bars[number]
    result.kinds[number] = slope.kind
    if slope.sides is not None:
        result.sides[number] = slope.sides
