"""Which vectors a Jacobian is differenced along: its columns, groups of them, or random ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pytest_gradcheck.numdiff.jacobian.evaluator import Direction
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import FloatArray, Indices, Theta

__all__ = [
    "all_columns",
    "blocks_of",
    "coloured",
    "drawn_columns",
    "grouped",
    "random_weights",
    "single_columns",
]

RANDOM_REACH = 1.0
"""The reach of a vector whose weights are lengths."""


def all_columns(theta: Theta) -> Indices:
    """Return the components of all parameters that are checked."""
    return np.concatenate([np.arange(p.start, p.stop) for p in theta.selected])


def drawn_columns(theta: Theta, count: int, seed: int) -> Indices:
    """Return so many components of every parameter, its ends among them."""
    rng = stream("columns", seed)
    drawn = []
    for parameter in theta.selected:
        some = rng.choice(parameter.size, min(count, parameter.size), replace=False)
        ends = [0, parameter.size - 1][: min(count, 2)]
        kept = np.union1d(ends, some[: max(count - len(ends), 0)])
        drawn.append(parameter.start + (some if parameter.size <= count else kept))
    return np.sort(np.concatenate(drawn))


def blocks_of(theta: Theta, numbers: Indices) -> tuple[int, ...]:
    """Return where the components of each parameter begin among some, in ascending order."""
    owners = theta.owners(numbers)
    return tuple(np.flatnonzero(np.diff(owners, prepend=-1)).tolist())


def single_columns(theta: Theta, numbers: Indices) -> list[Direction]:
    """Return one direction for each component."""
    unit, length = np.ones(1), lengths(theta)
    return [
        Direction(slice(number, number + 1), unit, float(length[number]))
        for number in numbers.tolist()
    ]


def random_weights(theta: Theta, seed: int, purpose: str) -> FloatArray:
    """Return a random vector over the checked components, in lengths.

    No component is lost by chance, as it may be under normal weights, and faults of one size do not
    cancel, as they may under plain signs.
    """
    rng = stream(purpose, seed)
    weights = rng.uniform(-1.0, 1.0, theta.base.size)
    weights += np.copysign(0.5, weights)
    weights *= lengths(theta)
    weights[~theta.is_selected] = 0.0
    return weights


def grouped(groups: Sequence[Indices], weights: FloatArray) -> list[Direction]:
    """Return one direction for each group of components."""
    return [Direction(group, weights[group], RANDOM_REACH) for group in groups]


def coloured(starts: Indices, rows: Indices, numbers: Indices) -> list[Indices]:
    """Return groups of columns no two of which have a row in common.

    They change different outputs, so that one pair of calls differences all of a group (A. R.
    Curtis, M. J. D. Powell and J. K. Reid, On the Estimation of Sparse Jacobian Matrices, IMA J.
    Appl. Math. 13 (1974) 117-119). Each column takes the first colour that no column before it has
    in any of its rows.

    Parameters
    ----------
    starts, rows : int arrays
        The structure in the compressed sparse column format.
    numbers : int array
        The columns to be grouped, in ascending order.

    Returns
    -------
    list of int arrays
        The columns of each group, in ascending order.

    Examples
    --------
    >>> diagonal = np.arange(4), np.arange(3)
    >>> coloured(*diagonal, np.arange(3))
    [array([0, 1, 2])]
    """
    taken: dict[int, int] = {}
    groups: list[list[int]] = []
    listed, ends = rows.tolist(), starts.tolist()
    for number in numbers.tolist():
        mine = listed[ends[number] : ends[number + 1]]
        colours = 0
        for row in mine:
            colours |= taken.get(row, 0)
        free = ~colours & (colours + 1)  # the lowest bit that is not set
        for row in mine:
            taken[row] = taken.get(row, 0) | free
        place = free.bit_length() - 1
        if place == len(groups):
            groups.append([])
        groups[place].append(number)
    return [np.array(group, np.intp) for group in groups]
