"""Layers and pullbacks as costs: their output times a fixed, random upstream gradient.

A cost that returns ``(value, cache)`` and a gradient that takes ``cache`` is a shape every pair may
have, so a layer needs no machinery of its own: it is turned into one.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import Theta

__all__ = ["layer", "name_of", "named", "pullback"]

UPSTREAM_SEED = 0
"""Fixed, so that a run repeats; standard normal, so that no two entries are alike."""


class _Upstream:
    """The upstream gradient of an output of any structure, the same at every call."""

    def __init__(self) -> None:
        self._values: Any = None

    def weigh(self, out: Any, name: str) -> tuple[float, Any]:
        """Return the sum of `out` times the upstream gradient, and that gradient like `out`."""
        try:
            layout = Theta(out)
        except ProblemError as error:
            raise ProblemError(
                "nonscalar-cost",
                f"the output of {name} is no float array to weigh with an upstream gradient, but a "
                f"{type(out).__name__}: return (out, cache), where out holds real floats",
            ) from error
        if self._values is None or self._values.size != layout.base.size:
            rng = stream("upstream", UPSTREAM_SEED)
            self._values = rng.standard_normal(layout.base.size)
        value = float(np.dot(self._values, layout.base))
        layout.write(self._values)
        return value, layout.tree


class _Layer:
    """``out, cache = forward(*inputs)`` and ``gradients = backward(dout, cache)``.

    A forward that returns its output alone gives backward the inputs in place of a cache.
    """

    def __init__(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        self._forward, self._backward = forward, backward
        self._name = name_of(forward)
        self._upstream = _Upstream()
        self._cache_first = _first_argument(backward) == "cache"

    def cost(self, inputs: dict[str, Any]) -> tuple[float, Any]:
        """Return the weighed output, and what `gradient` needs."""
        returned = self._forward(*inputs.values())
        if isinstance(returned, tuple) and len(returned) > 1:
            out, rest = returned[0], returned[1:]
            rest = rest if len(rest) == 1 else (rest,)
        else:
            out, rest = returned, tuple(inputs.values())
        value, dout = self._upstream.weigh(out, self._name)
        return value, (dout, rest)

    def gradient(self, cache: Any) -> Any:
        """Return the gradients of the inputs."""
        dout, rest = cache
        if self._cache_first and len(rest) == 1:
            return self._backward(rest[0], dout)
        return self._backward(dout, *rest)


class _Pullback:
    """``out, pullback = f(*inputs)`` and ``gradients = pullback(dout)``."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self._f = f
        self._name = name_of(f)
        self._upstream = _Upstream()

    def cost(self, inputs: dict[str, Any]) -> tuple[float, Any]:
        """Return the weighed output, and what `gradient` needs."""
        returned = self._f(*inputs.values())
        if not isinstance(returned, tuple) or len(returned) < 2 or not callable(returned[1]):
            raise ProblemError(
                "missing-gradient",
                f"{self._name} is to return (out, pullback), but it returned a "
                f"{type(returned).__name__}",
            )
        value, dout = self._upstream.weigh(returned[0], self._name)
        return value, (dout, returned[1])

    def gradient(self, cache: Any) -> Any:
        """Return the gradients of the inputs."""
        dout, pullback = cache
        return pullback(dout)


Turned = tuple[Callable[[dict[str, Any]], tuple[float, Any]], Callable[[Any], Any]]
"""A layer as a cost of its inputs, and the gradient of that."""


def layer(forward: Callable[..., Any], backward: Callable[..., Any]) -> Turned:
    """Return a layer as a cost and a gradient that messages call by the user's names."""
    made = _Layer(forward, backward)
    return _turned(made, name_of(forward), name_of(backward))


def pullback(f: Callable[..., Any]) -> Turned:
    """Return a function that returns its pullback as a cost and a gradient."""
    return _turned(_Pullback(f), name_of(f), f"the pullback of {name_of(f)}")


def _turned(made: _Layer | _Pullback, cost_name: str, gradient_name: str) -> Turned:
    def cost(inputs: dict[str, Any]) -> tuple[float, Any]:
        return made.cost(inputs)

    def gradient(cache: Any) -> Any:
        return made.gradient(cache)

    cost.__qualname__, gradient.__qualname__ = cost_name, gradient_name
    vars(cost)["layer"] = made
    return cost, gradient


def name_of(function: Any) -> str:
    """Return what messages call a user's function."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__qualname__", None) or type(function).__name__
    return str(name).replace("<locals>.", "")


def named(function: Callable[..., Any], inputs: tuple[Any, ...]) -> dict[str, Any]:
    """Return the inputs under the names of the function's arguments."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    by_place = [
        p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "inputs")
    further = [f"{rest}[{i}]" for i in range(len(inputs) - len(by_place))]
    return dict(zip([*by_place, *further], inputs, strict=False))


def _first_argument(function: Callable[..., Any]) -> str | None:
    try:
        return next(iter(inspect.signature(function).parameters), None)
    except (TypeError, ValueError):
        return None
