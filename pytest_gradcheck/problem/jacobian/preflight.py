"""The preflight of a Jacobian: whether it can be checked at all."""

from __future__ import annotations

import numpy as np

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.params.theta import FloatArray
from pytest_gradcheck.problem.jacobian.matrices import DenseMatrix, Matrix
from pytest_gradcheck.problem.jacobian.pair import JacobianPair
from pytest_gradcheck.problem.preflight import (
    DROPOUT,
    alike_within,
    differs,
    differs_in_all,
    refuse_changed,
    spare_memory,
)

__all__ = ["examined_matrix"]


def examined_matrix(pair: JacobianPair, noise: float | None = None) -> tuple[FloatArray, Matrix]:
    """Call the function and its Jacobian twice at the present theta, and return both answers.

    Two calls may differ by the relative `noise` that the user states.

    Raises
    ------
    ProblemError
        ``nonfinite-cost``, ``nondeterministic-cost``, ``nondeterministic-gradient`` or
        ``mutated-params``, and the errors of the calls themselves.
    """
    before = pair.theta.references
    here = pair.values()
    refuse_changed(pair.theta, "function")
    if not np.isfinite(here).all():
        number = int(np.flatnonzero(~np.isfinite(here))[0])
        raise ProblemError(
            "nonfinite-cost",
            f"{pair.output_name(number)} is {here[number]} at this theta, where it must be a "
            "finite number: start elsewhere, or use a stable form of it",
        )
    matrix = pair.matrix()
    if isinstance(matrix, DenseMatrix):
        matrix = matrix.owned()  # the next call may write into the same array
    refuse_changed(pair.theta, "Jacobian")
    if pair.theta.references > before:
        spare_memory(pair.theta, pair.values_of, here)
    again = pair.values()
    apart = differs(here, again, noise)
    if apart.any():
        number = int(np.flatnonzero(apart)[0])
        raise ProblemError(
            "nondeterministic-cost",
            f"two calls of the function at the same theta returned {here[number]!r} and "
            f"{again[number]!r} for {pair.output_name(number)}: {DROPOUT}",
        )
    _compare_matrices(matrix, pair.matrix(), pair, noise)
    return here, matrix


def _compare_matrices(
    first: Matrix, second: Matrix, pair: JacobianPair, noise: float | None
) -> None:
    """Compare the products of two Jacobians with one vector."""
    weights = np.cos(np.arange(1.0, pair.theta.base.size + 1))
    weights[~pair.theta.is_selected] = 0.0
    with np.errstate(all="ignore"):
        one, other = first.along(weights), second.along(weights)
    apart = differs_in_all(one, other, 10 * alike_within(one, noise))
    if apart.any():
        number = int(np.flatnonzero(apart)[0])
        raise ProblemError(
            "nondeterministic-gradient",
            f"two calls at the same theta returned different rows of {pair.label} for "
            f"{pair.output_name(number)}: {DROPOUT}",
        )
