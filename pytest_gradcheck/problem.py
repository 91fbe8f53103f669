"""The shapes of a pair: what a user has, turned into cost(theta) and gradient(theta).

`Problem` is what the user says; `Pair` is what the check works with. How the functions are called
follows from `data`: without it positionally, with it by name, the one required argument left over
taking the params and one named ``cache`` taking what the cost returned beside its value.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pytest_gradcheck import layers
from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.gradient import laid_out
from pytest_gradcheck.layers import name_of
from pytest_gradcheck.regularization import Penalty, penalized
from pytest_gradcheck.theta import FloatArray, Theta

__all__ = ["Pair", "Problem"]

USUAL = ("params", "parameters", "theta", "weights", "w", "W")
"""What people call the argument that takes the params."""


@dataclass(frozen=True)
class Problem:
    """A cost, its gradient and the parameters, with settings that rank as the call's.

    Attributes
    ----------
    cost : callable
        Returns a number, or a tuple that begins with it.
    grad : callable or True
        The backprop; True where `cost` returns ``(cost, gradients, ...)``.
    params : object
        An array, a number, or any nesting of containers of them; or a callable ``params(rng)``.
    args : tuple
        Further positional arguments of both functions.
    data : mapping, optional
        Arguments by name; either function takes those it names.
    settings : mapping
        Keywords of `gradcheck`.

    Examples
    --------
    >>> Problem(np.sum, np.ones_like, np.zeros(3)).args
    ()
    """

    cost: Callable[..., Any]
    grad: Callable[..., Any] | bool
    params: Any
    args: tuple[Any, ...] = ()
    data: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def layer(
        cls,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        *inputs: Any,
        **settings: Any,
    ) -> Problem:
        """Return the problem of a layer, ``out, cache = forward(*inputs)``, and its backward pass.

        ``backward(dout, cache)`` returns the gradients of the inputs. The cost is the sum of the
        output times a random, fixed upstream gradient `dout`: a constant one would cancel in
        normalizing layers and hide faults.
        """
        cost, grad = layers.layer(forward, backward)
        return cls(cost, grad, layers.named(forward, inputs), (), {}, dict(settings))

    @classmethod
    def vjp(cls, f: Callable[..., Any], *inputs: Any, **settings: Any) -> Problem:
        """Return the problem of a function that returns ``out, pullback``, as JAX's vjp does."""
        cost, grad = layers.pullback(f)
        return cls(cost, grad, layers.named(f, inputs), (), {}, dict(settings))


