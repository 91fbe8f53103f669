"""Two-sided differences of a cost in every component, each with an error bar.

A first pass takes one central difference a component, at a step scaled to it; its error bar is the
noise of the cost over the step. That is enough for a component whose analytic gradient agrees.
`refinement` treats components that disagree or that noise leaves undecided.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.directions import SINGLE, ProbeResult, is_single
from pytest_gradcheck.numdiff.evaluators import Differences, Evaluator
from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY, Kind, Slope
from pytest_gradcheck.numdiff.noise import (
    Along,
    Noise,
    given,
    measure,
    measure_far,
    moves_far,
)
from pytest_gradcheck.numdiff.refinement import Undecided, refined, storage_unit
from pytest_gradcheck.params.scales import finite_or_zero, lengths, of_each, rms, rms_of_each
from pytest_gradcheck.params.streams import random_bytes
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
    "cost_noise",
    "moves",
    "relative_errors",
    "tolerances",
]

WIDE = 1e-3
"""An error bar beyond this part of a component's size leaves it undecided."""

BEARINGS = (1e-2, 2.5e-3, 6e-4)
"""Distances, in lengths, at which the cost is compared with its linear prediction. The first is
beyond the quanta of bfloat16; the nearer ones follow where the prediction fails."""

OFF_BEARING = 0.03
"""The largest deviation from that prediction, as a part of the rise, without a closer look."""

KINKED = 0.3
"""The smallest gap between one-sided slopes at a kink, as a part of the component's size."""

FLAT_ALONE = 8
"""Up to this many parameters without any slope are moved one by one."""

SMALLEST = float(np.finfo(np.float64).smallest_subnormal)
"""The least noise level: half a rounding unit of a cost near the smallest numbers is 0."""

GROSS = 0.1
"""The tolerance at which an iteration stops does not explain relative errors beyond this."""

STIR = 1e-2
"""The move, in sizes of a parameter, that tests whether the cost depends on it at all."""

HALF = (np.arange(128) + 0.5) / 128

WEIGHTS = np.concatenate([-0.5 - HALF, 0.5 + HALF])
"""The possible weights of a component in a direction, in its size: see `random_weights`."""

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


def cost_noise(evaluator: Evaluator, seed: int, relative: float | None = None) -> Noise:
    """Measure the noise of the cost along one random direction, scaled to the parameters.

    Parameters
    ----------
    evaluator : Evaluator
    seed : int
    relative : float, optional
        The noise relative to the cost, where the user knows it.
    """
    near = measure(
        _random_line(evaluator, seed),
        evaluator.cost0,
        far=lambda distances: _random_line(evaluator, seed, least=1.0)(distances),
    )
    if near.level < SMALLEST:
        near = replace(near, level=SMALLEST)
    if relative is not None:
        return given(relative, near)

    def far(residual: float) -> Noise:
        # The direction is drawn again: it takes the memory of theta.
        unit = storage_unit(evaluator.theta)
        line, grain = _random_line(evaluator, seed), unit if unit > EPSILON else 0.0
        return measure_far(line, evaluator.cost0, near, residual, grain)

    return replace(near, measure_far=far)


def moves(evaluator: Evaluator, seed: int) -> bool:
    """Return whether the cost changes at all along a random direction, far away if need be."""
    return moves_far(_random_line(evaluator, seed, 1.0), evaluator.cost0)


