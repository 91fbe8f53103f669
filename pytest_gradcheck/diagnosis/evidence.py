"""What a diagnosis looks at, and when it takes a cause for an explanation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.diagnosis.known_numbers import Sizes
from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.numdiff.differences import Approximation
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.params.scales import finite_or_zero, rms
from pytest_gradcheck.params.theta import FloatArray, Parameter
from pytest_gradcheck.problem.pair import Pair
from pytest_gradcheck.verdict.judge import BUG, OK, SUSPECT, Judgement

__all__ = [
    "FIT",
    "Cause",
    "Clues",
    "Evidence",
    "Mask",
    "Part",
    "explained",
    "gradient_at",
]

FIT = 1e-4
"""A cause explains a component when it is off by no more than this part of it."""

REST = 0.01
"""And all of them, when no more than this part of their error is left."""

CLEAR = 1e-3
"""How wide the error bar of a component may be that counts as right."""

CLASSICAL = 1e-6
"""What stands for the error bars of the classical check, which has none: a part of the root mean
square of a parameter."""

Mask = npt.NDArray[np.bool_]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class Clues:
    """What is known beside the two gradients.

    Attributes
    ----------
    sizes : callable
        Returns the numbers and dimensions that a factor may be.
    unpenalized : Pair or None
        The same point with the penalty of the data switched off, where it can be.
    """

    sizes: Callable[[], Sizes] = Sizes
    unpenalized: Pair | None = None


@dataclass(frozen=True)
class Evidence:
    """The comparison at a point: arrays over theta, and the pair itself to ask again."""

    approximation: Approximation
    gradient: FloatArray
    judgement: Judgement
    pair: Pair
    noise: Noise | None
    point: str
    clues: Clues

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The evidence on each parameter that was checked."""
        return tuple(self._part(parameter) for parameter in self.pair.theta.selected)

    def _part(self, parameter: Parameter) -> Part:
        part = parameter.slice
        numerical, analytic = self.approximation.values[part], self.gradient[part]
        bars = self.approximation.error_bars[part]
        known = self.approximation.checked[part] & self.approximation.of_kind("smooth")[part]
        known &= np.isfinite(numerical) & np.isfinite(analytic) & np.isfinite(bars)
        if self.noise is None:
            bars = np.maximum(bars, CLASSICAL * rms(finite_or_zero(numerical)))
        verdicts = self.judgement.verdicts[part]
        size = np.abs(analytic) + np.abs(numerical)
        evaluated = self.approximation.checked[part]
        right = known & (verdicts == OK) & (bars < CLEAR * size)
        seen = self.approximation.seen.get(parameter.name)
        sparse = seen is not None and abs(seen.residual) <= seen.error_bar and not seen.wide
        if sparse:
            right = right | ~evaluated
        return Part(
            parameter=parameter,
            theta=self.pair.theta.base[part],
            analytic=analytic,
            numerical=numerical,
            bars=bars,
            known=known,
            wrong=evaluated & ((verdicts == BUG) | (verdicts == SUSPECT)),
            right=right,
            checked=parameter.size if sparse else int(np.count_nonzero(evaluated)),
            sparse=sparse,
            open=seen is not None and not sparse,
            where=None if seen is None else seen.where,
        )


@dataclass(frozen=True)
class Part:
    """One parameter's share of the evidence: flat arrays of its size.

    Attributes
    ----------
    parameter : Parameter
    theta, analytic, numerical, bars : float64 arrays
        NaN in `numerical` where a component was not looked at.
    known : bool array
        Where both gradients are numbers, the approximation with an error bar.
    wrong : bool array
        Where the verdict is suspect or bug.
    right : bool array
        Where it is ok, and not because both are 0 or the error bar is wide, which says nothing.
    checked : int
        How many components were looked at.
    sparse : bool
        Whether all that is wrong is known: a random direction over the others is silent.
    open : bool
        Whether more is wrong than is known: a random direction over the others is not silent.
    where : str or None
        The slice that all of it lies in, as random directions say.
    """

    parameter: Parameter
    theta: FloatArray
    analytic: FloatArray
    numerical: FloatArray
    bars: FloatArray
    known: Mask
    wrong: Mask
    right: Mask
    checked: int
    sparse: bool
    open: bool
    where: str | None

    @property
    def name(self) -> str:
        """The parameter's name."""
        return self.parameter.name

    @property
    def shape(self) -> tuple[int, ...]:
        """The parameter's shape."""
        return self.parameter.shape

    @property
    def whole(self) -> bool:
        """Whether every component is known."""
        return bool(self.known.all())

    @property
    def fits(self) -> bool:
        """Whether a pattern can be looked for: something is wrong, and all of that is known."""
        return bool(self.wrong.any()) and not np.any(self.wrong & ~self.known)

    def grid(self, values: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """Return flat values in the shape of the parameter."""
        return values.reshape(self.shape)


@dataclass(frozen=True)
class Cause:
    """What explains one parameter.

    Attributes
    ----------
    code : str
    seen : str
        What was seen; ``{wrong}`` and ``{size}`` stand for numbers of components.
    why : str
        What usually does that.
    factor : float or None
    wrong, size : int
    sure : bool
        Otherwise another parameter has to have the same cause: one number is a multiple of any.
    """

    code: str
    seen: str
    why: str
    factor: float | None
    wrong: int
    size: int
    sure: bool = True

    def like(self, other: Cause) -> bool:
        """Return whether two parameters have one cause in common."""
        if self.code != other.code:
            return False
        if self.code == "partial" or self.factor is None or other.factor is None:
            return (self.seen, self.why) == (other.seen, other.why)
        return abs(self.factor - other.factor) <= 2 * FIT * abs(self.factor)


def explained(
    part: Part, prediction: FloatArray, bars: FloatArray | None = None, where: Mask | None = None
) -> bool:
    """Return whether a prediction of the analytic gradient comes true where it is known.

    Parameters
    ----------
    part : Part
    prediction : array
    bars : array, optional
        Its error bars; default: those of the parameter.
    where : bool array, optional
        Components to compare; default: all that are known.
    """
    mine = part.known if where is None else where
    analytic, predicted = part.analytic[mine], prediction[mine]
    bars = (part.bars if bars is None else bars)[mine]
    off = np.abs(analytic - predicted)
    if not np.all(off <= bars + FIT * np.maximum(np.abs(analytic), np.abs(predicted))):
        return False
    error = np.abs(analytic - part.numerical[mine])
    return rms(off) <= rms(bars) + REST * rms(error)


def gradient_at(pair: Pair, theta: FloatArray) -> FloatArray | None:
    """Return the analytic gradient at another theta, or None where there is none to be had."""
    with pair.theta.at(theta), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is our doing that theta stands there
        try:
            gradient = pair.gradient()
        except ProblemError:
            return None  # outside of the gradient's domain, which says nothing of the fault
    return gradient if np.all(np.isfinite(gradient)) else None
