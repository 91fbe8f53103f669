"""Two-sided differences of a cost in every component, each with an error bar.

A first pass takes one central difference a component, at a step scaled to it; its error bar is the
noise of the cost over the step. Where the analytic gradient agrees with it, that is all it takes. A
component that disagrees, or that noise leaves undecided, climbs a ladder of steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.calls import Calls, Climb
from pytest_gradcheck.directions import Seen, random_weights
from pytest_gradcheck.ladder import SAFETY, Slope
from pytest_gradcheck.noise import Along, Noise, measure, moves_far
from pytest_gradcheck.scales import finite_or_zero, lengths, rms
from pytest_gradcheck.theta import FloatArray, Numbers, Parameter, Place, Theta

__all__ = [
    "KINDS",
    "WIDE",
    "Approximation",
    "approximate",
    "classical",
    "cost_noise",
    "moves",
    "stirred",
    "tolerated",
]

WIDE = 1e-3
"""An error bar beyond this part of a component's size leaves it undecided."""

Components = Sequence[tuple[Parameter, Numbers]]
"""For each parameter, the numbers of its components to look at."""

STIR = 1e-3
"""How far, in sizes of a parameter, a cost is looked at that seems not to depend on it."""

NOTHING: Mapping[Any, Any] = {}

EVERYWHERE = slice(None)

KINDS = ("smooth", "kink", "edge", "jump", "nonfinite")


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
        Index into `KINDS`.
    checked : bool array
        Where a component was looked at.
    sides : dict
        Component to its slopes on the left and on the right, at kinks.
    seen : dict
        What random directions saw of parameters, by name, where they were asked; see `Seen`.
    """

    values: FloatArray
    error_bars: FloatArray
    kinds: npt.NDArray[np.int8]
    checked: npt.NDArray[np.bool_]
    sides: dict[int, tuple[float, float]]
    seen: Mapping[str | None, Seen] = field(default_factory=dict)

    @property
    def looked_at(self) -> Place:
        """The components that were looked at."""
        if self.checked.all():
            return slice(0, self.checked.size)
        return np.flatnonzero(self.checked)

    def of_kind(self, kind: str, part: slice = EVERYWHERE) -> npt.NDArray[np.bool_]:
        """Return where the cost is of a kind, in a part of theta."""
        return np.asarray(self.kinds[part] == KINDS.index(kind))


def cost_noise(calls: Calls, rng: np.random.Generator) -> Noise:
    """Measure the noise of the cost along one random direction, scaled to the parameters."""
    return measure(
        _random_line(calls, rng),
        calls.here,
        far=lambda distances: _random_line(calls, rng, least=1.0)(distances),
    )


def moves(calls: Calls, rng: np.random.Generator) -> bool:
    """Return whether the cost changes at all along a random direction, far away if need be."""
    return moves_far(_random_line(calls, rng, 1.0), calls.here)


def _random_line(calls: Calls, rng: np.random.Generator, least: float = 0.0) -> Along:
    """Return the costs by distances along a random direction.

    A distance of 1 is the size of the parameters, or `least` where that is larger.
    """
    theta = calls.theta
    size = np.abs(theta.base)
    if not size.all():
        size = np.where(size > 0, size, np.minimum(lengths(theta), 1.0))
    weights = random_weights(np.maximum(size, least, out=size), rng)
    start = 0
    for parameter in theta.selected:
        weights[start : parameter.start] = 0.0
        start = parameter.stop
    weights[start:] = 0.0
    return partial(calls.along, weights)


def classical(calls: Calls, components: Components, eps: float) -> Approximation:
    """Take the course's differences: one fixed step, divided by ``2 * eps``, and no error bar."""
    result = _empty(calls.theta, components)
    steps = [np.full(numbers.shape, eps) for _, numbers in components]
    for (_, numbers), (rises, _) in zip(components, calls.rises(components, steps), strict=True):
        result.values[numbers] = rises / (2 * eps)
        result.error_bars[numbers] = 0.0
    result.kinds[result.checked & ~np.isfinite(result.values)] = KINDS.index("nonfinite")
    return result


