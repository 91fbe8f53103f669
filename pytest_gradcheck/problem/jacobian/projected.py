"""A cost of constrained parameters as a function of one output, and its gradient as its matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_gradcheck.params.gradient import flatten_gradient
from pytest_gradcheck.problem.jacobian.matrices import Block, DenseMatrix, Matrix
from pytest_gradcheck.problem.jacobian.pair import JacobianPair

__all__ = ["ProjectedCost"]


class ProjectedCost(JacobianPair):
    """A cost and its gradient, compared along projected changes of the parameters."""

    has_outputs = False

    def entry_name(self, blocks: Sequence[Block], row: int, column: int) -> str:
        """Return the name of a component."""
        parameter = self.theta.owner(column)
        return parameter.component_name(parameter.index(column))

    @property
    def derivative_label(self) -> str:
        """The subject of causes."""
        return "the gradient"

    @property
    def numerical_name(self) -> str:
        """The name of the approximation in causes."""
        return "the numerical gradient along the projection"

    def _first_of(self, returned: Any) -> Any:
        """Return the cost, without what the function returns beside it."""
        return returned[0] if isinstance(returned, tuple) and returned else returned

    def _read(self, answer: Any) -> Matrix:
        """Return the gradient as a matrix of one row."""
        return DenseMatrix(flatten_gradient(answer, self.theta).reshape(1, -1), ())
