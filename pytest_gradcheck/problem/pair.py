"""The pair of a check: cost(theta) and gradient(theta), made from a problem."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NoReturn

import numpy as np

from pytest_gradcheck.errors import ProblemError, summary, wishes
from pytest_gradcheck.params.frameworks import numbers_of
from pytest_gradcheck.params.gradient import flatten_gradient, left_in
from pytest_gradcheck.params.objects.slots import Slots
from pytest_gradcheck.params.streams import around_calls
from pytest_gradcheck.params.theta import FloatArray, Theta
from pytest_gradcheck.problem.binding import bound
from pytest_gradcheck.problem.layers import name_of
from pytest_gradcheck.problem.problem import Problem
from pytest_gradcheck.problem.regularization import Penalty, penalized
from pytest_gradcheck.settings import Settings

__all__ = ["BATCHED", "Pair", "frozen_calls"]

BATCHED = (
    "write it along the last axes (W @ X, sum(axis=(-2, -1))), so that every leaf of params may "
    "have one more in front, or leave batched=True out"
)
"""The remedy for a cost that does not take many thetas."""


def frozen_calls(
    problem: Problem, data: Mapping[str, Any] | None
) -> Callable[[], AbstractContextManager[None]]:
    """Return a factory of context managers in which both functions draw the same random numbers."""
    given = () if callable(problem.params) else (problem.params,)
    return around_calls([*problem.args, *(data or {}).values(), *given])


class Pair:
    """A cost and its gradient as functions of the present theta.

    Parameters
    ----------
    problem : Problem
    theta : Theta
        The parameters of both. A caller that moves them calls again.
    data : mapping or None
        The problem's data at this point (dropout or penalty switched off, say).
    settings : Settings
        For `inplace` (a function may do without the params), `regularization` (a penalty that is
        added to the cost), and `batched` (the cost takes many thetas and returns that of each).
    around : callable, optional
        Makes the context manager in which every call of a user's function runs.

    Attributes
    ----------
    problem, data, theta
        As above.
    penalty : L1, L2 or None
        The penalty added to the cost.
    evaluations : int
        Calls of the cost so far; under `batched` the number of thetas.
    """

    def __init__(
        self,
        problem: Problem,
        theta: Theta,
        data: Mapping[str, Any] | None,
        settings: Settings,
        around: Callable[[], AbstractContextManager[Any]] | None = None,
    ) -> None:
        self.problem, self.data = problem, data
        self.theta = theta
        self.evaluations = 0
        penalty: Penalty | None = settings.regularization
        inplace, batched = settings.inplace, settings.batched
        self.penalty = penalty
        self._joint = problem.grad is True
        if not callable(problem.cost) or not (self._joint or callable(problem.grad)):
            raise ProblemError(
                "unbound-argument",
                f"cost and grad are functions (grad may be True), not {problem.cost!r} and "
                f"{problem.grad!r}",
            )
        if penalty is not None:
            penalized(penalty, theta)
        if problem.args and data is not None:
            raise ProblemError(
                "bad-setting",
                "give the functions' further arguments by position or by data=, not both",
            )
        self._around = around
        self._bound = bound(problem.cost, problem.args, data, inplace, "cost")
        self._call_grad = (
            None if self._joint else bound(problem.grad, problem.args, data, inplace, "gradient")
        )
        self._batched = batched
        if batched:
            self._refuse_batched(inplace)

    @property
    def _call_cost(self) -> Callable[[], Any]:
        """A function that calls the cost at the present theta."""
        theta, call = self.theta, self._bound
        stacked = self._batched
        return self._within(call.with_tree(theta.stacked(theta.row)) if stacked else call.at(theta))

    @property
    def is_batched(self) -> bool:
        """Whether the cost takes many thetas."""
        return self._batched

    def value_of(self, tree: Any) -> float:
        """Return the cost of other params, without the penalty of `regularization`."""
        self.evaluations += 1
        return self._scalar(self._within(self._bound.with_tree(tree))())

    def cost(self) -> float:
        """Return the cost at the present theta.

        Raises
        ------
        ProblemError
            ``cost-raised``, ``nonscalar-cost`` or ``complex-cost``.
        """
        if self._batched:
            return float(self.costs(self.theta.row)[0])
        value = self._scalar(self._returned())
        if self.penalty is None:
            return value
        return value + self.penalty.value(self.moved(), self.theta.parameters)

    def costs(self, rows: FloatArray) -> FloatArray:
        """Return the costs of many thetas, the rows of an array, from one call.

        Raises
        ------
        ProblemError
            ``bad-setting`` if it does not return a cost for each of them.
        """
        self.evaluations += len(rows)
        try:
            returned = self._within(self._bound.with_tree(self.theta.stacked(rows)))()
        except wishes():
            raise
        except Exception as error:
            if len(rows) > 1 and self._takes(
                self.theta.stacked(self.theta.row.repeat(len(rows), 0))
            ):
                self.evaluations -= len(rows)
                return np.array([self._at(row) for row in rows])
            if not self._takes(self.theta.tree):
                self._tell(error)
            raise ProblemError(
                "bad-setting",
                f"batched=True: {self._cost_name} raised {summary(error)} when every leaf of "
                f"params had a leading axis of {len(rows)}: {BATCHED}",
            ) from error
        value = returned[0] if isinstance(returned, tuple) and returned else returned
        costs = np.asarray(numbers_of(value))
        if costs.shape != (len(rows),) or costs.dtype.kind not in "fiu":
            raise ProblemError(
                "bad-setting",
                f"batched=True: with a leading axis of {len(rows)} on every leaf of params, "
                f"{self._cost_name} returned {_shaped(costs)}, where a vector of {len(rows)} costs "
                f"is due: {BATCHED}",
            )
        costs = costs.astype(np.float64)
        if self.penalty is not None:
            costs += [self.penalty.value(row, self.theta.parameters) for row in rows]
        return costs

    def _at(self, row: FloatArray) -> float:
        """Return the cost of one of many thetas, alone."""
        with self.theta.at(row):
            return self.prober()()

    def _takes(self, params: Any) -> bool:
        """Return whether the cost takes theta in another form, so that the form is at fault."""
        try:
            self._within(self._bound.with_tree(params))()
        except wishes():
            raise
        except Exception:
            return False
        return True

    def _refuse_batched(self, inplace: bool) -> None:
        """Refuse settings and forms without a leading axis."""
        what = None
        if inplace:
            what = "a network that owns its arrays (inplace=True) has no leading axis"
        elif self._call_grad is None:
            what = "a cost that returns its gradient (grad=True) is called with one theta at a time"
        elif self._call_grad.wants_cache:
            what = "a gradient that takes the cost's cache is called with that of one theta"
        if what:
            raise ProblemError(
                "bad-setting", f"batched=True: {what}; leave it out, or write the two apart"
            )

    def prober(self) -> Callable[[], float]:
        """Return a function that returns the cost at a perturbed theta.

        It returns NaN where the cost raises: the step has left the domain. It converts the value to
        a number at once, since a cost may reuse the buffer that it returns.

        It is called twice for every component. A closure that calls a plain cost itself, and takes
        a float as it is, saves about a tenth of a check of 20 numbers over a call of `cost`.
        """
        if self.penalty is not None or self._batched:
            return _or_nan(self.cost)
        call, scalar, exact = self._call_cost, self._scalar, np.float64

        def probe() -> float:
            __tracebackhide__ = True
            self.evaluations += 1
            try:
                value = call()
                kind = type(value)
                return value if kind is exact or kind is float else scalar(value)
            except wishes():
                raise
            except Exception:
                return math.nan

        return probe

    def gradient(self) -> FloatArray:
        """Return the analytic gradient at the present theta, laid out like it.

        Raises
        ------
        ProblemError
            ``gradient-raised``, or a code for a wrong answer.
        """
        if self._call_grad is None:
            return self._second(self._returned())
        cache: dict[str, Any] = {}
        if self._call_grad.wants_cache:
            cache = {"cache": _beside(self._returned(), self._grad_name)}
        tree, params = self.theta.tree, self.theta.params
        if isinstance(params, Slots):
            params.reset()
        try:
            answer = self._within(self._call_grad.with_tree(tree, **cache))()
        except Exception as error:
            message = f"{self._grad_name} raised {summary(error)}"
            self._call_grad.refuse("gradient-raised", message, error)
        if answer is None:  # reverse mode leaves gradients in the tensors themselves
            answer = left_in(tree, self.theta.root, self.theta)
        return flatten_gradient(answer, self.theta)

    def gradient_after_cost(self) -> FloatArray:
        """Call the cost, then return the analytic gradient, where theta has moved.

        A network may cache values for its backward pass that only its cost updates.
        """
        if self._call_grad is not None and not self._call_grad.wants_cache:
            self._returned()
        return self.gradient()

    def moved(self) -> FloatArray:
        """Return a copy of the present theta."""
        theta = self.theta
        return np.concatenate(
            [np.array(theta.cells(p)[:], np.float64).reshape(-1) for p in theta.parameters]
        )

    @property
    def _cost_name(self) -> str:
        return name_of(self.problem.cost)

    @property
    def _grad_name(self) -> str:
        return name_of(self.problem.cost if self._joint else self.problem.grad)

    def _within(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """Return a call inside a new context manager of `around`, if there is one."""
        return call if self._around is None else partial(_around, self._around, call)

    def _returned(self) -> Any:
        """Return everything that a call of the cost returns."""
        __tracebackhide__ = True
        self.evaluations += 1
        try:
            return self._call_cost()
        except Exception as error:
            self._tell(error)

    def _tell(self, error: Exception) -> NoReturn:
        __tracebackhide__ = True
        what = f"{self._cost_name} raised {summary(error)}"
        message = f"{what} (its call number {self.evaluations})"
        self._bound.refuse("cost-raised", message, error)

    def _scalar(self, returned: Any) -> float:
        if isinstance(returned, float):
            return float(returned)  # np.float64 is one, too
        several = (tuple, list) if self._joint else tuple
        value = returned[0] if isinstance(returned, several) and returned else returned
        try:
            array = np.asarray(numbers_of(value))
        except Exception as error:  # a ragged list; a tensor that refuses to be an array
            raise ProblemError(
                "nonscalar-cost",
                f"{self._cost_name} returned a {type(value).__name__}: {summary(error)}",
            ) from error
        if array.dtype.kind == "c":
            raise ProblemError(
                "complex-cost",
                f"{self._cost_name} returned the complex {value!r}: return its real part, or the "
                "square of its magnitude",
            )
        if array.size != 1 or array.dtype.kind not in "fiuO" or value is None:
            raise ProblemError("nonscalar-cost", _nonscalar(self._cost_name, value, array))
        try:
            return float(array.reshape(-1)[0])
        except OverflowError:  # an integer beyond all floats
            return math.inf
        except (TypeError, ValueError) as error:
            raise ProblemError(
                "nonscalar-cost", _nonscalar(self._cost_name, value, array)
            ) from error

    def _second(self, returned: Any) -> FloatArray:
        if not isinstance(returned, (tuple, list)) or len(returned) < 2:
            raise ProblemError(
                "missing-gradient",
                f"with grad=True, {self._cost_name} returns (cost, gradients), but it returned a "
                f"{type(returned).__name__}",
            )
        return flatten_gradient(returned[1], self.theta)


def _shaped(array: np.ndarray[Any, Any]) -> str:
    return f"an array of shape {array.shape}" if array.ndim else "one number"


def _or_nan(cost: Callable[[], float]) -> Callable[[], float]:
    """Return a function that returns a cost, and NaN where it raises."""

    def probe() -> float:
        __tracebackhide__ = True
        try:
            return cost()
        except wishes():
            raise
        except Exception:
            return math.nan

    return probe


def _around(around: Callable[[], AbstractContextManager[Any]], call: Callable[[], Any]) -> Any:
    """Return the value of a call inside a new context manager."""
    __tracebackhide__ = True
    with around():
        return call()


def _beside(returned: Any, name: str) -> Any:
    """Return what the cost returned beside its value: the second of two, or a tuple."""
    if isinstance(returned, tuple) and len(returned) == 2:
        return returned[1]
    if isinstance(returned, tuple) and len(returned) > 2:
        return returned[1:]
    raise ProblemError(
        "unbound-argument",
        f"{name} takes an argument cache, but the cost returned nothing beside its value: return "
        "(cost, cache), or put cache into data={...}",
    )


def _nonscalar(name: str, value: Any, array: np.ndarray[Any, Any]) -> str:
    if value is None:
        return f"{name} returned None: is its return statement missing?"
    if array.size > 1:
        return (
            f"{name} returned an array of shape {array.shape}, where a cost is one number: return "
            "its sum or its mean; residuals with their Jacobian are for gradcheck.jacobian, a "
            "function with its pullback for gradcheck.vjp"
        )
    said = repr(value)
    said = said if len(said) <= 60 else said[:60] + "…"
    return f"{name} returned {said} of type {type(value).__name__}, where a cost is one number"