class Pair:
    """A cost and its gradient as functions of the present theta.

    Parameters
    ----------
    problem : Problem
    theta : Theta
        Where both look; whoever moves it calls again.
    data : mapping or None
        The problem's data at this point (dropout or penalty switched off, say).
    inplace : bool
        Whether a function may do without the params.
    penalty : Penalty or None
        Added to the cost.
    around : callable
        Makes the context manager in which every call of a user's function runs.

    Attributes
    ----------
    evaluations : int
        Calls of the cost so far.
    """

    def __init__(
        self,
        problem: Problem,
        theta: Theta,
        data: Mapping[str, Any] | None,
        inplace: bool = False,
        penalty: Penalty | None = None,
        around: Callable[[], AbstractContextManager[Any]] | None = None,
    ) -> None:
        self.theta = theta
        self.evaluations = 0
        self._penalty = penalty
        self._joint = problem.grad is True
        self._cost_name = name_of(problem.cost)
        self._grad_name = self._cost_name if self._joint else name_of(problem.grad)
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
        self._call_cost = _bound(problem.cost, problem.args, data, inplace, "cost")
        self._call_grad = (
            None if self._joint else _bound(problem.grad, problem.args, data, inplace, "gradient")
        )
        self._around = around

    def cost(self) -> float:
        """Return the cost at the present theta.

        Raises
        ------
        ProblemError
            ``cost-raised``, ``nonscalar-cost`` or ``complex-cost``.
        """
        returned = self._returned()
        value = returned if type(returned) is float else self._scalar(returned)
        if self._penalty is None:
            return value
        return value + self._penalty.value(self.moved(), self.theta.parameters)

    def probe(self) -> float:
        """Return the cost at a perturbed theta: NaN where that lies outside its domain.

        NumPy says NaN there of itself; the functions of `math` raise.
        """
        try:
            return self.cost()
        except ProblemError as error:
            if _left_domain(error.__cause__):
                return math.nan
            raise

    def gradient(self) -> FloatArray:
        """Return the analytic gradient at the present theta, laid out like it.

        Raises
        ------
        ProblemError
            ``gradient-raised``, or whatever is wrong with the answer.
        """
        if self._call_grad is None:
            return self._second(self._returned())
        rest: Any = _NOTHING
        if self._call_grad.wants_cache:
            rest = _beside(self._returned(), self._grad_name)
        try:
            if self._around is None:
                answer = self._call_grad(self.theta.tree, rest)
            else:
                with self._around():
                    answer = self._call_grad(self.theta.tree, rest)
        except ProblemError:
            raise  # said by a layer, in better words
        except Exception as error:
            raise ProblemError(
                "gradient-raised", f"{self._grad_name} raised {_told(error)}"
            ) from error
        return laid_out(answer, self.theta)

    def moved(self) -> FloatArray:
        """Return a copy of theta as it stands now."""
        theta = self.theta
        return np.concatenate(
            [np.array(theta.cells(p)[:], np.float64).reshape(-1) for p in theta.parameters]
        )

    def _returned(self) -> Any:
        __tracebackhide__ = True
        self.evaluations += 1
        try:
            if self._around is None:
                return self._call_cost(self.theta.tree, _NOTHING)
            with self._around():
                return self._call_cost(self.theta.tree, _NOTHING)
        except ProblemError:
            raise  # said by a layer, in better words
        except Exception as error:
            raise ProblemError(
                "cost-raised",
                f"{self._cost_name} raised {_told(error)} (its call number {self.evaluations})",
            ) from error

    def _scalar(self, returned: Any) -> float:
        several = (tuple, list) if self._joint else tuple
        value = returned[0] if isinstance(returned, several) and returned else returned
        try:
            array = np.asarray(value)
        except Exception as error:  # a ragged list; a tensor that refuses to be an array
            raise ProblemError(
                "nonscalar-cost",
                f"{self._cost_name} returned a {type(value).__name__}: {_told(error)}",
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
        return laid_out(returned[1], self.theta)


class _Nothing:
    """What stands for a cache where none is at hand."""


_NOTHING = _Nothing()


@dataclass(frozen=True)
class _Call:
    """How to call a user's function: which arguments go where."""

    function: Callable[..., Any]
    before: tuple[Any, ...]
    keywords: Mapping[str, Any]
    params: str | int | None
    wants_cache: bool

    def __call__(self, tree: Any, rest: Any) -> Any:
        __tracebackhide__ = True
        keywords = dict(self.keywords)
        if self.wants_cache:
            keywords["cache"] = rest
        if isinstance(self.params, int):
            before = (*self.before[: self.params], tree, *self.before[self.params :])
            return self.function(*before, **keywords)
        if self.params is not None:
            keywords[self.params] = tree
        return self.function(*self.before, **keywords)


class _Positional:
    """A function called as ``f(params, *args)``, or without the params where it takes none."""

    wants_cache = False

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], bare: bool) -> None:
        self._function, self._args, self._bare = function, args, bare

    def __call__(self, tree: Any, rest: Any) -> Any:
        __tracebackhide__ = True
        if self._bare:
            return self._function(*self._args)
        return self._function(tree, *self._args)


def _bound(
    function: Any, args: tuple[Any, ...], data: Mapping[str, Any] | None, inplace: bool, role: str
) -> _Call | _Positional:
    """Decide, once, how a user's function is called."""
    if data is None:
        bare = inplace and _goes_without(function, len(args))
        if not bare:
            _check_positional(function, args, role)
        return _Positional(function, args, bare)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise ProblemError(
            "unbound-argument",
            f"the {role} {name_of(function)} has no signature to match data with: wrap it in a "
            "function that names its arguments",
        ) from error
    return _by_name(function, list(parameters), data, inplace, role)


