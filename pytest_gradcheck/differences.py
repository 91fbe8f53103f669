"""Two-sided differences of a cost in every component, each with an error bar.

A first pass takes one central difference a component, at a step scaled to it; its error bar is the
noise of the cost over the step. Where the analytic gradient agrees with it, that is all it takes. A
component that disagrees, or that noise leaves undecided, climbs a ladder of steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.ladder import SAFETY, Line, Slope, climb
from pytest_gradcheck.noise import Noise, measure, moves_far
from pytest_gradcheck.theta import Cells, FloatArray, Parameter, Theta

__all__ = [
    "WIDE",
    "Approximation",
    "approximate",
    "classical",
    "cost_noise",
    "lengths",
    "line_along",
    "moves",
    "tolerated",
]

WIDE = 1e-3
"""An error bar beyond this part of a component's size leaves it undecided."""

Numbers = npt.NDArray[np.intp]
Components = Sequence[tuple[Parameter, Numbers]]
"""For each parameter, the numbers of its components to look at."""

SAFE_SQUARE = 1e-200
"""Sums of squares between this and its reciprocal have neither underflown nor overflown."""

STIR = 1e-3
"""How far, in sizes of a parameter, a cost is looked at that seems not to depend on it."""

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
    """

    values: FloatArray
    error_bars: FloatArray
    kinds: npt.NDArray[np.int8]
    checked: npt.NDArray[np.bool_]
    sides: dict[int, tuple[float, float]]

    def of_kind(self, kind: str) -> npt.NDArray[np.bool_]:
        """Return where the cost is of a kind."""
        return np.asarray(self.kinds == KINDS.index(kind))


def lengths(theta: Theta) -> FloatArray:
    """Return the length over which the cost is expected to change, for every component.

    The larger of the component's own size and the root mean square of its parameter. Where a
    parameter is all zero (biases at their initialization) the root mean square of theta stands in,
    at most 1, and 1 where that is zero as well.
    """
    whole = rms(theta.base)
    result = np.empty(theta.base.shape)
    for parameter in theta.parameters:
        values = np.abs(theta.base[parameter.slice])
        result[parameter.slice] = np.maximum(values, rms(values) or min(whole, 1.0) or 1.0)
    return result


def finite_or_zero(values: FloatArray) -> FloatArray:
    """Return values with 0 in the place of NaN and infinities."""
    return np.where(np.isfinite(values), values, 0.0)


def rms(values: FloatArray) -> float:
    """Return the root mean square of the finite values, 0 where there is none."""
    with np.errstate(all="ignore"):
        square = float(values @ values)
    if SAFE_SQUARE < square < 1 / SAFE_SQUARE:
        return math.sqrt(square / values.size)
    largest = float(np.abs(values).max(initial=0.0))
    if not math.isfinite(largest):
        return rms(values[np.isfinite(values)])
    if not largest:
        return 0.0
    scaled = values / largest  # no overflow
    return largest * math.sqrt(float(scaled @ scaled) / values.size)


def cost_noise(
    cost: Callable[[], float], theta: Theta, here: float, rng: np.random.Generator
) -> Noise:
    """Measure the noise of the cost along one random direction, scaled to the parameters."""
    return measure(
        _random_line(cost, theta, rng),
        here,
        far=lambda distance: _random_line(cost, theta, rng, least=1.0)(distance),
    )


def moves(cost: Callable[[], float], theta: Theta, here: float, rng: np.random.Generator) -> bool:
    """Return whether the cost changes at all along a random direction, far away if need be."""
    return moves_far(_random_line(cost, theta, rng, 1.0), here)


def _random_line(
    cost: Callable[[], float], theta: Theta, rng: np.random.Generator, least: float = 0.0
) -> Callable[[float], float]:
    """Return the cost by distance along a random direction.

    A distance of 1 is the size of the parameters, or `least` where that is larger.
    """
    draw = rng.uniform(-1.0, 1.0, theta.base.size)
    signs = np.copysign(0.5 + np.abs(draw), draw)
    size = np.abs(theta.base)
    if not size.all():
        size = np.where(size > 0, size, np.minimum(lengths(theta), 1.0))
    size = np.maximum(size, least)
    direction = np.zeros(theta.base.size)
    for parameter in theta.selected:
        direction[parameter.slice] = (signs * size)[parameter.slice]

    def along(distance: float) -> float:
        with theta.at(theta.base + distance * direction):
            return cost()

    return along


def classical(
    cost: Callable[[], float], theta: Theta, components: Components, eps: float
) -> Approximation:
    """Take the course's differences: one fixed step, divided by ``2 * eps``, and no error bar."""
    result = _empty(theta, components)
    for parameter, numbers in components:
        rises, _ = _rises(cost, theta, parameter, numbers, np.full(numbers.shape, eps))
        result.values[numbers] = rises / (2 * eps)
        result.error_bars[numbers] = 0.0
    result.kinds[result.checked & ~np.isfinite(result.values)] = KINDS.index("nonfinite")
    return result


