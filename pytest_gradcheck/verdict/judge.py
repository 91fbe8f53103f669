"""Verdicts: thresholds applied to the difference between two gradients, beyond its error bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.differences import (
    Approximation,
    all_agree,
    relative_errors,
    tolerances,
)
from pytest_gradcheck.numdiff.directions import ProbeResult
from pytest_gradcheck.numdiff.ladder import READABLE, Kind
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.params.scales import SAFE_SQUARE, lengths
from pytest_gradcheck.params.theta import FloatArray, Indices, Theta, scatter
from pytest_gradcheck.report.report import VERDICTS
from pytest_gradcheck.settings import Settings

__all__ = [
    "Doubt",
    "Judgement",
    "Verdict",
    "figure_of",
    "judge",
    "judged",
    "relative_error",
    "squares_of_each",
]

HERE = 1e-9
"""A kink closer than this part of a component's length is taken for one at the point itself."""

NONE: Indices = np.empty(0, np.intp)
"""No components."""


class Verdict(IntEnum):
    """The verdict on a component, from best to worst: the index of its word in `VERDICTS`."""

    OK = 0
    INCONCLUSIVE = 1
    """Not wrong, but the error bar is too wide to call it right."""
    KINK = 2
    """The cost has no single slope here, and the gradient is a valid subgradient."""
    SUSPECT = 3
    BUG = 4
    NONFINITE = 5
    """NaN or infinite: the gradient, or the cost on both sides."""

    @property
    def word(self) -> str:
        """The word that users see."""
        return VERDICTS[self]


@dataclass(frozen=True)
class Judgement:
    """The comparison of two gradients: arrays over theta.

    Attributes
    ----------
    verdicts : int8 array
        Values of `Verdict`; ``ok`` for components that were not checked.
    errors : float64 array
        ``max(0, |D - g| - u) / (|D| + |g|)``; 0 where both are 0.
    resolutions : float64 array
        The smallest relative error of the component that would have been reported.
    zeros : bool array or None
        Where both gradients are 0 beside rounding; None if that was not tested.
    stationary : bool
        Whether that is so of all components.
    """

    verdicts: npt.NDArray[np.int8]
    errors: FloatArray
    resolutions: FloatArray
    zeros: npt.NDArray[np.bool_] | None = None
    stationary: bool = False

    @cached_property
    def all_ok(self) -> bool:
        """Whether no component has another verdict than ``ok``."""
        return not self.verdicts.any()

    @cached_property
    def wrong(self) -> Indices:
        """The components that look wrong."""
        if self.all_ok:
            return NONE
        return np.flatnonzero(np.isin(self.verdicts, (Verdict.SUSPECT, Verdict.BUG)))


@dataclass(frozen=True)
class Doubt:
    """Components that look wrong, with all that a further test needs.

    Attributes
    ----------
    approximation : Approximation
    gradient : array
        The analytic gradient, laid out like theta.
    wrong : int array
        The components that look wrong.
    noise : Noise
        Of the cost.
    suspect : float
        The relative error at which a disagreement begins.
    """

    approximation: Approximation
    gradient: FloatArray
    wrong: Indices
    noise: Noise
    suspect: float


def judge(
    approximation: Approximation, gradient: FloatArray, theta: Theta, settings: Settings
) -> Judgement:
    """Compare an analytic gradient with its approximation, component by component.

    Parameters
    ----------
    approximation : Approximation
    gradient : array laid out like theta
    theta : Theta
    settings : Settings
        For the thresholds `suspect` and `bug`.

    Returns
    -------
    Judgement
    """
    at = approximation.evaluated
    values, error_bars, analytic = (
        whole[at] for whole in (approximation.values, approximation.error_bars, gradient)
    )
    with np.errstate(all="ignore"):
        beyond, bars = relative_errors(values, error_bars, analytic)
        errors = np.maximum(beyond, 0.0)
        if all_agree(beyond, bars, settings.suspect) and approximation.is_smooth:
            # All are ok: the general case takes 7 % of a check of 20 numbers.
            verdicts = np.zeros(values.shape, np.int8)
            resolutions = np.maximum(2 * bars, settings.suspect)
        else:
            size = np.abs(values) + np.abs(analytic)
            errors[size == 0] = 0.0  # both are 0: there is nothing to be relative to
            verdicts = _verdicts(approximation, gradient, theta, errors, settings)
            errors[verdicts == Verdict.NONFINITE] = math.inf
            errors[np.isnan(errors)] = 0.0  # undecided: nothing is known of the error
            low, high = _passing_slopes(approximation, gradient, theta)
            resolutions = _resolutions(low, high, settings.suspect)
    return Judgement(
        verdicts=scatter(verdicts, at, gradient.size),
        errors=scatter(errors, at, gradient.size),
        resolutions=scatter(resolutions, at, gradient.size),
    )