def _by_name(
    function: Any,
    parameters: list[inspect.Parameter],
    data: Mapping[str, Any],
    inplace: bool,
    role: str,
) -> _Call:
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    wants_cache = role == "gradient" and any(
        p.name == "cache" and p.name not in data for p in named
    )
    left = [
        p
        for p in named
        if p.default is p.empty
        and p.name not in data
        and not (p.name == "cache" and role == "gradient")
    ]
    if len(left) > 1:
        names = ", ".join(p.name for p in left)
        raise ProblemError(
            "unbound-argument",
            f"the {role} {name_of(function)} has more than one argument that data does not name, "
            f"{names}: one of them takes the params; put the others into data={{...}}",
        )
    target = left[0] if left else _optional_target(named, data)
    if target is None and not wants_cache and not inplace:
        raise ProblemError(
            "unbound-argument",
            f"no argument of the {role} {name_of(function)} is left to take the params, as data "
            "names them all: take the params' name out of data, or say inplace=True if the "
            "network owns its arrays",
        )
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
    first = [p for p in named if p.kind is p.POSITIONAL_ONLY]
    before = tuple(data.get(p.name, p.default) for p in first if p is not target)
    by_place = target is not None and target in first
    keywords = {
        name: value
        for name, value in data.items()
        if (takes_all or any(p.name == name for p in named)) and all(p.name != name for p in first)
    }
    place: str | int | None = None
    if target is not None:
        place = first.index(target) if by_place else target.name
    return _Call(function, before, keywords, place, wants_cache)


def _optional_target(
    named: list[inspect.Parameter], data: Mapping[str, Any]
) -> inspect.Parameter | None:
    """Return the argument with a default that is called like parameters, or None."""
    return next((p for p in named if p.name in USUAL and p.name not in data), None)


def _goes_without(function: Any, count: int) -> bool:
    """Return whether a network that owns its arrays is called with its `count` arguments alone.

    ``loss(x, t, train=False)`` could take params, x and t as well, by their number; that nothing
    but x and t is required, and what its first argument is called, tells.
    """
    if not _accepts(function, count):
        return False
    if not _accepts(function, 1 + count):
        return True
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = sum(p.default is p.empty for p in by_place)
    return required == count and bool(by_place) and by_place[0].name not in USUAL


def _accepts(function: Any, count: int) -> bool:
    """Return whether a function can be called with so many positional arguments."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # a builtin that tells no signature
        return True
    return True


def _check_positional(function: Any, args: tuple[Any, ...], role: str) -> None:
    """Refuse a call that would miss an argument, naming it, before the function is called."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return  # a builtin that tells no signature: its own error says what is wrong
    required = [
        p
        for p in parameters
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if not required and not args and not _accepts(function, 1):
        raise ProblemError(
            "unbound-argument",
            f"the {role} {name_of(function)} takes no argument, so the params cannot reach it: if "
            "the network owns its arrays, hand over those arrays and say inplace=True",
        )
    missing = required[1 + len(args) :] + [
        p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty
    ]
    if missing:
        names = ", ".join(p.name for p in missing)
        raise ProblemError(
            "unbound-argument",
            f"nothing fills the argument{'s' * (len(missing) > 1)} {names} of the {role} "
            f"{name_of(function)}: give data={{...}} by name, or further positional arguments",
        )


def _beside(returned: Any, name: str) -> Any:
    """Return what the cost returned beside its value: the second of two, or the rest."""
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
            f"{name} returned an array of shape {array.shape}, where a cost is one number: "
            "return its sum or its mean"
        )
    said = repr(value)
    said = said if len(said) <= 60 else said[:60] + "…"
    return f"{name} returned {said} of type {type(value).__name__}, where a cost is one number"


def _left_domain(error: BaseException | None) -> bool:
    return isinstance(error, (ArithmeticError, np.linalg.LinAlgError)) or (
        isinstance(error, ValueError) and ("domain" in str(error) or "expected a" in str(error))
    )


def _told(error: Exception) -> str:
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
