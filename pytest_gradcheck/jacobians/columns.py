"""Columns of a matrix, differenced one by one: all of them, or samples of each parameter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.jacobians.kinks import corrected_at_kinks
from pytest_gradcheck.jacobians.work import Work
from pytest_gradcheck.numdiff.jacobian.columns import (
    all_columns,
    blocks_of,
    drawn_columns,
    single_columns,
)
from pytest_gradcheck.numdiff.jacobian.evaluator import Direction
from pytest_gradcheck.numdiff.jacobian.slopes import (
    Slopes,
    Target,
    approximate_slopes,
    classical_slopes,
)
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.theta import Indices
from pytest_gradcheck.problem.jacobian.pair import JacobianPair
from pytest_gradcheck.problem.jacobian.projection import Projection
from pytest_gradcheck.verdict.jacobian.entries import Entries, Judged, Table, judge_entries, tabled

__all__ = ["full_columns", "sampled_table", "slopes_of"]

NOTHING = 1e-12
"""A weight below this is a rounded zero."""


def slopes_of(work: Work, directions: list[Direction], target: Target) -> Slopes:
    """Return the slopes along directions by the method that the settings choose."""
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


def judged_columns(work: Work, numbers: Indices) -> tuple[Entries, Judged]:
    """Compare columns, one direction for each."""
    if work.projection is not None:
        return _projected_columns(work, work.projection, numbers)
    analytic = work.matrix.columns(numbers)
    asked = _asked(work.pair, numbers)
    if asked is not None:
        analytic = np.where(asked, analytic, 0.0)
    blocks = blocks_of(work.theta, numbers)
    target = Target(analytic, work.settings.suspect, blocks, asked)
    entries = Entries(numbers, target, slopes_of(work, single_columns(work.theta, numbers), target))
    judged = judge_entries(entries, work.settings)
    return (entries, judged) if work.settings.eps else corrected_at_kinks(work, entries, judged)


def _projected_columns(
    work: Work, projection: Projection, numbers: Indices
) -> tuple[Entries, Judged]:
    """Compare the slopes along projected changes of single components.

    A component that cannot change at all is left out.
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


def _asked(pair: JacobianPair, numbers: Indices) -> npt.NDArray[np.bool_] | None:
    """Return a mask of the compared entries, of shape (k, m); None for all.

    Of a Hessian these are the rows of the checked parameters, perhaps in the lower triangle alone.
    """
    if not pair.is_symmetric or not (pair.is_lower or not pair.theta.is_selected.all()):
        return None
    rows = np.flatnonzero(pair.theta.is_selected)
    asked = np.zeros((numbers.size, pair.theta.base.size), np.bool_)
    asked[:, rows] = rows[None, :] >= numbers[:, None] if pair.is_lower else True
    return asked
