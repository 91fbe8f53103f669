"""Components that a difference leaves open, and those that a closer look settles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.evaluators import Differences
from pytest_gradcheck.numdiff.ladder import Sides
from pytest_gradcheck.params.theta import FloatArray, Indices, Theta

__all__ = ["Settled", "Undecided", "storage_unit"]


class Settled(NamedTuple):
    """Components with their final approximations and error bars."""

    numbers: Indices
    values: FloatArray
    error_bars: FloatArray

    def with_more(self, other: Settled) -> Settled:
        """Return these and others."""
        return Settled(
            np.concatenate([self.numbers, other.numbers]),
            np.concatenate([self.values, other.values]),
            np.concatenate([self.error_bars, other.error_bars]),
        )


@dataclass(frozen=True)
class Undecided:
    """Components that their last difference leaves open: arrays of one length.

    Attributes
    ----------
    numbers : int array
        The components, in ascending order.
    lengths : array
        Over which the cost is expected to change with each.
    analytic : array
        The analytic gradient.
    tolerances : array
        Error bars beyond these would leave the comparison open.
    differences : Differences
        The costs on both sides of each.
    roundings : array
        The error bars that noise alone leaves the differences with.
    cost0 : float
        The cost at theta.
    suspect : float
        The relative error at which a disagreement begins.
    """

    numbers: Indices
    lengths: FloatArray
    analytic: FloatArray
    tolerances: FloatArray
    differences: Differences
    roundings: FloatArray
    cost0: float
    suspect: float

    @cached_property
    def steps(self) -> FloatArray:
        """The steps as stored."""
        return np.asarray(0.5 * self.differences.widths)

    @cached_property
    def values(self) -> FloatArray:
        """The central differences."""
        return self.differences.slopes

    @cached_property
    def gaps(self) -> FloatArray:
        """The slopes ahead less the slopes behind: of a smooth cost they shrink with the step."""
        ahead, behind, _ = self.differences
        return np.asarray(((ahead - self.cost0) - (self.cost0 - behind)) / self.steps)

    @cached_property
    def residuals(self) -> FloatArray:
        """How far the differences lie from the analytic gradient."""
        return np.asarray(np.abs(self.values - self.analytic))

    @cached_property
    def sizes(self) -> FloatArray:
        """``|D| + |g|``, which relative errors refer to."""
        return np.asarray(np.abs(self.values) + np.abs(self.analytic))

    @cached_property
    def slack(self) -> FloatArray:
        """What a residual may be without any suspicion."""
        return self.suspect * self.sizes

    def of(self, which: npt.NDArray[Any]) -> Undecided:
        """Return some of the components, by a mask or by their positions."""
        return Undecided(
            self.numbers[which],
            self.lengths[which],
            self.analytic[which],
            self.tolerances[which],
            Differences(*(part[which] for part in self.differences)),
            self.roundings[which],
            self.cost0,
            self.suspect,
        )

    def after(self, differences: Differences, roundings: FloatArray) -> Undecided:
        """Return the same components after other differences."""
        return replace(self, differences=differences, roundings=roundings)

    def sides(self, number: int) -> Sides | None:
        """Return the costs on both sides of one component, or None where it is not among these."""
        k = int(np.searchsorted(self.numbers, number))
        if k == self.numbers.size or self.numbers[k] != number:
            return None
        ahead, behind, _ = self.differences
        return Sides(float(self.steps[k]), float(ahead[k]), float(behind[k]))


def storage_unit(theta: Theta) -> float:
    """Return the relative rounding unit of the coarsest array that the functions see."""
    return float(2.0 ** (1 - min(parameter.digits for parameter in theta.selected)))