def approximate(
    cost: Callable[[], float],
    theta: Theta,
    components: Components,
    gradient: FloatArray,
    here: float,
    noise: Noise,
    suspect: float,
) -> Approximation:
    """Approximate components, each as well as the comparison with `gradient` needs.

    Parameters
    ----------
    cost : callable
        The cost at the present theta.
    theta : Theta
    components : list of (parameter, numbers)
        Which components to look at.
    gradient : array
        The analytic gradient, laid out like theta.
    here : float
        The cost at theta.
    noise : Noise
    suspect : float
        The relative error at which a disagreement begins.

    Returns
    -------
    Approximation
        From two cost calls a component where all agree.
    """
    result = _empty(theta, components)
    length = lengths(theta)
    steps = np.cbrt(noise.relative) * length
    for parameter, numbers in components:
        first = _first_steps(gradient[numbers], length[numbers], noise)
        rises, widths = _rises(cost, theta, parameter, numbers, first)
        result.values[numbers] = rises / widths
        result.error_bars[numbers] = 2 * SAFETY * noise.level / widths
    wide = tolerated(result, gradient, theta.selected, first=True)
    wide = np.minimum(wide, np.maximum(result.error_bars, suspect * np.abs(gradient)))
    for parameter, numbers in components:
        open_ = _undecided(result, gradient, numbers, wide, suspect)
        if not (gradient[numbers].any() or result.values[numbers].any()):
            slope = _stirred(cost, theta, parameter, length, here, noise)
            wide[numbers] = WIDE * slope
            open_ = numbers.tolist() if slope else []
        for number in open_:
            line = line_along(
                cost,
                theta,
                np.array([number]),
                np.ones(1),
                here,
                float(steps[number]),
                float(length[number]),
            )
            found = climb(line, float(gradient[number]), noise.level, float(wide[number]), suspect)
            _record(result, number, found)
    return result


def _first_steps(gradient: FloatArray, length: FloatArray, noise: Noise) -> FloatArray:
    """Return steps at which truncation and rounding balance, for components of one parameter.

    That is where h**3 is three times the noise over the third derivative (W. Press et al.,
    Numerical Recipes, 3rd ed., section 5.7), which is of the order of the gradient over the length
    squared, or of the cost over the length cubed. The larger step of the two has the narrower error
    bar; beyond a thousandth of the length kinks come in reach. The gradient may be wrong: it sets a
    step here, and what it is compared with tells.
    """
    least = float(np.cbrt(noise.relative))
    size = rms(gradient) * float(length.mean())
    share = float(np.cbrt(3 * noise.level / size)) if size else least
    return min(max(share, least), max(least, 1e-3)) * length


