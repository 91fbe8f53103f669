"""The cost along a vector through theta, and how its slope there compares with the gradient's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pytest_gradcheck.numdiff.ladder import EPSILON, SAFETY, Kind, Line, Slope, climb
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.params.theta import FloatArray, Selection, Theta

__all__ = [
    "SINGLE",
    "DirectionalProbe",
    "ProbeResult",
    "Residual",
    "grain",
    "is_single",
    "line_along",
    "random_weights",
]

NEAR = 1e-3
"""The largest first step, in lengths: beyond it kinks come in reach."""

SINGLE = 2.0**-24
"""The rounding unit of float32, which a gradient that was computed in it carries."""


def random_weights(sizes: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return a random vector: every size times a random sign and a number from 1/2 to 3/2.

    No component is lost by chance, as it may be under normal weights, and faults of one size do not
    cancel, as they may under plain signs.
    """
    weights = rng.uniform(-1.0, 1.0, sizes.size)
    weights += np.copysign(0.5, weights)
    weights *= sizes
    return weights


def line_along(
    cost: Callable[[], float],
    theta: Theta,
    direction: tuple[Selection, FloatArray],
    cost0: float,
    step: float,
    reach: float,
) -> Line:
    """Return the line along a vector, for `climb`: a component is the one along a unit vector.

    Parameters
    ----------
    cost : callable
        The cost at the present theta.
    theta : Theta
    direction : (slice or array of int, array)
        The components in which the vector is not zero, and what it is there.
    cost0 : float
        The cost at theta.
    step, reach : float
        The first and the largest distance, in lengths of the vector as it is given.
    """
    place, weights = direction
    # A zero has no size of its own; 1e-16 is where steps end for numbers of the order of 1.
    unit, grain = 1e-17 * min(reach, 1.0), EPSILON
    if theta.layout.is_coarse:
        grain = max(2.0 ** (1 - parameter.digits) for parameter in theta.selected)
    if weights.size > 1:
        unit = max(unit, grain if grain > EPSILON else 0.0)  # float32 would bend the line

        def at(distance: float) -> tuple[float, float]:
            with theta.moved(place, weights, distance):
                return distance, cost()

        return Line(at, cost0, step, max(reach, 1.0), 8 * unit, unit=grain)

    number = int(place.start if isinstance(place, slice) else place[0])
    parameter = theta.owner(number)
    component = slice(number, number + 1)
    original, weight, cells = float(theta.base[number]), float(weights[0]), theta.cells(parameter)
    spacing = theta.spacing(original, parameter) / abs(weight)
    unit = spacing if original else max(unit, spacing)

    def at_component(distance: float) -> tuple[float, float]:
        value = theta.stored(np.array([original + distance * weight]), component)
        try:
            cells[number - parameter.start] = value[0]
            # the distance between numbers as they are stored
            return float(value[0] - original) / weight, cost()
        finally:
            cells[number - parameter.start] = original

    return Line(at_component, cost0, step, max(reach, 1.0), 8 * unit, unit=grain)


class Residual(NamedTuple):
    """How far the slope along a vector lies from the gradient's, and the error bar of that."""

    residual: float
    error_bar: float

    @property
    def is_finite(self) -> bool:
        """Whether it says anything."""
        return math.isfinite(self.residual) and math.isfinite(self.error_bar)

    @property
    def is_consistent(self) -> bool:
        """Whether there is nothing to be seen."""
        return abs(self.residual) <= self.error_bar


@dataclass(frozen=True)
class ProbeResult:
    """What random directions have seen of a parameter, or of all of them together.

    Attributes
    ----------
    residual, error_bar : float
        How far the last direction's slope lies from the gradient's, with all that was found put
        right.
    kind : Kind
        Of the cost along it, as of a `Slope`.
    figure : float
        The course's relative error of the parameter, estimated from the first direction.
    relative_error : float
        What is left beyond the error bar, as the relative error of one component of the size of the
        root mean square of the parameter's gradient; where it is spread over many, of each.
    resolution : float
        The smallest relative error of such a component that would have shown.
    wide : bool
        Whether the error bar is too wide to tell right from wrong.
    crowded : bool
        Whether too much is wrong to be named.
    where : str or None
        The row, column or slice that all of it lies in.
    """

    residual: float
    error_bar: float
    kind: Kind
    figure: float
    relative_error: float
    resolution: float
    wide: bool
    crowded: bool
    where: str | None = None


