"""The Jacobian's answer, in any of the shapes people return it, as a matrix with named entries.

A matrix (dense, ``scipy.sparse``, or an object with ``matvec``), one array of shape ``out.shape +
params.shape``, or a structure like params with leaves of shape ``out.shape + leaf.shape``, within
one like the outputs where these are several.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.params.frameworks import numbers_of
from pytest_gradcheck.params.gradient import flatten_gradient
from pytest_gradcheck.params.layout import PARTS
from pytest_gradcheck.params.theta import FloatArray, Indices, Parameter, Theta
from pytest_gradcheck.params.tree import Branch, Leaf, Node, PathEntry

__all__ = [
    "Block",
    "DenseMatrix",
    "Matrix",
    "OperatorMatrix",
    "SparseMatrix",
    "laid_out_matrix",
    "name_of_entry",
]


@dataclass(frozen=True)
class Block:
    """A part of the answer with an index of its own: how its entries are called.

    Attributes
    ----------
    label : str
        ``jac``, ``jac.W1``.
    shape : tuple of int
        Of the array that the user returned.
    rows, columns : slice
        The outputs and the components of theta that it is about.
    wide : int
        The length of a row of that array, once it is a matrix of outputs by the user's numbers.
    is_complex : bool
        Whether each of those numbers is a pair of components.
    corner : (int, int)
        Where its first entry stands in that matrix.
    """

    label: str
    shape: tuple[int, ...]
    rows: slice
    columns: slice
    wide: int
    corner: tuple[int, int] = (0, 0)
    is_complex: bool = False

    def name(self, row: int, column: int) -> str:
        """Return what a user would type to look at an entry: ``jac[3, 12]``."""
        down, along = row - self.rows.start, column - self.columns.start
        part = f".{PARTS[along % 2]}" if self.is_complex else ""
        along = self.corner[1] + (along // 2 if self.is_complex else along)
        flat = (self.corner[0] + down) * self.wide + along
        index = np.unravel_index(flat, self.shape) if self.shape else ()
        inside = ", ".join(str(int(i)) for i in index)
        return f"{self.label}[{inside}]{part}" if index else f"{self.label}{part}"


class Matrix(Protocol):
    """A Jacobian of m outputs by the n components of theta."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """How the entries are called."""

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs, components."""

    def columns(self, numbers: Indices) -> FloatArray:
        """Return columns as the rows of an array of shape (k, m)."""

    def along(self, weights: FloatArray) -> FloatArray:
        """Return the slopes of all outputs along a vector over theta."""


