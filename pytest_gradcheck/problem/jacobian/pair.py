"""A function of many outputs and its Jacobian, as functions of the present theta."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NoReturn

import numpy as np

from pytest_gradcheck.errors import ProblemError, summary, wishes
from pytest_gradcheck.params.gradient import flatten_gradient
from pytest_gradcheck.params.theta import FloatArray, Theta
from pytest_gradcheck.problem.binding import bound
from pytest_gradcheck.problem.jacobian.answers import laid_out_matrix
from pytest_gradcheck.problem.jacobian.matrices import (
    Block,
    Expected,
    Matrix,
    OperatorMatrix,
    is_one_array,
    name_of_entry,
)
from pytest_gradcheck.problem.jacobian.pushforward import Pushforward, pulled_back
from pytest_gradcheck.problem.layers import name_of, with_data
from pytest_gradcheck.problem.problem import Problem
from pytest_gradcheck.settings import Settings

__all__ = ["JacobianPair"]


class JacobianPair:
    """A function of many outputs, and its Jacobian, at the present theta.

    Parameters
    ----------
    problem : Problem
        Its form is ``jacobian``, ``hessian`` or ``jvp``.
    theta : Theta
        The parameters of both. A caller that moves them calls again.
    data : mapping or None
        The problem's data at this point.
    settings : Settings
    around : callable, optional
        Makes the context manager in which every call of a user's function runs.

    Attributes
    ----------
    problem, theta, data
        As above.
    evaluations : int
        Calls of the function so far.
    label : str
        The first part of the names of entries: ``jac`` or ``hess``.
    has_outputs : bool
        Whether entries belong to outputs, and not to one cost.
    """

    has_outputs = True

    def __init__(
        self,
        problem: Problem,
        theta: Theta,
        data: Mapping[str, Any] | None,
        settings: Settings,
        around: Callable[[], AbstractContextManager[Any]] | None = None,
    ) -> None:
        self.problem, self.theta, self.data = problem, theta, data
        self.evaluations = 0
        self.label = {"hessian": "hess"}.get(problem.form, "jac")
        self._symmetric = problem.form == "hessian"
        self._joint = problem.grad is True
        if not callable(problem.cost) or not (self._joint or callable(problem.grad)):
            raise ProblemError(
                "unbound-argument",
                f"{problem.form} takes two functions (the second may be True), not "
                f"{_said(problem.cost)} and {_said(problem.grad)}",
            )
        if problem.args and data is not None:
            raise ProblemError(
                "bad-setting",
                "give the functions' further arguments by position or by data=, not both",
            )
        _refuse_settings(settings, problem.form)
        self._around = around
        inplace = settings.inplace
        self._bound = bound(problem.cost, problem.args, data, inplace, "function")
        self._call_jac = (
            None
            if self._joint or problem.form == "jvp"
            else bound(problem.grad, problem.args, data, inplace, "gradient")
        )
        self._takes_beside = self._joint or (
            self._call_jac is not None and self._call_jac.wants_cache
        )
        self._layout: Theta | None = theta if self._symmetric else None

    @property
    def is_symmetric(self) -> bool:
        """Whether the matrix is a Hessian, whose outputs are laid out like theta."""
        return self._symmetric

    @property
    def outputs(self) -> Theta:
        """The layout of the outputs, once the function has been called."""
        if self._layout is None:
            raise ProblemError("no-parameters", f"{self._name} has not been called yet")
        return self._layout

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the outputs where they are one array, else their number."""
        if is_one_array(self.outputs):
            return self.outputs.parameters[0].shape
        return (self.outputs.base.size,)

    def output_name(self, number: int) -> str:
        """Return the expression by which a user reads an output: ``out[3]``."""
        parameter = self.outputs.owner(number)
        whole = "grad" if self._symmetric else "out"
        if is_one_array(self.outputs):
            stem = whole
        else:
            dot = "" if parameter.name.startswith("[") else "."
            stem = f"{whole}{dot}{parameter.name}"
        index = ", ".join(map(str, parameter.index(number)))
        return f"{stem}[{index}]" if index else stem

    def values(self) -> FloatArray:
        """Return all outputs at the present theta, as one vector.

        Raises
        ------
        ProblemError
            ``cost-raised``, ``nonnumeric-output``, ``complex-cost`` or ``shape-mismatch``.
        """
        return self._vector(self._first_of(self._returned()))

    def values_of(self, tree: Any) -> FloatArray:
        """Return the outputs for params in a structure of their own."""
        self.evaluations += 1
        return self._vector(self._first_of(self._made(self._bound.with_tree(tree))))

    def prober(self) -> Callable[[], FloatArray]:
        """Return a function that returns the outputs at a perturbed theta.

        It returns NaN throughout outside of the function's domain.
        """
        size, call = self.outputs.base.size, self._bound.at(self.theta)

        def probe() -> FloatArray:
            __tracebackhide__ = True
            self.evaluations += 1
            try:
                returned = self._made(call)
            except wishes():
                raise
            except Exception:  # our step left the domain
                return np.full(size, math.nan)
            return self._vector(self._first_of(returned))

        return probe

    def matrix(self) -> Matrix:
        """Return the user's Jacobian at the present theta.

        Raises
        ------
        ProblemError
            ``gradient-raised``, or a code for a wrong answer.
        """
        if self.problem.form == "jvp":
            return self._pushforward()
        if self._call_jac is None:
            return self._read(self._second_of(self._returned()))
        cache: dict[str, Any] = {}
        if self._call_jac.wants_cache:
            cache = {"cache": self._second_of(self._returned())}
        try:
            answer = self._made(self._call_jac.with_tree(self.theta.tree, **cache))
        except Exception as error:
            message = f"{name_of(self.problem.grad)} raised {summary(error)}"
            self._call_jac.refuse("gradient-raised", message, error)
        return self._read(answer)

    def _read(self, answer: Any) -> Matrix:
        """Return the user's answer as a matrix with named entries."""
        return laid_out_matrix(answer, Expected(self.label, self.outputs, self.theta))

    def _pushforward(self) -> Matrix:
        """Return the pushforward as a matrix, with its pullback where there is one."""
        own, outputs = self.problem.details["vjp"], self.outputs
        vjp: Any = None if own is None else with_data(own, self.data)

        def pull(left: FloatArray) -> FloatArray:
            upstream = outputs.filled([left[p.slice].reshape(p.shape) for p in outputs.parameters])
            return pulled_back(vjp, self.theta, upstream, lambda a: flatten_gradient(a, self.theta))

        assert callable(self.problem.grad)
        jvp = with_data(self.problem.grad, self.data)
        push = Pushforward(jvp, self.theta, self._tangent)
        shape = outputs.base.size, self.theta.base.size
        return OperatorMatrix(push, None if vjp is None else pull, shape, ())

    def entry_name(self, blocks: Sequence[Block], row: int, column: int) -> str:
        """Return the name of an entry: by its place in the matrix, if there is one."""
        if blocks:
            return name_of_entry(blocks, row, column)
        parameter = self.theta.owner(column)
        component = parameter.component_name(parameter.index(column))
        return f"d {self.output_name(row)} / d {component}"

    @property
    def derivative_label(self) -> str:
        """The subject of causes: the matrix by its label, or the pushforward."""
        return "the pushforward" if self.problem.form == "jvp" else self.label

    @property
    def numerical_name(self) -> str:
        """The name of the approximation in causes."""
        return f"the numerical {'Hessian' if self._symmetric else 'Jacobian'}"

    @property
    def derivative_name(self) -> str:
        """The name of the user's derivative in messages."""
        return self._name if self._joint else name_of(self.problem.grad)

    @property
    def adjoint_name(self) -> str:
        """The name of the pullback, or of an operator's ``rmatvec``, in messages."""
        vjp = self.problem.details.get("vjp")
        return "rmatvec" if vjp is None else name_of(vjp)

    @property
    def is_lower(self) -> bool:
        """Whether only the lower triangle of a Hessian counts."""
        return bool(self.problem.details.get("lower", False))

    @property
    def _name(self) -> str:
        return name_of(self.problem.cost)

    def _made(self, call: Callable[[], Any]) -> Any:
        __tracebackhide__ = True
        if self._around is None:
            return call()
        with self._around():
            return call()

    def _returned(self) -> Any:
        """Return everything that a call of the function returns."""
        __tracebackhide__ = True
        self.evaluations += 1
        try:
            return self._made(self._bound.at(self.theta))
        except Exception as error:
            self._tell(error)

    def _tell(self, error: Exception) -> NoReturn:
        __tracebackhide__ = True
        message = f"{self._name} raised {summary(error)} (its call {self.evaluations})"
        self._bound.refuse("cost-raised", message, error)

    def _first_of(self, returned: Any) -> Any:
        """Return the outputs, without what the function returns beside them."""
        if self._takes_beside and isinstance(returned, (tuple, list)) and len(returned) > 1:
            return returned[0]
        return returned

    def _second_of(self, returned: Any) -> Any:
        if not isinstance(returned, (tuple, list)) or len(returned) < 2:
            what = f"(out, {self.label})" if self._joint else "(out, cache)"
            raise ProblemError(
                "missing-gradient",
                f"{self._name} is to return {what}, but it returned a {type(returned).__name__}",
            )
        return returned[1] if len(returned) == 2 or self._joint else tuple(returned[1:])

    def _tangent(self, out: Any) -> FloatArray:
        """Return a tangent of the outputs as one vector."""
        return self._vector(out, name_of(self.problem.grad))

    def _vector(self, out: Any, name: str | None = None) -> FloatArray:
        """Return outputs as a new vector; `name` is the function that returned them."""
        layout = self._layout
        if type(out) is np.ndarray and out.dtype == np.float64 and layout is not None:
            parameters = layout.parameters
            if len(parameters) == 1 and out.shape == parameters[0].shape:
                vector: FloatArray = out.reshape(-1).copy()
                return vector
        if self._symmetric:
            return flatten_gradient(out, self.theta)
        found = self._opened(out)
        if layout is None:
            self._layout = found
        elif [p.shape for p in found.parameters] != [p.shape for p in layout.parameters]:
            raise ProblemError(
                "shape-mismatch",
                f"{name or self._name} returned {found.base.size} numbers in other shapes than "
                f"the outputs of {self._name} at first, which are {layout.base.size}",
            )
        return found.base

    def _opened(self, out: Any) -> Theta:
        """Return the layout of outputs, with their values at its base."""
        try:
            found = Theta(_as_floats(out))
        except ProblemError as error:
            raise ProblemError(
                "nonnumeric-output",
                f"{self._name} returned {_described(out)}, in which no float array can be found: "
                "return an array, or a nesting of arrays",
            ) from error
        if any(parameter.is_complex for parameter in found.parameters):
            raise ProblemError(
                "complex-cost",
                f"{self._name} returned complex numbers: return their real and imaginary parts as "
                "outputs of their own",
            )
        return found