class DirectionalProbe:
    """Asks how the slope of the cost along a vector compares with what the gradient says.

    Parameters
    ----------
    cost : callable
        The cost at the present theta.
    theta : Theta
    gradient : array
        The analytic gradient, laid out like theta.
    cost0 : float
        The cost at theta.
    noise : Noise

    Attributes
    ----------
    right : array
        The gradient, in which components that turn out wrong are put right: what they had to say
        is known, and no longer asked about.
    """

    def __init__(
        self,
        cost: Callable[[], float],
        theta: Theta,
        gradient: FloatArray,
        cost0: float,
        noise: Noise,
    ) -> None:
        self.theta, self.cost0, self.noise = theta, cost0, noise
        self.right = gradient.copy()
        self._cost = cost
        self._grain = grain(gradient)

    def step(self, count: int) -> float:
        """Return the step along a vector of so many components, in their lengths.

        Along a random vector the slope of a cost grows as the square root of the number of its
        components, and so does its third derivative; the terms of a network's do not even cancel.
        And the more components move, the more units stand close to their kinks. Steps that shrink
        as the eighth root leave truncation below rounding for either.
        """
        return float(min(np.cbrt(self.noise.relative) / count**0.125, NEAR))

    def ask(self, place: Selection, weights: FloatArray, step: float) -> Residual:
        """Return what one two-sided difference along a vector says, from two calls.

        The error bar is that of rounding, as it is for components (see `ladder`): in the cost, and
        in the sum over the gradient.
        """
        sides = []
        for distance in (step, -step):
            with self.theta.moved(place, weights, distance):
                bent = self._bent(place, weights, distance)
                sides.append(float(self._cost()) - bent)
        said = self.predicted(place, weights)
        sides_size = max(map(abs, sides))
        off = (sides[0] - sides[1]) / (2 * step) - said
        bar = SAFETY * self.noise.at(sides_size) / step + self.rounding(place, weights)
        return Residual(off, float(bar)) if math.isfinite(off) else Residual(math.nan, math.inf)

    def _bent(self, place: Selection, weights: FloatArray, distance: float) -> float:
        """Return what the cost rises by because arrays of float32 bend the line.

        To first order, by the gradient: theta moves by as much as its storage can hold.
        """
        if not self.theta.layout.is_coarse:
            return 0.0
        base, straight = self.theta.base[place], distance * weights
        moved = self.theta.stored(base + straight, place) - base
        return float(np.dot(moved - straight, self.right[place]))

    def climb(self, place: Selection, weights: FloatArray, wide: float, step: float) -> Slope:
        """Return the slope along a vector as well as it can be had, from that step on."""
        bent = line_along(self._cost, self.theta, (place, weights), self.cost0, step, 1.0)

        def straight(distance: float) -> tuple[float, float]:
            moved, cost = bent.at(distance)
            return moved, cost - self._bent(place, weights, distance)

        line = replace(bent, magnitude=self.noise.grows_from)
        if self.theta.layout.is_coarse:
            line = replace(line, at=straight)
        slope = climb(line, self.predicted(place, weights), self.noise.level, wide, 0.0)
        bar = float(slope.error_bar) + self.rounding(place, weights)
        return Slope(float(slope.value), bar, slope.kind, slope.sides)

    def predicted(self, place: Selection, weights: FloatArray) -> float:
        """Return the slope that the gradient says."""
        return float(np.dot(weights, self.right[place]))

    def size(self, place: Selection, weights: FloatArray) -> float:
        """Return the root of the sum of squares of the terms of `predicted`, its size by chance."""
        terms = weights * self.right[place]
        return float(np.linalg.norm(terms))

    def rounding(self, place: Selection, weights: FloatArray) -> float:
        """Bound the rounding error of the dot product of `weights` and the gradient."""
        size = self.size(place, weights)
        return SAFETY * self._grain * size * math.log2(2 + weights.size)


def is_single(gradient: FloatArray) -> bool:
    """Return whether a gradient has the digits of float32 and no more.

    What even float16 holds (zeros, small integers) is no sign of it.
    """
    with np.errstate(all="ignore"):
        if not (gradient == gradient.astype(np.float32)).all():
            return False
        return bool(np.mean(gradient == gradient.astype(np.float16)) < 0.5)


def grain(gradient: FloatArray) -> float:
    """Return the rounding unit of a gradient's own digits: that of float32 where all are such."""
    return SINGLE if is_single(gradient) else 0.5 * EPSILON
