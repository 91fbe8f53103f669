"""Columns of a matrix that are differenced one by one: all of them, or some of each parameter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.numdiff.jacobian.columns import (
    all_columns,
    blocks_of,
    drawn_columns,
    random_weights,
    single_columns,
)
from pytest_gradcheck.numdiff.jacobian.evaluator import Direction, VectorEvaluator
from pytest_gradcheck.numdiff.jacobian.noise import OutputNoise, measure_outputs
from pytest_gradcheck.numdiff.jacobian.slopes import (
    Slopes,
    Target,
    approximate_slopes,
    classical_slopes,
)
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.theta import Numbers, Theta
from pytest_gradcheck.problem.jacobian.matrices import Matrix
from pytest_gradcheck.problem.jacobian.pair import JacobianPair
from pytest_gradcheck.problem.jacobian.projection import Projection
from pytest_gradcheck.settings import Settings
from pytest_gradcheck.verdict.jacobian.entries import Entries, Judged, Table, judge_entries, tabled

__all__ = ["Work", "full_columns", "sampled_table", "slopes_of"]

NOTHING = 1e-12
"""A weight below is what rounding leaves of a zero."""


@dataclass(frozen=True)
class Work:
    """What a check of a matrix works with.

    Attributes
    ----------
    calls : VectorEvaluator
        How the function is called.
    pair : JacobianPair
    matrix : Matrix
        The user's.
    settings : Settings
    seed : int
        Of what is drawn.
    """

    calls: VectorEvaluator
    pair: JacobianPair
    matrix: Matrix
    settings: Settings
    seed: int

    @property
    def theta(self) -> Theta:
        """Where the function and the matrix look."""
        return self.calls.theta

    @cached_property
    def projection(self) -> Projection | None:
        """What changes of the parameters are allowed; None where all are."""
        project = self.settings.project
        return None if project is None else Projection(project, self.theta)

    @property
    def known_noise(self) -> OutputNoise | None:
        """The noise, where the settings let it be measured."""
        return None if self.settings.eps is not None else self.noise

    @cached_property
    def noise(self) -> OutputNoise:
        """The noise of every output along one random direction.

        Raises
        ------
        ProblemError
            ``unreached-params`` where no output moves though the matrix is not zero.
        """
        weights = random_weights(self.theta, self.seed, "noise of outputs")
        weights = weights if self.projection is None else self.projection.of(weights)
        noise = measure_outputs(self.calls, weights, self.settings.noise)
        if not noise.moved.any() and self.matrix.along(weights).any():
            raise ProblemError(
                "unreached-params",
                "no output moves with the parameters, though the matrix is not zero: if the object "
                "owns its arrays, hand over those arrays and say inplace=True; else the function "
                "must use the parameters that it is given",
            )
        return noise


def slopes_of(work: Work, directions: list[Direction], target: Target) -> Slopes:
    """Return the slopes along directions, as the settings want them."""
    if work.settings.eps is not None:
        return classical_slopes(work.calls, directions, work.settings.eps)
    return approximate_slopes(work.calls, directions, work.noise, target)


def full_columns(work: Work) -> tuple[Entries, Judged]:
    """Compare every column of the parameters that are checked."""
    return judged_columns(work, all_columns(work.theta))


def sampled_table(work: Work) -> Table:
    """Compare some columns of every parameter."""
    numbers = drawn_columns(work.theta, work.settings.samples, work.seed)
    return tabled(*judged_columns(work, numbers))


def judged_columns(work: Work, numbers: Numbers) -> tuple[Entries, Judged]:
    """Compare columns, one direction for each."""
    if work.projection is not None:
        return _projected_columns(work, work.projection, numbers)
    analytic = work.matrix.columns(numbers)
    asked = _asked(work.pair, numbers)
    if asked is not None:
        analytic[~asked] = 0.0
    blocks = blocks_of(work.theta, numbers)
    target = Target(analytic, work.settings.suspect, blocks, asked)
    entries = Entries(numbers, target, slopes_of(work, single_columns(work.theta, numbers), target))
    return entries, judge_entries(entries, work.settings)


def _projected_columns(
    work: Work, projection: Projection, numbers: Numbers
) -> tuple[Entries, Judged]:
    """Compare the slopes along projected changes of single components.

    A component that is not allowed to change at all is left out.
    """
    theta, length = work.theta, lengths(work.theta)
    kept, directions, analytic = [], [], []
    unit = np.zeros(theta.base.size)
    for number in numbers.tolist():
        unit[number] = 1.0
        change = projection.of(unit)
        unit[number] = 0.0
        place = np.flatnonzero(np.abs(change) > NOTHING)
        if not place.size:
            continue
        weights = change[place]
        large = np.abs(weights) >= 0.1 * np.abs(weights).max()
        reach = float(np.min((length[place] / np.abs(weights))[large]))
        kept.append(number)
        directions.append(Direction(place, weights, reach))
        analytic.append(work.matrix.along(change))
    left = np.array(kept, np.intp)
    blocks = blocks_of(theta, left)
    target = Target(np.stack(analytic), work.settings.suspect, blocks)
    entries = Entries(left, target, slopes_of(work, directions, target))
    return entries, judge_entries(entries, work.settings)


def _asked(pair: JacobianPair, numbers: Numbers) -> npt.NDArray[np.bool_] | None:
    """Return which entries are compared, of shape (k, m); None where all are.

    Of a Hessian the rows of the checked parameters, and perhaps the lower triangle alone.
    """
    if not pair.is_symmetric or not (pair.is_lower or not pair.theta.is_selected.all()):
        return None
    rows = np.flatnonzero(pair.theta.is_selected)
    asked = np.zeros((numbers.size, pair.theta.base.size), np.bool_)
    asked[:, rows] = rows[None, :] >= numbers[:, None] if pair.is_lower else True
    return asked
