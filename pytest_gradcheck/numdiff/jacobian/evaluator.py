"""The outputs of a function along directions through theta."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from pytest_gradcheck.params.theta import FloatArray, Selection, Theta
from pytest_gradcheck.progress import Progress

__all__ = ["Direction", "Sides", "VectorEvaluator"]


EVEN = 1e-9
"""Sides of a step whose lengths differ by no more than this part are taken for equal."""


class Direction(NamedTuple):
    """A vector through theta: one component, or many that move together.

    Attributes
    ----------
    place : slice or array of int
        The components in which the vector is not zero.
    weights : array
        What it is there.
    reach : float
        The largest distance along it that makes sense, in lengths of the vector as it is given.
    """

    place: Selection
    weights: FloatArray
    reach: float


class Sides(NamedTuple):
    """The outputs on both sides of theta, and the distances that were really moved."""

    up: FloatArray
    down: FloatArray
    ahead: float
    behind: float

    @property
    def slopes(self) -> FloatArray:
        """The central differences of all outputs."""
        slopes: FloatArray = (self.up - self.down) / (self.ahead + self.behind)
        return slopes

    def gaps(self, outputs0: FloatArray) -> FloatArray:
        """Return by how much the slope of each output ahead exceeds that behind."""
        if abs(self.ahead - self.behind) <= EVEN * self.ahead:
            bend = self.up + self.down
            bend -= 2 * outputs0
            bend /= self.ahead
            return bend
        gaps: FloatArray = (self.up - outputs0) / self.ahead - (outputs0 - self.down) / self.behind
        return gaps

    def largest(self) -> FloatArray:
        """Return the larger magnitude of each output on either side."""
        return np.maximum(np.abs(self.up), np.abs(self.down))


class VectorEvaluator:
    """Calls a function of many outputs in this process, one theta after the other.

    Parameters
    ----------
    outputs : callable
        Returns all outputs at the present theta, NaN throughout where theta has left the domain.
    theta : Theta
    outputs0 : array of shape (m,)
        The outputs at theta as it stands.
    progress : Progress, optional
    """

    def __init__(
        self,
        outputs: Callable[[], FloatArray],
        theta: Theta,
        outputs0: FloatArray,
        progress: Progress | None = None,
    ) -> None:
        self._outputs = outputs
        self.theta, self.outputs0 = theta, outputs0
        self.progress = progress or Progress()
        self._vector: FloatArray | None = None
        self._along: dict[float, FloatArray] = {}

    def at(self, direction: Direction, distance: float) -> tuple[float, FloatArray]:
        """Return the distance that was really moved, after rounding, and the outputs there."""
        place, weights, _ = direction
        theta, moved = self.theta, distance
        if theta.inplace:
            if weights.size == 1:
                start = theta.base[place]
                there = theta.stored(start + distance * weights, place)
                moved = float(there[0] - start[0]) / float(weights[0])
            with theta.moved(place, weights, distance):
                return moved, self._outputs()
        try:  # the same for a vector of our own, without the price of context managers
            if weights.size == 1:
                moved = theta.storage.shift(place, weights, distance)
            else:
                theta.move(place, weights, distance)
            return moved, self._outputs()
        finally:
            theta.storage.move_back(place)

    def sides(self, direction: Direction, step: float) -> Sides:
        """Return the outputs a step ahead and a step behind."""
        ahead, up = self.at(direction, step)
        behind, down = self.at(direction, -step)
        return Sides(up, down, ahead, -behind)

    def along(self, weights: FloatArray, distances: Sequence[float]) -> FloatArray:
        """Return the outputs at distances along a vector over all of theta, a row for each."""
        everywhere = slice(0, weights.size)
        kept = self._kept(weights)
        for distance in distances:
            if distance not in kept:
                with self.theta.moved(everywhere, weights, distance):
                    kept[distance] = self._outputs()
        return np.stack([kept[distance] for distance in distances])

    def _kept(self, weights: FloatArray) -> dict[float, FloatArray]:
        """Return the outputs that are known along a vector, by distance."""
        if self._vector is not weights:
            self._vector, self._along = weights, {}
        return self._along