def _stirred(
    cost: Callable[[], float],
    theta: Theta,
    parameter: Parameter,
    length: FloatArray,
    here: float,
    noise: Noise,
) -> float:
    """Return how steeply the cost moves with all of a parameter whose gradients are all 0, or 0.

    A gradient that was never filled in looks right where the first steps are too small to show a
    slope. Two calls, some way off, tell a parameter that has none from one that hides it.
    """
    move = np.zeros(theta.base.size)
    part = parameter.slice
    move[part] = STIR * np.maximum(length[part], 1.0) * (-1.0) ** np.arange(parameter.size)
    rises = []
    for signed in (move, -move):
        with theta.at(theta.base + signed):
            rises.append(abs(cost() - here))
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
    """
    values = np.abs(finite_or_zero(approximation.values))
    analytic = np.abs(finite_or_zero(gradient))
    size = values + analytic
    for number, (left, right) in approximation.sides.items():
        size[number] = max(size[number], abs(left) + abs(right))
    typical = np.where(approximation.error_bars <= values, values, 0.0)
    if first:
        typical = np.minimum(typical, analytic)
    whole = rms(typical[approximation.checked]) or math.inf
    result = np.full(values.shape, math.inf)
    for parameter in parameters:
        part = parameter.slice
        usual = rms(typical[part][approximation.checked[part]])
        result[part] = WIDE * np.where(size[part] == 0, whole, np.maximum(size[part], usual))
    return result


def _empty(theta: Theta, components: Components) -> Approximation:
    size = theta.base.size
    checked = np.zeros(size, np.bool_)
    for _, numbers in components:
        checked[numbers] = True
    return Approximation(
        np.full(size, math.nan), np.full(size, math.inf), np.zeros(size, np.int8), checked, {}
    )


def _rises(
    cost: Callable[[], float],
    theta: Theta,
    parameter: Parameter,
    numbers: Numbers,
    steps: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return the cost's rise between either side of components, and the distance between them.

    The distance is that of the numbers as stored: x + h is rounded, and dividing by 2 h instead
    would spoil half of the digits.
    """
    cells = theta.cells(parameter)
    values = theta.base[numbers]
    plus, minus = theta.stored(values + steps, parameter), theta.stored(values - steps, parameter)
    places = (numbers - parameter.start).tolist()
    rises: list[float] = []
    for i, ahead, behind, original in zip(
        places, plus.tolist(), minus.tolist(), values.tolist(), strict=True
    ):
        cells[i] = ahead
        up = cost()
        cells[i] = behind
        rises.append(up - cost())
        cells[i] = original
    return np.array(rises), plus - minus


def _undecided(
    result: Approximation,
    gradient: FloatArray,
    numbers: Numbers,
    wide: FloatArray,
    suspect: float,
) -> list[int]:
    """Return the components that the first pass does not show to be right."""
    values, bars, analytic = result.values[numbers], result.error_bars[numbers], gradient[numbers]
    off = np.abs(values - analytic)
    right = off <= bars + suspect * (np.abs(values) + np.abs(analytic))
    undecided: list[int] = numbers[
        ~(right & (bars <= wide[numbers]) & np.isfinite(values)) & np.isfinite(analytic)
    ].tolist()
    return undecided


def line_along(
    cost: Callable[[], float],
    theta: Theta,
    numbers: Numbers,
    weights: FloatArray,
    here: float,
    step: float,
    reach: float,
) -> Line:
    """Return the line along a vector, for `climb`: a component is the one along a unit vector.

    Parameters
    ----------
    cost : callable
        The cost at the present theta.
    theta : Theta
    numbers : array of int
        The components in which the vector is not zero, in order.
    weights : array
        What it is there.
    here : float
        The cost at theta.
    step, reach : float
        The first and the largest distance, in lengths of the vector as it is given.
    """
    pieces: list[tuple[Parameter, Cells, Numbers, FloatArray, FloatArray]] = []
    for parameter in theta.selected:
        first, last = np.searchsorted(numbers, (parameter.start, parameter.stop))
        if first < last:
            mine = numbers[first:last]
            cells, original = theta.cells(parameter), theta.base[mine]
            pieces.append((parameter, cells, mine - parameter.start, original, weights[first:last]))

    def at(distance: float) -> tuple[float, float]:
        moved = distance
        try:
            for parameter, cells, places, original, weight in pieces:
                values = theta.stored(original + distance * weight, parameter)
                cells[places] = values
                if numbers.size == 1:  # the distance between numbers as they are stored
                    moved = float((values[0] - original[0]) / weight[0])
            return moved, cost()
        finally:
            for _, cells, places, original, _ in pieces:
                cells[places] = original

    # A zero has no size of its own; 1e-16 is where steps end for numbers of the order of 1.
    unit = 1e-17 * min(reach, 1.0)
    if numbers.size == 1 and theta.base[numbers[0]]:
        unit = theta.spacing(float(theta.base[numbers[0]]), pieces[0][0]) / abs(float(weights[0]))
    return Line(at, here, step, max(reach, 1.0), 8 * unit)


def _record(result: Approximation, number: int, slope: Slope) -> None:
    result.values[number] = slope.value
    result.error_bars[number] = slope.error_bar
    result.kinds[number] = KINDS.index(slope.kind)
    if slope.sides is not None:
        result.sides[number] = slope.sides