def approximate(
    calls: Calls,
    components: Components,
    gradient: FloatArray,
    noise: Noise,
    suspect: float,
    slopes: Mapping[int, Slope] = NOTHING,
    seen: Mapping[str | None, Seen] = NOTHING,
) -> Approximation:
    """Approximate components, each as well as the comparison with `gradient` needs.

    Parameters
    ----------
    calls : Calls
        How the cost is called.
    components : list of (parameter, numbers)
        Which components to look at.
    gradient : array
        The analytic gradient, laid out like theta.
    noise : Noise
    suspect : float
        The relative error at which a disagreement begins.
    slopes : mapping of int to Slope
        Components whose slopes are known already; no call is made for them.
    seen : mapping of str to Seen
        What random directions saw.

    Returns
    -------
    Approximation
        From two cost calls a component where all agree.
    """
    theta = calls.theta
    result = replace(_empty(theta, components), seen=seen)
    others = [(p, _others(numbers, slopes)) for p, numbers in components]
    components = [(p, numbers) for p, numbers in others if numbers.size]
    length = lengths(theta)
    places = [p.slice if numbers.size == p.size else numbers for p, numbers in components]
    share = float(np.cbrt(noise.relative))
    first = [_first_steps(gradient[place], length[place], noise, share) for place in places]
    for place, (rises, widths) in zip(places, calls.rises(components, first), strict=True):
        result.values[place] = rises / widths
        result.error_bars[place] = 2 * SAFETY * noise.level / widths
    for number, slope in slopes.items():
        result.checked[number] = True
        _record(result, number, slope)
    wide = tolerated(result, gradient, theta.selected, first=True)
    undecided = _undecided(result, gradient, wide, suspect)
    for (parameter, _), place in zip(components, places, strict=True):
        if not (gradient[place].any() or result.values[place].any()):
            steepness = stirred(calls, parameter, length, noise)
            wide[place] = WIDE * steepness
            undecided[place] = steepness > 0
    for number in slopes:
        undecided[number] = False
    open_ = [
        Climb(n, share * float(length[n]), float(length[n]), float(gradient[n]), float(wide[n]))
        for n in np.flatnonzero(undecided).tolist()
    ]
    for climb, slope in zip(open_, calls.climbed(open_, noise.level, suspect), strict=True):
        _record(result, climb.number, slope)
    return result


def _first_steps(
    gradient: FloatArray, length: FloatArray, noise: Noise, least: float
) -> FloatArray:
    """Return steps at which truncation and rounding balance, for components of one parameter.

    That is where h**3 is three times the noise over the third derivative (W. Press et al.,
    Numerical Recipes, 3rd ed., section 5.7), which is of the order of the gradient over the length
    squared, or of the cost over the length cubed. The larger step of the two has the narrower error
    bar; beyond a thousandth of the length kinks come in reach. The gradient may be wrong: it sets a
    step here, and what it is compared with tells. `least` is the part of the length that balances
    them for a cost that changes by its own size over it.
    """
    size = rms(gradient) * float(length.mean())
    share = float(np.cbrt(3 * noise.level / size)) if size else least
    return min(max(share, least), max(least, 1e-3)) * length


def stirred(calls: Calls, parameter: Parameter, length: FloatArray, noise: Noise) -> float:
    """Return how steeply the cost moves with all of a parameter whose gradients are all 0, or 0.

    A gradient that was never filled in looks right where the first steps are too small to show a
    slope. Two calls, some way off, tell a parameter that has none from one that hides it.
    """
    part = parameter.slice
    move = STIR * np.maximum(length[part], 1.0) * (-1.0) ** np.arange(parameter.size)
    rises = []
    for distance in (1.0, -1.0):
        with calls.theta.moved(part, move, distance):
            rises.append(abs(calls.cost() - calls.here))
    rise = max(filter(math.isfinite, rises), default=0.0)
    return rise / float(np.abs(move).max()) if rise > SAFETY * noise.level else 0.0


