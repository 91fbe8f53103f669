"""The Jacobian's answer, in any of the shapes people return it, as a matrix with named entries.

A matrix (dense, ``scipy.sparse``, or an object with ``matvec``), one array of shape ``out.shape +
params.shape``, or a structure like params with leaves of shape ``out.shape + leaf.shape``, within
one like the outputs where these are several.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.params.frameworks import numbers_of
from pytest_gradcheck.params.gradient import flatten_gradient
from pytest_gradcheck.params.theta import FloatArray, Parameter, Theta
from pytest_gradcheck.params.tree import Branch, Leaf, Node, PathEntry
from pytest_gradcheck.problem.jacobian.matrices import (
    Block,
    DenseMatrix,
    Expected,
    Matrix,
    is_one_array,
    misshapen,
    selected_blocks,
)
from pytest_gradcheck.problem.jacobian.stored import operator_matrix, sparse_matrix

__all__ = ["laid_out_matrix"]


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
        return sparse_matrix(answer, expected)
    if hasattr(answer, "matvec"):
        return operator_matrix(answer, expected)
    if hasattr(answer, "todense") and hasattr(answer, "shape"):
        answer = answer.todense()  # sparse arrays of JAX
    answer = expected.theta.parts(answer)
    array = _as_array(answer)
    if array is not None:
        return _dense(array, expected)
    if _is_opaque(answer, expected):
        what = "has rmatvec" if hasattr(answer, "rmatvec") else "is no array"
        raise ProblemError(
            "nonnumeric-gradient",
            f"{expected.label} returned a {type(answer).__name__}, which {what} and has no "
            "matvec: return an array, a scipy.sparse matrix, a structure like params, or an object "
            "with shape and matvec, as scipy.sparse.linalg.LinearOperator has them",
        )
    return _structured(answer, expected)


def _as_array(answer: Any) -> npt.NDArray[Any] | None:
    """Return an answer as one array of numbers, or None."""
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


def _is_opaque(answer: Any, expected: Expected) -> bool:
    """Return whether an answer is an object without entries to look up."""
    if callable(answer) or isinstance(answer, (str, bytes)) or hasattr(answer, "rmatvec"):
        return True
    if isinstance(answer, (dict, list, tuple, np.ndarray)):
        return False
    single = is_one_array(expected.outputs) and is_one_array(expected.theta)
    known = hasattr(answer, "__getitem__") or bool(getattr(answer, "__dict__", None))
    return single or not known


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
        return DenseMatrix(values, selected_blocks(expected, rows, chosen))
    raise ProblemError("shape-mismatch", misshapen(array.shape, expected))


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
    """Return the part of the answer for each array of the outputs, and its name."""
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