def _resolutions(low: FloatArray, high: FloatArray, suspect: float) -> FloatArray:
    """Return the largest relative error of two slopes between the ends, and no less than `suspect`.

    The gradient passes anywhere between them, and anywhere between them is the true slope. The
    relative error of two numbers is 1 where one is 0, or where they have either sign.
    """
    with np.errstate(all="ignore"):
        apart = (high - low) / (np.abs(high) + np.abs(low))
    apart[np.isnan(apart) & ~((low == 0) & (high == 0))] = 1.0
    return np.asarray(np.clip(np.nan_to_num(apart), suspect, 1.0))


def _passing_slopes(
    approximation: Approximation, gradient: FloatArray, theta: Theta
) -> tuple[FloatArray, FloatArray]:
    """Return the ends between which any slope passes: those of error bars, and of hidden kinks.

    Noise hides how far from theta a kink is. If it may be further than what counts as the point
    itself, then one of its slopes is the gradient, any other is none, and all of them pass.
    """
    at = approximation.evaluated
    values, bars = approximation.values[at], approximation.error_bars[at]
    low, high = values - bars, values + bars
    if not approximation.sides or approximation.noise is None:
        return low, high
    numbers = np.fromiter(approximation.sides, np.intp)
    both = np.array(list(approximation.sides.values()))
    slopes = np.column_stack([both, gradient[numbers], approximation.values[numbers]])
    least, most = slopes.min(axis=1), slopes.max(axis=1)
    reach = HERE * lengths(theta, gradient)[numbers]
    far = READABLE * approximation.noise.level > (most - least) * reach
    where = numbers if isinstance(at, slice) else np.searchsorted(at, numbers)
    own = bars[where]
    low[where] = np.where(far, least - own, low[where])
    high[where] = np.where(far, most + own, high[where])
    return low, high


def _verdicts(
    approximation: Approximation,
    gradient: FloatArray,
    theta: Theta,
    errors: FloatArray,
    settings: Settings,
) -> npt.NDArray[np.int8]:
    """Return the verdicts on the components that were checked, from their relative errors."""
    at = approximation.evaluated
    values, bars, kinds = (
        whole[at] for whole in (approximation.values, approximation.error_bars, approximation.kinds)
    )
    wide = tolerances(approximation, gradient, theta.selected)[at]
    undecided = ~(bars <= wide) | ~np.isfinite(values) | (kinds == Kind.JUMP)
    verdicts = np.full(values.shape, Verdict.OK, np.int8)
    verdicts[kinds == Kind.KINK] = Verdict.KINK
    verdicts[undecided] = Verdict.INCONCLUSIVE
    verdicts[errors > settings.suspect] = Verdict.SUSPECT
    verdicts[errors > settings.bug] = Verdict.BUG
    verdicts[(kinds == Kind.NONFINITE) | ~np.isfinite(gradient[at])] = Verdict.NONFINITE
    return verdicts


def judged(seen: ProbeResult, settings: Settings) -> Verdict:
    """Return the verdict on a parameter's residual along random directions.

    Components that were found wrong have verdicts of their own, and are no longer in it.
    """
    if seen.kind == Kind.NONFINITE:
        return Verdict.NONFINITE
    if seen.relative_error > settings.bug:
        return Verdict.BUG
    if seen.relative_error > settings.suspect:
        return Verdict.SUSPECT
    if seen.kind == Kind.KINK:
        return Verdict.KINK
    return Verdict.INCONCLUSIVE if seen.wide or seen.kind == Kind.JUMP else Verdict.OK


def relative_error(numerical: FloatArray, analytic: FloatArray) -> float:
    """Return the course's figure, ``||approx - grad|| / (||approx|| + ||grad||)``.

    Examples
    --------
    >>> relative_error(np.array([1.0, 0.0]), np.array([3.0, 0.0]))
    0.5
    """
    with np.errstate(all="ignore"):
        apart = numerical - analytic
        figure = figure_of([float(vector @ vector) for vector in (apart, numerical, analytic)])
    if not math.isnan(figure):
        return figure
    largest = max(float(np.max(np.abs(numerical))), float(np.max(np.abs(analytic))))
    if not largest:
        return 0.0
    if not math.isfinite(largest):
        return math.inf
    difference = float(np.linalg.norm(apart / largest))
    return difference / float(
        np.linalg.norm(numerical / largest) + np.linalg.norm(analytic / largest)
    )


def figure_of(squares: Sequence[float]) -> float:
    """Return the course's figure from sums of squares: of the difference, and of both gradients.

    NaN where they do not tell it: one is no number, or they have underflowed or overflowed.
    """
    if SAFE_SQUARE < squares[1] + squares[2] < 1 / SAFE_SQUARE:
        return math.sqrt(squares[0]) / (math.sqrt(squares[1]) + math.sqrt(squares[2]))
    return math.nan


@np.errstate(all="ignore")
def squares_of_each(
    numerical: FloatArray, analytic: FloatArray, theta: Theta
) -> list[tuple[float, ...]]:
    """Return the sums of squares that `figure_of` takes, for every parameter."""
    squares = np.subtract(numerical, analytic)
    sums = []
    for values in (squares, numerical, analytic):
        np.multiply(values, values, out=squares)  # theta may be large: one copy of it
        sums.append(np.add.reduceat(squares, theta.starts).tolist())
    return list(zip(*sums, strict=True))
