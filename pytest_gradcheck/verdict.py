"""Verdicts: thresholds applied to the difference between two gradients, beyond its error bar."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.differences import Approximation, tolerated
from pytest_gradcheck.directions import Seen
from pytest_gradcheck.report import VERDICTS
from pytest_gradcheck.scales import SAFE_SQUARE, finite_or_zero
from pytest_gradcheck.settings import Settings
from pytest_gradcheck.theta import FloatArray, Theta

__all__ = ["Judgement", "judge", "judged", "relative_error"]

OK, INCONCLUSIVE, KINK, SUSPECT, BUG, NONFINITE = range(len(VERDICTS))


@dataclass(frozen=True)
class Judgement:
    """The comparison of two gradients: arrays over theta.

    Attributes
    ----------
    verdicts : int8 array
        Index into `VERDICTS`.
    errors : float64 array
        ``max(0, |D - g| - u) / (|D| + |g|)``; 0 where both are 0.
    resolutions : float64 array
        The smallest relative error of the component that would have been reported.
    """

    verdicts: npt.NDArray[np.int8]
    errors: FloatArray
    resolutions: FloatArray


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
    values, bars = approximation.values, approximation.error_bars
    with np.errstate(all="ignore"):
        size = np.abs(values) + np.abs(gradient)
        beyond = np.maximum(0.0, np.abs(values - gradient) - bars)
        errors = np.where(size > 0, beyond / size, 0.0)
        wide = tolerated(approximation, gradient, theta.selected)
        undecided = ~(bars <= wide) | ~np.isfinite(values) | approximation.of_kind("jump")
        verdicts = np.full(values.shape, OK, np.int8)
        verdicts[approximation.of_kind("kink")] = KINK
        verdicts[undecided] = INCONCLUSIVE
        verdicts[errors > settings.suspect] = SUSPECT
        verdicts[errors > settings.bug] = BUG
        lost = approximation.of_kind("nonfinite") | ~np.isfinite(gradient)
        verdicts[lost] = NONFINITE
        errors[lost] = math.inf
        errors[np.isnan(errors)] = 0.0  # undecided: nothing is known of the error
    resolutions = np.maximum(settings.suspect, _resolvable(approximation, size, theta))
    return Judgement(verdicts, errors, resolutions)


def judged(seen: Seen, settings: Settings) -> int:
    """Return the verdict on what random directions saw of a parameter, an index into `VERDICTS`.

    What was found wrong has verdicts of its own; this is of what is left.
    """
    if seen.kind == "nonfinite":
        return NONFINITE
    if seen.relative_error > settings.bug:
        return BUG
    if seen.relative_error > settings.suspect:
        return SUSPECT
    if seen.kind == "kink":
        return KINK
    return INCONCLUSIVE if seen.wide or seen.kind == "jump" else OK


def _resolvable(approximation: Approximation, size: FloatArray, theta: Theta) -> FloatArray:
    """Return the relative error of each component that its error bar cannot hide.

    Two bars: one by which the approximation may be off, and one that the verdict forgives. Where
    both values are 0 there is nothing that an error could be relative to.
    """
    result = np.zeros(size.shape)
    for parameter in theta.selected:
        part = parameter.slice
        scale = finite_or_zero(size[part])
        known = (scale > 0) & approximation.checked[part]
        result[part][known] = 2 * approximation.error_bars[part][known] / scale[known]
    return result


def relative_error(numerical: FloatArray, analytic: FloatArray) -> float:
    """Return the course's figure, ``||approx - grad|| / (||approx|| + ||grad||)``.

    Examples
    --------
    >>> relative_error(np.array([1.0, 0.0]), np.array([3.0, 0.0]))
    0.5
    """
    with np.errstate(all="ignore"):
        apart = numerical - analytic
        squares = [float(vector @ vector) for vector in (apart, numerical, analytic)]
    if SAFE_SQUARE < squares[1] + squares[2] < 1 / SAFE_SQUARE:
        return math.sqrt(squares[0]) / (math.sqrt(squares[1]) + math.sqrt(squares[2]))
    largest = max(float(np.max(np.abs(numerical))), float(np.max(np.abs(analytic))))
    if not largest:
        return 0.0
    if not math.isfinite(largest):
        return math.inf
    difference = float(np.linalg.norm(apart / largest))
    return difference / float(
        np.linalg.norm(numerical / largest) + np.linalg.norm(analytic / largest)
    )