def _random_line(evaluator: Evaluator, seed: int, least: float = 0.0) -> Along:
    """Return the costs by distances along a random direction.

    A distance of 1 is the size of the parameters, or `least` where that is larger. Any direction
    in which nothing cancels will do, so a byte for each component is enough. Python's own generator
    starts in a tenth of the time of NumPy's.
    """
    theta = evaluator.theta
    size = np.abs(theta.base)
    if not size.all():
        size = np.where(size > 0, size, np.minimum(lengths(theta), 1.0))
    if least:
        np.maximum(size, least, out=size)
    draws = np.frombuffer(random_bytes("noise", seed, size.size), np.uint8)
    weights = WEIGHTS[draws] * size
    if theta.selected != theta.parameters:
        weights[~theta.is_selected] = 0.0
    digits = [parameter.digits for parameter in theta.parameters]
    if min(digits) == np.finfo(np.float64).nmant + 1:
        return partial(evaluator.along, weights)
    _, exponents = np.frexp(theta.base)
    units = np.ldexp(1.0, exponents - np.array(digits).repeat(theta.sizes))

    def along(distances: Sequence[float]) -> list[float]:
        """Return the costs where theta can be stored: its rounding is none of the cost's noise."""
        steps = np.round(distances[0] * weights / units)
        steps += np.where((steps == 0) & (weights != 0), np.copysign(1.0, weights), 0.0)
        return evaluator.along(steps * units, [distance / distances[0] for distance in distances])

    return along


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
        From two cost calls a component where all agree.
    """
    known = list(slopes)
    unknown = np.setdiff1d(numbers, known) if known else numbers
    length = lengths(evaluator.theta, comparand.gradient)
    first = _first_pass(evaluator, unknown, comparand, length, noise)
    result = replace(_spread(first, unknown, known), seen=seen, noise=noise)
    at, gradient = result.evaluated, comparand.gradient
    errors = relative_errors(result.values[at], result.error_bars[at], gradient[at])
    agree = not known and all_agree(*errors, comparand.suspect)
    asks = noise.measure_far is not None and not seen  # whose directions went as far
    if asks:  # which sets all of theta, and would hide a change
        refuse_changed(evaluator.theta, "cost")
    if agree:
        del first  # as large as theta, several times
    residual = 0.0 if agree else _usual_residual(result, comparand, evaluator.theta)
    if asks and (residual or _is_off_course(evaluator, gradient, length, noise)):
        far = noise.with_far(residual)
        if far.level > noise.level:
            return approximate(evaluator, numbers, comparand, far, slopes, seen)
        result = replace(result, noise=far)
        if agree:  # kinks may hide in differences that do
            agree, first = False, _first_pass(evaluator, unknown, comparand, length, noise)
    for number, slope in slopes.items():
        _record(result, number, slope, comparand)
    if not agree:
        _refine(evaluator, result, unknown, first, comparand)
    return result


class _First(NamedTuple):
    """The first differences of components, at a step for each, and their error bars."""

    size: int
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
    return _First(evaluator.theta.base.size, both, bars, roundings)


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
    return _scattered(first.differences.slopes, first.error_bars, numbers, at, first.size)


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


def _usual_residual(result: Approximation, comparand: Comparand, theta: Theta) -> float:
    """Return how much the cost's rises over a length disagree, in the median of those that do.

    Infinity where most of those are grossly wrong: that is no matter of a tolerance.
    """
    at, gradient = result.evaluated, comparand.gradient
    off = np.abs(result.values[at] - gradient[at]) - result.error_bars[at]
    size = np.abs(result.values[at]) + np.abs(gradient[at])
    wrong = off > comparand.suspect * size
    if not wrong.any():
        return 0.0
    if float(np.median((off / size)[wrong])) > GROSS:
        return math.inf
    return float(np.median((off * lengths(theta, gradient)[at])[wrong]))


def _is_off_course(
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
    rises = rms_of_each(gradient * weights, theta)
    groups: dict[int, list[Parameter]] = {}
    for number, parameter in theta.layout.numbered:
        if rises[number] > 0:
            groups.setdefault(math.floor(math.log10(rises[number])), []).append(parameter)
    for parameters in groups.values():
        mine = np.zeros_like(weights)
        for parameter in parameters:
            mine[parameter.slice] = weights[parameter.slice]
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


def _refine(
    evaluator: Evaluator,
    result: Approximation,
    numbers: Indices,
    first: _First,
    comparand: Comparand,
) -> None:
    """Look again at what the first differences do not show to be right."""
    theta, gradient, noise = evaluator.theta, comparand.gradient, result.noise
    assert noise is not None
    length = lengths(theta, gradient)
    tolerance = tolerances(result, gradient, theta.selected, first=True)
    undecided = _undecided(result, comparand, tolerance)
    undecided[numbers[_bent(first, evaluator.cost0, comparand.gradient[numbers])]] = True
    for parameter, steepness in _hidden_slopes(evaluator, result, gradient, noise):
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
        _record(result, number, slope, comparand)


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
    evaluator: Evaluator, result: Approximation, gradient: FloatArray, noise: Noise
) -> Iterator[tuple[Parameter, float]]:
    """Yield parameters without any slope, and how steep the cost is with all of each.

    Where many have none, all of them are moved at once first.
    """
    theta = evaluator.theta
    length = lengths(theta, gradient)
    flat = [p for p in theta.selected if not gradient[p.slice].any() and _is_flat(result, p.slice)]
    if len(flat) > FLAT_ALONE:
        weights = np.zeros(length.size)
        for parameter in flat:
            weights[parameter.slice] = STIR * np.maximum(length[parameter.slice], 1.0)
        weights *= (-1.0) ** np.arange(length.size)
        rises = [abs(cost - evaluator.cost0) for cost in evaluator.along(weights, (1.0, -1.0))]
        if max(filter(math.isfinite, rises), default=0.0) == 0:
            yield from ((parameter, 0.0) for parameter in flat)
            return
    for parameter in flat:
        yield parameter, collective_slope(evaluator, parameter, length, noise)


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
    part = parameter.slice
    move = STIR * np.maximum(length[part], 1.0) * (-1.0) ** np.arange(parameter.size)
    rises = []
    for distance in (1.0, -1.0):
        with evaluator.theta.moved(part, move, distance):
            rises.append(abs(evaluator.cost() - evaluator.cost0))
    rise = max(filter(math.isfinite, rises), default=0.0)
    return rise / float(np.abs(move).max()) if rise > SAFETY * noise.level else 0.0


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
