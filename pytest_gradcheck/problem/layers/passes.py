"""Layers and pullbacks as costs: their output times a fixed, random upstream gradient.

A layer becomes a cost that returns ``(value, cache)`` and a gradient that takes ``cache``, which is
a form of any pair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from pytest_gradcheck.errors import ProblemError, wishes
from pytest_gradcheck.params.streams import around_calls
from pytest_gradcheck.problem.layers.names import accepts, name_of, takes_cache_first
from pytest_gradcheck.problem.layers.outputs import Outputs
from pytest_gradcheck.problem.layers.upstream import Pull, Upstream


class Turned(NamedTuple):
    """A layer as a cost of its inputs, and the gradient of that cost.

    Attributes
    ----------
    cost, gradient : callable
    outputs : Outputs
        The outputs and the upstream gradient.
    functions : tuple of callables
        The user's own.
    """

    cost: Callable[[dict[str, Any]], tuple[float, Any]]
    gradient: Callable[[Any], Any]
    outputs: Outputs
    functions: tuple[Callable[..., Any], ...]


class Pass(Protocol):
    """A forward pass, and a backward pass of each call of it."""

    name: str
    functions: tuple[Callable[..., Any], ...]

    def forward(self, inputs: dict[str, Any]) -> tuple[Any, Pull]:
        """Return the output, and a function of the upstream gradient."""


class _Layer:
    """``out, cache = forward(*inputs)`` and ``gradients = backward(dout, cache)``.

    If forward returns its output alone, backward gets the inputs instead of a cache.
    """

    def __init__(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        self._forward, self._backward = forward, backward
        self.functions: tuple[Callable[..., Any], ...] = (forward, backward)
        self.name = name_of(forward)
        self._cache_first = takes_cache_first(backward)

    def forward(self, inputs: dict[str, Any]) -> tuple[Any, Pull]:
        """Return the output, and the backward pass with its cache."""
        returned = self._forward(*inputs.values())
        if isinstance(returned, tuple) and len(returned) > 1:
            out, rest = returned[0], returned[1:]
            rest = rest if len(rest) == 1 else (rest,)
        else:
            out, rest = returned, tuple(inputs.values())
        if not accepts(self._backward, 1 + len(rest)) and accepts(self._backward, 1):
            rest = ()  # a method of an object that keeps its cache
        return out, lambda dout: self._pulled(dout, rest)

    def _pulled(self, dout: Any, rest: tuple[Any, ...]) -> Any:
        if self._cache_first is None and len(rest) == 1:
            self._cache_first = self._tried(dout, rest[0])
        if self._cache_first and len(rest) == 1:
            return self._backward(rest[0], dout)
        return self._backward(dout, *rest)

    def _tried(self, dout: Any, cache: Any) -> bool:
        """Return whether JAX's order of arguments works, where the other raises."""
        try:
            self._backward(dout, cache)
        except wishes():
            raise
        except Exception:
            try:
                self._backward(cache, dout)
            except wishes():
                raise
            except Exception:
                return False
            return True
        return False


class _Pullback:
    """``out, pullback = f(*inputs)`` and ``gradients = pullback(dout)``."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self._f = f
        self.functions: tuple[Callable[..., Any], ...] = (f,)
        self.name = name_of(f)

    def forward(self, inputs: dict[str, Any]) -> tuple[Any, Pull]:
        """Return the output and the pullback, which may come in either order."""
        returned = self._f(*inputs.values())
        if isinstance(returned, tuple) and len(returned) >= 2:
            if callable(returned[1]):
                return returned[0], returned[1]
            if callable(returned[0]):  # as in autograd
                return returned[1], returned[0]
        raise ProblemError(
            "missing-gradient",
            f"{self.name} is to return (out, pullback), but it returned a "
            f"{type(returned).__name__}",
        )


def layer(forward: Callable[..., Any], backward: Callable[..., Any]) -> Turned:
    """Return a layer as a cost and a gradient with the user's names in messages."""
    return turned(_Layer(forward, backward), name_of(backward))


def pullback(f: Callable[..., Any], primal: Callable[..., Any] | None = None) -> Turned:
    """Return a function that returns its pullback as a cost and a gradient.

    With `primal` the cost takes that function's output, and the two outputs are compared.
    """
    return turned(_Pullback(f), f"the pullback of {name_of(f)}", primal)


def turned(made: Pass, gradient_name: str, primal: Callable[..., Any] | None = None) -> Turned:
    """Return a pass as a cost and a gradient of its inputs.

    Parameters
    ----------
    made : Pass
    gradient_name : str
        The name of the backward pass in messages.
    primal : callable, optional
        Returns the output for the cost, if the pass itself should not. The two are compared.
    """
    upstream = Upstream(made.name)

    def output(inputs: dict[str, Any]) -> Any:
        return made.forward(inputs)[0] if primal is None else primal(*inputs.values())

    def again(inputs: dict[str, Any]) -> Pull:
        return completed(made.forward(inputs)[1], inputs)

    def cost(inputs: dict[str, Any]) -> tuple[float, Any]:
        if primal is None:
            out, pull = made.forward(inputs)
        else:
            out, pull = output(inputs), None
        value = upstream.weigh(out, output, inputs)
        return value, (inputs, out, pull)

    def gradient(cache: Any) -> Any:
        inputs, out, pull = cache
        same_start = around_calls(list(inputs.values()))

        def once_more() -> Pull:
            with same_start():  # a second forward pass of the same random numbers
                return again(inputs)

        if pull is None:
            made_out, pull = made.forward(inputs)
            upstream.compare(made_out, out)
        return upstream.pulled(out, completed(pull, inputs), once_more, inputs)

    cost.__qualname__, gradient.__qualname__ = made.name, gradient_name
    return Turned(cost, gradient, Outputs(upstream, output, again), made.functions)


def completed(pull: Pull, inputs: Mapping[str, Any]) -> Pull:
    """Return a pullback that wraps the gradient of a single input into a tuple."""
    if len(inputs) > 1:
        return pull
    ((name, value),) = inputs.items()

    def complete(dout: Any) -> Any:
        answer = pull(dout)
        entries = getattr(value, "keys", None)
        if entries is None or not isinstance(answer, Mapping):
            return answer
        return {name: answer} if name not in answer or name in entries() else answer

    return complete
