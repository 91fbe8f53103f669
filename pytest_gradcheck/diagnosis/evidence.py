"""The evidence of a diagnosis: two gradients and their comparison, by parameter."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.diagnosis.known_numbers import KnownNumbers
from pytest_gradcheck.errors import Guard, ProblemError
from pytest_gradcheck.numdiff.differences import Approximation
from pytest_gradcheck.numdiff.ladder import EPSILON, Kind
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.params.scales import finite_or_zero, rms
from pytest_gradcheck.params.theta import FloatArray, Parameter
from pytest_gradcheck.problem.pair import Pair
from pytest_gradcheck.verdict.comparison import Comparison
from pytest_gradcheck.verdict.judge import Judgement, Verdict

__all__ = ["Clues", "Evidence", "Mask", "ParameterEvidence", "gradient_at"]

CLEAR = 1e-3
"""The widest relative error bar of a component that counts as right."""

SOUND = 0.03
"""The widest error bar of a sound component, as a part of the least error of a wrong one: under a
rounded cost no component may count as right."""

APART = 0.3
"""The widest error bar of a component that counts as right, as the same part."""

CLASSICAL = 1e-6
"""The error bar assumed in the classical check, which has none, as a part of the root mean square
of a parameter."""

EXACT = 1e-9
"""The relative precision of a gradient that was computed in float64."""

COARSE = 1e-9
"""The relative noise of the cost from which on its gradient is assumed as coarse."""

SINGLE = 1e-5
"""The relative precision of a gradient that was, or seems, computed in float32."""

Mask = npt.NDArray[np.bool_]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class Clues:
    """Facts beside the two gradients.

    Attributes
    ----------
    numbers : callable
        Returns the numbers and dimensions in sight of the pair.
    unpenalized : Pair or None
        The same point with the penalty of the data switched off, if there is one.
    guard : Guard
        Notes errors of the diagnosis itself.
    """

    numbers: Callable[[], KnownNumbers] = KnownNumbers
    unpenalized: Pair | None = None
    guard: Guard = field(default_factory=Guard)


@dataclass(frozen=True)
class Evidence:
    """The comparison at a point: arrays over theta, and the pair itself for further calls."""

    comparison: Comparison
    pair: Pair
    point: str
    clues: Clues

    @property
    def approximation(self) -> Approximation:
        """The numerical gradient."""
        return self.comparison.approximation

    @property
    def gradient(self) -> FloatArray:
        """The analytic gradient, laid out like theta."""
        return self.comparison.gradient

    @property
    def judgement(self) -> Judgement:
        """The verdicts on the components."""
        return self.comparison.judgement

    @property
    def noise(self) -> Noise | None:
        """The noise of the cost; None in the classical check."""
        return self.comparison.noise

    @cached_property
    def numbers(self) -> KnownNumbers:
        """The numbers and dimensions in sight of the pair."""
        return self.clues.numbers()

    @property
    def is_layer(self) -> bool:
        """Whether the parameters are inputs of a layer, which have no penalty."""
        return "outputs" in self.pair.problem.details

    def alike(self, part: ParameterEvidence) -> list[ParameterEvidence]:
        """Return the parameters whose numerical gradient has the norm of this analytic one."""
        norm = float(np.linalg.norm(part.analytic))
        others, norms = self._by_size.get(part.size, ([], np.zeros(0)))
        return [others[i] for i in np.flatnonzero(np.abs(norms - norm) <= 1e-3 * norm)]

    @cached_property
    def _by_size(self) -> dict[int, tuple[list[ParameterEvidence], FloatArray]]:
        groups: dict[int, list[ParameterEvidence]] = {}
        for part in self.parts:
            if part.is_complete:
                groups.setdefault(part.size, []).append(part)
        return {
            size: (group, np.array([np.linalg.norm(part.numerical) for part in group]))
            for size, group in groups.items()
        }

    @cached_property
    def parts(self) -> tuple[ParameterEvidence, ...]:
        """The evidence on each parameter that was checked."""
        return tuple(self._part(parameter) for parameter in self.pair.theta.selected)

    @cached_property
    def wrong_parts(self) -> tuple[ParameterEvidence, ...]:
        """The evidence on each parameter that has a wrong component."""
        return tuple(part for part in self.parts if part.n_wrong)

    @cached_property
    def precision(self) -> float:
        """The relative precision of the analytic gradient.

        Float32 where its numbers say so or the cost's noise does; else what its right components
        show. A hypothesis has to come true within it.
        """
        noise = EPSILON if self.noise is None else self.noise.relative
        finite = self.gradient[np.isfinite(self.gradient)]
        with np.errstate(all="ignore"):
            single = bool(np.all(finite.astype(np.float32) == finite)) and finite.size > 3
        if noise > COARSE or (single and not np.all(finite == np.round(finite))):
            return SINGLE
        if self.noise is None:
            return CLASSICAL
        least = max(EXACT, 30 * noise)
        numerical, bars = self.approximation.values, self.approximation.error_bars
        right = self._known & (self.judgement.verdicts == Verdict.OK)
        off = np.abs(numerical - self.gradient)[right] - bars[right]
        size = (np.abs(numerical) + np.abs(self.gradient))[right]
        beyond = off / np.where(size > 0, size, 1.0)
        return float(min(max(least, 4 * beyond.max(initial=0.0)), SINGLE))

    @cached_property
    def _known(self) -> Mask:
        """Where both gradients are numbers, the approximation with an error bar."""
        it = self.approximation
        known = it.checked & ~it.of_kind(Kind.KINK) & ~it.of_kind(Kind.NONFINITE)
        known &= np.isfinite(it.values) & np.isfinite(self.gradient) & np.isfinite(it.error_bars)
        return known

    @cached_property
    def _wrong(self) -> Mask:
        verdicts = self.judgement.verdicts
        wrong: Mask = self.approximation.checked & (
            (verdicts == Verdict.BUG) | (verdicts == Verdict.SUSPECT)
        )
        return wrong

    @cached_property
    def _right(self) -> Mask:
        """Where a component is right, though not by being 0 or by a wide error bar."""
        size = np.abs(self.gradient) + np.abs(self.approximation.values)
        narrow = self.approximation.error_bars < CLEAR * size
        right: Mask = self._known & (self.judgement.verdicts == Verdict.OK) & narrow
        return right

    def _part(self, parameter: Parameter) -> ParameterEvidence:
        place = parameter.slice
        numerical, bars = self.approximation.values[place], self.approximation.error_bars[place]
        if self.noise is None:
            bars = np.maximum(bars, CLASSICAL * rms(finite_or_zero(numerical)))
        evaluated, wrong = self.approximation.checked[place], self._wrong[place]
        gradient, right = self.gradient[place], self._right[place]
        if wrong.any():
            size = np.abs(gradient) + np.abs(numerical)
            least = _least(np.abs(gradient - numerical), size, wrong)
            right = right & (bars <= APART * least * size)
        seen = self.approximation.seen.get(parameter.name)
        sparse = seen is not None and abs(seen.residual) <= seen.error_bar and not seen.wide
        if sparse:
            right = right | ~evaluated
        return ParameterEvidence(
            parameter=parameter,
            theta=self.pair.theta.base[place],
            analytic=gradient,
            numerical=numerical,
            bars=bars,
            known=self._known[place],
            wrong=wrong,
            right=right,
            precision=self.precision,
            sparse=sparse,
            open=seen is not None and not sparse,
            where=None if seen is None else seen.where,
        )


@dataclass(frozen=True)
class ParameterEvidence:
    """The evidence on one parameter: flat arrays of its size.

    Attributes
    ----------
    parameter : Parameter
    theta, analytic, numerical, bars : float64 arrays
        `numerical` is NaN where a component was not differenced.
    known : bool array
        Where both gradients are numbers, the approximation with an error bar.
    wrong : bool array
        Where the verdict is suspect or bug.
    right : bool array
        Where the verdict is ok, except by both being 0 or by a wide error bar.
    precision : float
        Of the analytic gradient, relative.
    sparse : bool
        Whether all wrong components are known: the residual of a random direction over the others
        is 0.
    open : bool
        Whether further components are wrong: that residual is not 0.
    where : str or None
        The slice that holds all errors, by random directions.
    """

    parameter: Parameter
    theta: FloatArray
    analytic: FloatArray
    numerical: FloatArray
    bars: FloatArray
    known: Mask
    wrong: Mask
    right: Mask
    precision: float = EXACT
    sparse: bool = False
    open: bool = False
    where: str | None = None

    @property
    def name(self) -> str:
        """The parameter's name."""
        return self.parameter.name

    @property
    def shape(self) -> tuple[int, ...]:
        """The parameter's shape."""
        return self.parameter.shape

    @property
    def size(self) -> int:
        """The number of components."""
        return self.analytic.size

    @cached_property
    def n_wrong(self) -> int:
        """The number of wrong components."""
        return int(np.count_nonzero(self.wrong))

    @cached_property
    def n_right(self) -> int:
        """The number of components that are right beyond doubt."""
        return int(np.count_nonzero(self.right))

    @cached_property
    def sound(self) -> Mask:
        """Where an error as large as the least one seen would show, and none does."""
        size = np.abs(self.analytic) + np.abs(self.numerical)
        with np.errstate(all="ignore"):
            least = _least(np.abs(self.analytic - self.numerical), size, self.wrong)
            sound: Mask = self.known & ~self.wrong & (self.bars <= SOUND * least * size)
        return self.right | (sound & (size > 0))

    @cached_property
    def is_complete(self) -> bool:
        """Whether every component is known."""
        return bool(self.known.all())

    @cached_property
    def is_legible(self) -> bool:
        """Whether a pattern can be tried: there are wrong components, and all of them are known."""
        return bool(self.n_wrong) and not np.any(self.wrong & ~self.known)

    @cached_property
    def scale(self) -> float:
        """The largest magnitude of either gradient."""
        both = np.maximum(np.abs(self.analytic), np.abs(self.numerical))[self.known]
        return float(both.max(initial=0.0))

    def grid(self, values: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """Return flat values in the shape of the parameter."""
        return values.reshape(self.shape)


def _least(off: FloatArray, size: FloatArray, wrong: Mask) -> float:
    """Return the least relative error of wrong components; infinity if there are none."""
    with np.errstate(all="ignore"):
        return float(np.nanmin(off[wrong] / size[wrong], initial=np.inf))


def gradient_at(pair: Pair, theta: FloatArray) -> FloatArray | None:
    """Return the analytic gradient at another theta, or None outside of its domain."""
    with pair.theta.at(theta), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # our own choice of theta
        try:
            gradient = pair.gradient_after_cost()
        except ProblemError:
            return None  # outside of the gradient's domain
    return gradient if np.all(np.isfinite(gradient)) else None
