"""Columns of a known sparse structure that can be moved together.

Columns without a common row change different outputs, so that one pair of calls differences all of
them (A. R. Curtis, M. J. D. Powell and J. K. Reid, On the Estimation of Sparse Jacobian Matrices,
IMA J. Appl. Math. 13 (1974) 117-119).
"""

from __future__ import annotations

import numpy as np

from pytest_gradcheck.params.theta import Indices

__all__ = ["coloured"]


def coloured(starts: Indices, rows: Indices, numbers: Indices) -> list[Indices]:
    """Return groups of columns no two of which have a row in common.

    Each column takes the first colour that no column before it has in any of its rows.

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
