"""Matrices that are not written out: ``scipy.sparse``, and objects with ``matvec``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pytest_gradcheck.errors import ProblemError, summary, wishes
from pytest_gradcheck.params.frameworks import numbers_of
from pytest_gradcheck.params.theta import FloatArray, Indices
from pytest_gradcheck.problem.jacobian.matrices import (
    Expected,
    Matrix,
    OperatorMatrix,
    SparseMatrix,
    misshapen,
    selected_blocks,
)

__all__ = ["operator_matrix", "sparse_matrix"]


def sparse_matrix(answer: Any, expected: Expected) -> Matrix:
    """Read a ``scipy.sparse`` matrix: entries that it does not store are 0."""
    shape = tuple(int(size) for size in answer.shape)
    chosen, (m, n) = expected.selected, expected.shape
    rows = None if shape == (m, expected.wide) else expected.chosen_rows(shape)
    if shape != (m, expected.wide) and rows is None:
        raise ProblemError("shape-mismatch", misshapen(shape, expected))
    matrix = answer.tocsc(copy=True)
    if np.dtype(matrix.dtype).kind not in "fiubc":
        raise ProblemError(
            "nonnumeric-gradient",
            f"{expected.label} holds {matrix.dtype}, where numbers are due",
        )
    matrix.sum_duplicates()
    counts = np.diff(matrix.indptr).astype(np.intp)
    places, data = np.asarray(matrix.indices, np.intp), np.asarray(matrix.data)
    if expected.wide != n or data.dtype.kind == "c":
        counts, places, data = _as_components(counts, places, data, expected)
    every = np.zeros(n, np.intp)
    every[slice(0, n) if rows is None else chosen] = counts
    return SparseMatrix(
        np.concatenate([np.zeros(1, np.intp), np.cumsum(every)]),
        places if rows is None else rows[places],
        np.asarray(data, np.float64),
        (m, n),
        expected.blocks(shape) if rows is None else selected_blocks(expected, rows, chosen),
    )


Stored = tuple[Indices, Indices, Any]
"""How many entries each column has, their rows, and their values."""


def _as_components(counts: Indices, rows: Indices, data: Any, expected: Expected) -> Stored:
    """Return columns of complex numbers as those of their real and imaginary parts."""
    parts = list(_of_parameters(counts, rows, data, expected))
    found = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return found[0], found[1], found[2]


def _of_parameters(
    counts: Indices, rows: Indices, data: Any, expected: Expected
) -> Iterator[Stored]:
    ends, before = np.concatenate([[0], np.cumsum(counts)]), 0
    for p in expected.theta.parameters:
        mine = slice(before, before + p.leaf_size)
        entries = slice(ends[mine.start], ends[mine.stop])
        before = mine.stop
        if not p.is_complex:
            expected.refuse_imaginary(data[entries], p)
            yield counts[mine], rows[entries], data[entries].real
            continue
        columns = np.repeat(np.arange(p.leaf_size), counts[mine])
        order = np.argsort(np.concatenate([2 * columns, 2 * columns + 1]), kind="stable")
        both = np.concatenate([data[entries].real, data[entries].imag])
        yield np.repeat(counts[mine], 2), np.tile(rows[entries], 2)[order], both[order]


def operator_matrix(answer: Any, expected: Expected) -> Matrix:
    """Read an object with ``matvec``, and perhaps ``rmatvec``, as a matrix."""
    m, n = expected.shape
    if expected.wide != n:
        raise ProblemError(
            "nonnumeric-gradient",
            f"{expected.label} returned a {type(answer).__name__}, where parameters are complex: "
            "return an array or a scipy.sparse matrix of dJ/dRe + i dJ/dIm",
        )
    shape = tuple(int(size) for size in getattr(answer, "shape", (m, n)))
    if shape != (m, n):
        raise ProblemError("shape-mismatch", misshapen(shape, expected))

    def matvec(vector: FloatArray) -> FloatArray:
        return _product(answer, "matvec", vector, (expected.label, m))

    def rmatvec(vector: FloatArray) -> FloatArray:
        return _product(answer, "rmatvec", vector, (expected.label, n))

    both = callable(getattr(answer, "rmatvec", None))
    return OperatorMatrix(matvec, rmatvec if both else None, (m, n), expected.blocks((m, n)))


def _product(answer: Any, name: str, vector: FloatArray, due: tuple[str, int]) -> FloatArray:
    """Return the product of an operator with a vector.

    Raises
    ------
    ProblemError
        ``gradient-raised``, ``shape-mismatch`` or ``nonnumeric-gradient``.
    NotImplementedError
        From a SciPy operator without ``rmatvec``.
    """
    label, size = due
    try:
        returned = getattr(answer, name)(vector)
    except wishes():
        raise
    except NotImplementedError:
        if name == "rmatvec":
            raise
        raise ProblemError("gradient-raised", f"{label} has a matvec that is none") from None
    except Exception as error:
        said = f"{label}.{name} raised {summary(error)}"
        raise ProblemError("gradient-raised", said) from error
    array = np.asarray(numbers_of(returned))
    if array.dtype.kind not in "fiubc" or (array.dtype.kind == "c" and array.imag.any()):
        raise ProblemError(
            "nonnumeric-gradient",
            f"{label}.{name} returned {array.dtype}, where real numbers are due",
        )
    if array.size != size:
        raise ProblemError(
            "shape-mismatch",
            f"{label}.{name} returned shape {array.shape} for a vector of {vector.size}, where "
            f"{size} numbers are due",
        )
    return np.asarray(array.real, np.float64).reshape(-1)
