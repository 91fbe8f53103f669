"""Matrices of outputs by components of theta, and the names of their entries."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.params.layout import PARTS
from pytest_gradcheck.params.theta import FloatArray, Indices, Parameter, Theta
from pytest_gradcheck.params.tree import Branch, Leaf

__all__ = [
    "Block",
    "DenseMatrix",
    "Expected",
    "Matrix",
    "OperatorMatrix",
    "SparseMatrix",
    "is_one_array",
    "misshapen",
    "name_of_entry",
    "selected_blocks",
]


@dataclass(frozen=True)
class Block:
    """A part of the answer with an index of its own, from which its entries get their names.

    Attributes
    ----------
    label : str
        ``jac``, ``jac.W1``.
    shape : tuple of int
        Of the array that the user returned.
    rows, columns : slice
        Its outputs and its components of theta.
    wide : int
        The length of a row of that array as a matrix of outputs by the user's numbers.
    is_complex : bool
        Whether each of those numbers is a pair of components.
    corner : (int, int)
        The place of its first entry in that matrix.
    """

    label: str
    shape: tuple[int, ...]
    rows: slice
    columns: slice
    wide: int
    corner: tuple[int, int] = (0, 0)
    is_complex: bool = False

    def name(self, row: int, column: int) -> str:
        """Return the expression by which a user reads an entry: ``jac[3, 12]``."""
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
        """The blocks that name the entries."""

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs, components."""

    def columns(self, numbers: Indices) -> FloatArray:
        """Return columns as the rows of an array of shape (k, m)."""

    def along(self, weights: FloatArray) -> FloatArray:
        """Return the slopes of all outputs along a vector over theta."""


@dataclass(frozen=True)
class DenseMatrix:
    """All entries, in an array of shape (m, n), which may be the user's own."""

    values: FloatArray
    blocks: tuple[Block, ...]

    def owned(self) -> DenseMatrix:
        """Return the same with a copy of the array, column after column."""
        return DenseMatrix(np.array(self.values, order="F"), self.blocks)

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs, components."""
        return self.values.shape[0], self.values.shape[1]

    def columns(self, numbers: Indices) -> FloatArray:
        """Return columns as the rows of an array of shape (k, m), which must not be written to."""
        if np.array_equal(numbers, np.arange(self.shape[1])):
            return np.ascontiguousarray(self.values.T)
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
    """A matrix that is known by its products with vectors alone."""

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
    """The shape that a Jacobian has to have.

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
        """The count of the user's numbers in the parameters; a complex one counts once."""
        return sum(parameter.leaf_size for parameter in self.theta.parameters)

    @property
    def selected(self) -> Indices:
        """The numbers of the components that are checked."""
        return np.concatenate([np.arange(p.start, p.stop) for p in self.theta.selected])

    def chosen_rows(self, shape: tuple[int, ...]) -> Indices | None:
        """Return the rows of a matrix without the unchecked parameters; None where they are in.

        The rows of a Hessian lack them as well.
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
            return np.asarray(array, np.float64).reshape(m, n)
        flat, values, before = array.reshape(m, self.wide), np.zeros((m, n)), 0
        for p in self.theta.parameters:
            part = flat[:, before : before + p.leaf_size]
            before += p.leaf_size
            if p.is_complex:
                values[:, p.slice] = part.astype(np.complex128).view(np.float64)
            else:
                self.refuse_imaginary(part, p)
                values[:, p.slice] = part.real
        return values

    def refuse_imaginary(self, part: npt.NDArray[Any], parameter: Parameter) -> None:
        """Refuse imaginary parts of the columns of a real parameter."""
        if part.imag.any():
            raise ProblemError(
                "nonnumeric-gradient",
                f"{self.label} has imaginary parts for {parameter.name}, though it and the outputs "
                "are real: return the real part",
            )

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


def selected_blocks(expected: Expected, rows: Indices, chosen: Indices) -> tuple[Block, ...]:
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


def misshapen(shape: tuple[int, ...], expected: Expected) -> str:
    """Describe the shape that a matrix should have, and the likely mistake."""
    m, n = expected.shape[0], expected.wide
    said = f"{expected.label} has shape {shape}, where {m} outputs and {n} parameters"
    said += f" make {expected.described()}"
    if shape == (n, m):
        return f"{said}: it is transposed, the outputs are the rows and the parameters the columns"
    if math.prod(shape) == m * n:
        return f"{said}: the same size, so a reshape is missing"
    for axis, other, due, word in ((1, 0, m, "row"), (0, 1, n, "column")):
        if len(shape) == 2 and shape[axis] == (m, n)[axis]:
            count, few = abs(shape[other] - due), "few" if shape[other] < due else "many"
            return f"{said}: it has {f'{count} {word}s' if count > 1 else f'a {word}'} too {few}"
    return said


def name_of_entry(blocks: Sequence[Block], row: int, column: int) -> str:
    """Return the expression by which a user reads an entry."""
    for block in blocks:
        rows, columns = block.rows, block.columns
        if rows.start <= row < rows.stop and columns.start <= column < columns.stop:
            return block.name(row, column)
    return f"[{row}, {column}]"