def tolerated(
    approximation: Approximation,
    gradient: FloatArray,
    parameters: Sequence[Parameter],
    first: bool = False,
) -> FloatArray:
    """Return the error bars beyond which components are undecided, over theta.

    They are a part of the component's size or of its parameter's root mean square, whichever is
    larger; where analytic and numerical value are both 0, that of the whole gradient will do, and
    where that is 0 too there is nothing to be undecided about.

    Values that drown in their own error bars do not count towards a root mean square. Those of a
    `first` pass count by no more than the analytic ones: a step that is too large for a component
    may give any number, which must not make all others look small.

    Where all error bars are narrower than that part of the components' own sizes, that is returned.
    """
    at = approximation.looked_at
    values = np.abs(finite_or_zero(approximation.values[at]))
    analytic = np.abs(finite_or_zero(gradient[at]))
    size = values + analytic
    for number, (left, right) in approximation.sides.items():
        place = number if isinstance(at, slice) else int(np.searchsorted(at, number))
        size[place] = max(size[place], abs(left) + abs(right))
    error_bars = approximation.error_bars[at]
    if np.all(error_bars <= WIDE * size):
        return _over_theta(WIDE * size, at, gradient.size)
    typical = np.where(error_bars <= values, values, 0.0)
    if first:
        typical = np.minimum(typical, analytic)
    whole = rms(typical) or math.inf
    bars = np.full(size.shape, math.inf)
    for parameter in parameters:
        part = _within(parameter, at)
        usual = rms(typical[part])
        bars[part] = WIDE * np.where(size[part] == 0, whole, np.maximum(size[part], usual))
    return _over_theta(bars, at, gradient.size)


def _over_theta(bars: FloatArray, at: Place, size: int) -> FloatArray:
    if isinstance(at, slice):
        return bars
    result = np.full(size, math.inf)
    result[at] = bars
    return result


def _within(parameter: Parameter, at: Place) -> slice:
    """Return where a parameter's components stand among those of a place."""
    if isinstance(at, slice):
        return parameter.slice
    return slice(*np.searchsorted(at, (parameter.start, parameter.stop)).tolist())


def _others(numbers: Numbers, known: Mapping[int, Slope]) -> Numbers:
    """Return the numbers of which nothing is known yet."""
    if not known:
        return numbers
    return np.array([n for n in numbers.tolist() if n not in known], np.intp)


def _empty(theta: Theta, components: Components) -> Approximation:
    size = theta.base.size
    checked = np.zeros(size, np.bool_)
    for _, numbers in components:
        checked[numbers] = True
    return Approximation(
        np.full(size, math.nan), np.full(size, math.inf), np.zeros(size, np.int8), checked, {}
    )


def _undecided(
    result: Approximation, gradient: FloatArray, wide: FloatArray, suspect: float
) -> npt.NDArray[np.bool_]:
    """Return where the first pass does not show a component to be right, over theta.

    `wide` is narrowed on the way, to what the comparison needs.
    """
    at = result.looked_at
    values, bars, analytic = result.values[at], result.error_bars[at], gradient[at]
    known = np.isfinite(values)
    size, other = np.where(known, np.abs(values), 0.0), np.abs(analytic)
    wide[at] = np.minimum(wide[at], np.maximum(bars, suspect * np.maximum(size, other)))
    right = np.abs(values - analytic) <= bars + suspect * (size + other)
    undecided = np.zeros(gradient.shape, np.bool_)
    undecided[at] = ~(right & known & (bars <= wide[at])) & np.isfinite(analytic)
    return undecided


def _record(result: Approximation, number: int, slope: Slope) -> None:
    result.values[number] = slope.value
    result.error_bars[number] = slope.error_bar
    result.kinds[number] = KINDS.index(slope.kind)
    if slope.sides is not None:
        result.sides[number] = slope.sides