def _as_floats(out: Any) -> Any:
    """Return plain numbers, and arrays of whole numbers, as arrays of floats."""
    if isinstance(out, (list, tuple)) and out and all(_is_number(item) for item in out):
        return np.array(out, np.float64)
    if isinstance(out, np.ndarray) and out.dtype.kind in "iub":
        return out.astype(np.float64)
    return float(out) if isinstance(out, (int, np.integer)) and not isinstance(out, bool) else out


def _is_number(value: Any) -> bool:
    return isinstance(value, (float, int, np.floating, np.integer)) and not isinstance(value, bool)


def _said(value: Any) -> str:
    """Describe the value given instead of a function."""
    if callable(value):
        return name_of(value)
    plain = value is None or isinstance(value, (bool, int, float, str))
    return repr(value) if plain else f"a {type(value).__name__}"


def _described(out: Any) -> str:
    return "None (is its return statement missing?)" if out is None else f"a {type(out).__name__}"


def _refuse_settings(settings: Settings, form: str) -> None:
    """Refuse settings by name that have no meaning for a matrix or along a projection."""
    what = "project=" if form == "gradient" else f"a {form}"
    for name in ("batched", "workers"):
        if getattr(settings, name) > 1 or getattr(settings, name) is True:
            raise ProblemError(
                "bad-setting",
                f"{name}={getattr(settings, name)} is not for {what}: leave it out",
            )
    if settings.regularization is not None:
        raise ProblemError(
            "bad-setting",
            f"regularization= is not for {what}: add the penalty to the function itself",
        )
    if settings.train:
        why = "leads off the constraint" if form == "gradient" else "needs a cost"
        raise ProblemError(
            "bad-setting",
            f"train={settings.train} is not for {what}: gradient descent {why}; hand over trained "
            "params",
        )