@dataclass(frozen=True)
class DenseMatrix:
    """All entries, in an array of shape (m, n)."""

    values: FloatArray
    blocks: tuple[Block, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs, components."""
        return self.values.shape[0], self.values.shape[1]

    def columns(self, numbers: Indices) -> FloatArray:
        """Return columns as the rows of an array of shape (k, m)."""
        if np.array_equal(numbers, np.arange(self.shape[1])):
            return np.array(self.values.T, order="C")  # one copy, where an index makes two
        return np.ascontiguousarray(self.values.T[numbers])

    def along(self, weights: FloatArray) -> FloatArray:
        """Return the slopes of all outputs along a vector over theta."""
        result: FloatArray = self.values @ weights
        return result


@dataclass(frozen=True)
class SparseMatrix:
    """The entries that a ``scipy.sparse`` matrix stores, column by column; all others are 0.

    Attributes
    ----------
    starts, rows, values : arrays
        Of the compressed sparse column format: the entries of column j are those from
        ``starts[j]`` to ``starts[j + 1]``.
    """

    starts: Indices
    rows: Indices
    values: FloatArray
    shape: tuple[int, int]
    blocks: tuple[Block, ...]

    def columns(self, numbers: Indices) -> FloatArray:
        """Return columns as the rows of an array of shape (k, m)."""
        result = np.zeros((len(numbers), self.shape[0]))
        for row, number in zip(result, np.asarray(numbers).tolist(), strict=True):
            part = slice(self.starts[number], self.starts[number + 1])
            row[self.rows[part]] = self.values[part]
        return result

    def along(self, weights: FloatArray) -> FloatArray:
        """Return the slopes of all outputs along a vector over theta."""
        each = self.values * np.repeat(weights, np.diff(self.starts))
        return np.bincount(self.rows, each, self.shape[0]).astype(np.float64)


@dataclass(frozen=True)
class OperatorMatrix:
    """A matrix that is only known by what it does to a vector."""

    matvec: Callable[[FloatArray], FloatArray]
    rmatvec: Callable[[FloatArray], FloatArray] | None
    shape: tuple[int, int]
    blocks: tuple[Block, ...]

    def columns(self, numbers: Indices) -> FloatArray:
        """Return columns as the rows of an array of shape (k, m)."""
        result = np.empty((len(numbers), self.shape[0]))
        unit = np.zeros(self.shape[1])
        for row, number in zip(result, np.asarray(numbers).tolist(), strict=True):
            unit[number] = 1.0
            row[:] = self.matvec(unit.copy())
            unit[number] = 0.0
        return result

    def along(self, weights: FloatArray) -> FloatArray:
        """Return the slopes of all outputs along a vector over theta."""
        return self.matvec(weights.copy())


@dataclass(frozen=True)
class Expected:
    """What a Jacobian has to be like.

    Attributes
    ----------
    label : str
        What the user calls the matrix: ``jac`` or ``hess``.
    outputs : Theta
        The layout of the outputs.
    theta : Theta
        The layout of the parameters.
    """

    label: str
    outputs: Theta
    theta: Theta

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs, components."""
        return self.outputs.base.size, self.theta.base.size

    @property
    def output_shape(self) -> tuple[int, ...] | None:
        """The shape of the outputs where they are one array."""
        single = is_one_array(self.outputs)
        return self.outputs.parameters[0].shape if single else None

    @property
    def params_shape(self) -> tuple[int, ...] | None:
        """The shape of the parameters where they are one array."""
        single = is_one_array(self.theta)
        return self.theta.parameters[0].leaf_shape if single else None

    @property
    def wide(self) -> int:
        """How many numbers of the user's the parameters are, complex ones counted once."""
        return sum(parameter.leaf_size for parameter in self.theta.parameters)

    @property
    def selected(self) -> Indices:
        """The numbers of the components that are checked."""
        return np.concatenate([np.arange(p.start, p.stop) for p in self.theta.selected])

    def chosen_rows(self, shape: tuple[int, ...]) -> Indices | None:
        """Return the rows of a matrix that leaves unchecked parameters out; None where none does.

        A Hessian leaves them out of its rows as well.
        """
        (m, n), chosen = self.shape, self.selected
        if chosen.size == n:
            return None
        if shape == (m, chosen.size):
            return np.arange(m)
        square = self.outputs is self.theta and shape == (chosen.size, chosen.size)
        return chosen if square else None

    def blocks(self, shape: tuple[int, ...]) -> tuple[Block, ...]:
        """Return the blocks of one matrix of all: a single one unless some are complex."""
        m, n = self.shape
        if self.wide == n:
            return (Block(self.label, shape, slice(0, m), slice(0, n), n),)
        blocks, before = [], 0
        for p in self.theta.parameters:
            rows, corner = slice(0, m), (0, before)
            blocks.append(Block(self.label, shape, rows, p.slice, self.wide, corner, p.is_complex))
            before += p.leaf_size
        return tuple(blocks)

    def spread(self, array: npt.NDArray[Any]) -> FloatArray:
        """Return a matrix of the user's numbers as one of components."""
        m, n = self.shape
        if self.wide == n and array.dtype.kind != "c":
            return np.array(array, np.float64).reshape(m, n)
        flat, values, before = array.reshape(m, self.wide), np.zeros((m, n)), 0
        for p in self.theta.parameters:
            part = flat[:, before : before + p.leaf_size]
            before += p.leaf_size
            if p.is_complex:
                values[:, p.slice] = part.astype(np.complex128).view(np.float64)
            elif part.imag.any():
                raise ProblemError(
                    "nonnumeric-gradient",
                    f"{self.label} has imaginary parts for {p.name}, though it and the outputs are "
                    "real: return the real part",
                )
            else:
                values[:, p.slice] = part.real
        return values

    def described(self) -> str:
        """Return the shapes that fit, in words."""
        m, n = self.shape[0], self.wide
        said = [f"({m}, {n})"]
        out, leaf = self.output_shape, self.params_shape
        if out is not None and leaf is not None and out + leaf != (m, n):
            said.append(f"out.shape + params.shape = {out + leaf}")
        return " or ".join(said)


def is_one_array(theta: Theta) -> bool:
    """Return whether a structure is a single array, NumPy's or a framework's."""
    node = theta.root
    while isinstance(node, Branch) and [key.kind for key in node.keys] == ["whole"]:
        node = node.children[0]
    return isinstance(node, Leaf)


def laid_out_matrix(answer: Any, expected: Expected) -> Matrix:
    """Return the user's Jacobian as a matrix with named entries.

    Raises
    ------
    ProblemError
        ``missing-gradient``, ``shape-mismatch`` or ``nonnumeric-gradient``.
    """
    if answer is None:
        raise ProblemError("missing-gradient", f"{expected.label} returned None: return the matrix")
    if hasattr(answer, "tocsc") and hasattr(answer, "shape"):
        return _sparse(answer, expected)
    if hasattr(answer, "matvec") and hasattr(answer, "shape"):
        return _operator(answer, expected)
    answer = expected.theta.parts(answer)
    array = _as_array(answer)
    if array is not None:
        return _dense(array, expected)
    if _is_opaque(answer):
        raise ProblemError(
            "nonnumeric-gradient",
            f"{expected.label} returned a {type(answer).__name__}, which is no array and has no "
            "matvec: return an array, a scipy.sparse matrix, a structure like params, or an object "
            "with shape and matvec, as scipy.sparse.linalg.LinearOperator has them",
        )
    return _structured(answer, expected)


def _as_array(answer: Any) -> npt.NDArray[Any] | None:
    """Return an answer that is one array of numbers, or None."""
    if isinstance(answer, dict):
        return None
    try:
        array = np.asarray(numbers_of(answer))
    except (TypeError, ValueError):  # ragged
        return None
    if array.dtype.kind not in "fiuc":
        return None
    if isinstance(answer, (list, tuple)) and any(np.ndim(item) > 1 for item in answer):
        return None  # leaves of a structure that happen to be of one shape
    return array


def _is_opaque(answer: Any) -> bool:
    """Return whether an answer is an object that nothing can be looked up in."""
    known = isinstance(answer, (dict, list, tuple, np.ndarray)) or hasattr(answer, "__getitem__")
    return callable(answer) or not (known or getattr(answer, "__dict__", None))


def _dense(array: npt.NDArray[Any], expected: Expected) -> Matrix:
    m, n = expected.shape[0], expected.wide
    out, leaf = expected.output_shape, expected.params_shape
    fitting: list[tuple[int, ...]] = [(m, n)]
    if out is not None:
        fitting.append((*out, n))
        if leaf is not None:
            fitting.append(out + leaf)
    if m == 1:
        fitting.append((n,))
    if n == 1:
        fitting.append((m,))
    if array.shape in fitting or (m == n == array.size == 1):
        return DenseMatrix(expected.spread(array), expected.blocks(array.shape))
    chosen = expected.selected
    rows = expected.chosen_rows(array.shape)
    if rows is not None:
        values = np.zeros(expected.shape)
        values[np.ix_(rows, chosen)] = array
        return DenseMatrix(values, _selected_blocks(expected, rows, chosen))
    raise ProblemError("shape-mismatch", _misshapen(array.shape, expected))


def _selected_blocks(expected: Expected, rows: Indices, chosen: Indices) -> tuple[Block, ...]:
    """Return blocks that count the columns of the selected parameters alone."""
    blocks, shape = [], (rows.size, chosen.size)
    whole = rows.size == expected.shape[0]
    across: list[tuple[int, slice]] = []
    for parameter in expected.theta.selected:
        across.append((sum(p.stop - p.start for _, p in across), parameter.slice))
    for left, columns in across:
        for top, part in [(0, slice(0, rows.size))] if whole else across:
            blocks.append(Block(expected.label, shape, part, columns, chosen.size, (top, left)))
    return tuple(blocks)


def _misshapen(shape: tuple[int, ...], expected: Expected) -> str:
    m, n = expected.shape[0], expected.wide
    said = f"{expected.label} has shape {shape}, where {m} outputs and {n} parameters"
    said += f" make {expected.described()}"
    if shape == (n, m):
        return f"{said}: it is transposed, the outputs are the rows and the parameters the columns"
    if math.prod(shape) == m * n:
        return f"{said}: the same size, so a reshape is missing"
    if shape == (m, n + 1):
        return f"{said}: it has a column too many"
    return said


def _sparse(answer: Any, expected: Expected) -> Matrix:
    shape = tuple(int(size) for size in answer.shape)
    chosen, (m, n) = expected.selected, expected.shape
    rows = expected.chosen_rows(shape)
    if shape != (m, n) and rows is None:
        raise ProblemError("shape-mismatch", _misshapen(shape, expected))
    matrix = answer.tocsc(copy=True)
    if np.dtype(matrix.dtype).kind not in "fiub":
        raise ProblemError(
            "nonnumeric-gradient",
            f"{expected.label} holds {matrix.dtype}, where real numbers are due",
        )
    matrix.sum_duplicates()
    counts = np.zeros(n, np.intp)
    counts[slice(0, n) if rows is None else chosen] = np.diff(matrix.indptr)
    places = np.asarray(matrix.indices, np.intp)
    return SparseMatrix(
        np.concatenate([np.zeros(1, np.intp), np.cumsum(counts)]),
        places if rows is None else rows[places],
        np.asarray(matrix.data, np.float64),
        (m, n),
        expected.blocks(shape) if rows is None else _selected_blocks(expected, rows, chosen),
    )


def _operator(answer: Any, expected: Expected) -> Matrix:
    shape = tuple(int(size) for size in answer.shape)
    if shape != expected.shape:
        raise ProblemError("shape-mismatch", _misshapen(shape, expected))

    def matvec(vector: FloatArray) -> FloatArray:
        return np.asarray(answer.matvec(vector), np.float64).reshape(-1)

    def rmatvec(vector: FloatArray) -> FloatArray:
        return np.asarray(answer.rmatvec(vector), np.float64).reshape(-1)

    both = callable(getattr(answer, "rmatvec", None))
    return OperatorMatrix(
        matvec, rmatvec if both else None, expected.shape, expected.blocks(expected.shape)
    )


def _structured(answer: Any, expected: Expected) -> Matrix:
    """Read a structure like the outputs, of structures like the parameters."""
    values = np.zeros(expected.shape)
    blocks: list[Block] = []
    for number, label, part in _by_output(
        answer, expected.outputs.root, expected.outputs, expected.label
    ):
        rows = expected.outputs.parameters[number]
        _read_row_block(part, label, rows, expected.theta, values, blocks)
    return DenseMatrix(values, tuple(blocks))


def _by_output(answer: Any, node: Node, outputs: Theta, label: str) -> list[tuple[int, str, Any]]:
    """Return the part of the answer for each array of the outputs, and what it is called."""
    if isinstance(node, Leaf):
        return [(node.number, label, answer)]
    found: list[tuple[int, str, Any]] = []
    if isinstance(node, Branch):
        for key, child in node.holding:
            found += _by_output(_entry(answer, key, label), child, outputs, label + key.text(False))
    return found


def _entry(answer: Any, key: PathEntry, label: str) -> Any:
    if key.kind == "whole":
        return answer
    try:
        if key.kind == "attribute" and not isinstance(answer, dict):
            return getattr(answer, str(key.label))
        return answer[key.label]
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise ProblemError(
            "missing-gradient",
            f"{label} has no entry {key.text(True)}, which the outputs have: return one entry for "
            "each output, or one matrix of all of them",
        ) from error


def _read_row_block(
    answer: Any,
    label: str,
    rows: Parameter,
    theta: Theta,
    values: FloatArray,
    blocks: list[Block],
) -> None:
    """Read the structure like the parameters for one array of the outputs."""
    array = _as_array(answer)
    if array is not None and array.shape in (
        (rows.size, theta.base.size),
        (*rows.shape, theta.base.size),
    ):
        values[rows.slice] = array.reshape(rows.size, -1)
        whole = slice(0, theta.base.size)
        blocks.append(Block(label, array.shape, rows.slice, whole, theta.base.size))
        return
    zeros = [
        np.zeros(rows.shape + p.leaf_shape, np.complex128 if p.is_complex else np.float64)
        for p in theta.parameters
    ]
    names = [parameter.name for parameter in theta.selected]
    entries = Theta(theta.filled(zeros), only=names)
    try:
        vector = flatten_gradient(answer, entries)
    except ProblemError as error:
        _refuse_transposed(answer, label, rows, theta, error)
        raise
    single = is_one_array(theta)
    for parameter, place in zip(theta.parameters, entries.parameters, strict=True):
        values[rows.slice, parameter.slice] = vector[place.slice].reshape(rows.size, -1)
        blocks.append(
            Block(
                label if single else _joined(label, parameter.name),
                rows.shape + parameter.leaf_shape,
                rows.slice,
                parameter.slice,
                parameter.leaf_size,
                is_complex=parameter.is_complex,
            )
        )


def _refuse_transposed(
    answer: Any, label: str, rows: Parameter, theta: Theta, error: ProblemError
) -> None:
    """Raise ``shape-mismatch`` where an array has the axes of its parameter before the outputs'."""
    for p in theta.selected:
        due, turned = rows.shape + p.leaf_shape, p.leaf_shape + rows.shape
        if _fits(answer, theta, p, due) or not _fits(answer, theta, p, turned):
            continue
        name = label if is_one_array(theta) else _joined(label, p.name)
        raise ProblemError(
            "shape-mismatch",
            f"{name} has shape {turned}, where out.shape + {p.name}.shape = {due} fits: it is "
            "transposed, the axes of the outputs come first",
        ) from error


def _fits(answer: Any, theta: Theta, parameter: Parameter, shape: tuple[int, ...]) -> bool:
    """Return whether the answer has an array of a shape for one parameter."""
    zeros = [np.zeros(shape if p is parameter else p.leaf_shape) for p in theta.parameters]
    try:
        flatten_gradient(answer, Theta(theta.filled(zeros), only=[parameter.name]))
    except ProblemError:
        return False
    return True


def _joined(label: str, name: str) -> str:
    return f"{label}{name}" if name.startswith("[") else f"{label}.{name}"


def name_of_entry(blocks: Sequence[Block], row: int, column: int) -> str:
    """Return what a user would type to look at an entry."""
    for block in blocks:
        rows, columns = block.rows, block.columns
        if rows.start <= row < rows.stop and columns.start <= column < columns.stop:
            return block.name(row, column)
    return f"[{row}, {column}]"
