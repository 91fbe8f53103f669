"""Names that users give to functions and arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

UPSTREAM = frozenset(
    [
        "dout",
        "dy",
        "dz",
        "da",
        "g",
        "grad",
        "grads",
        "gout",
        "grad_out",
        "grad_output",
        "grad_outputs",
        "upstream",
        "ct",
        "cotangent",
        "cotangents",
        "delta",
        "dvalues",
        "doutput",
        "output_grad",
    ]
)
"""Usual names of the upstream gradient in a backward pass."""

CACHE = frozenset(
    ["cache", "caches", "ctx", "res", "residual", "residuals", "saved", "memo", "memory", "tape"]
)
"""Usual names of the cache of a forward pass."""


def name_of(function: Any) -> str:
    """Return the name of a user's function in messages, without the function that it is local to.

    Examples
    --------
    >>> def test_of_a_layer():
    ...     def forward(x): ...
    ...     return forward
    >>> name_of(test_of_a_layer())
    'forward'
    """
    while isinstance(function, functools.partial):
        function = function.func
    owner = getattr(function, "__self__", None)
    if isinstance(owner, type):  # a class method, which may be inherited
        return f"{_after_locals(owner.__qualname__)}.{function.__name__}"
    name = getattr(function, "__qualname__", None) or type(function).__name__
    return _after_locals(str(name))


def _after_locals(name: str) -> str:
    return name.rpartition("<locals>.")[2]


def with_data(function: Callable[..., Any], data: Mapping[str, Any] | None) -> Callable[..., Any]:
    """Return a function with the entries of data that it names filled in."""
    if not data:
        return function
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return function
    chosen = by_keyword(parameters, data)
    return functools.partial(function, **chosen) if chosen else function


def by_keyword(
    parameters: Collection[inspect.Parameter], data: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the entries of data that a function takes as keywords.

    Examples
    --------
    >>> def cost(x, /, y): ...
    >>> by_keyword(inspect.signature(cost).parameters.values(), {"x": 1, "y": 2, "z": 3})
    {'y': 2}
    """
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
    by_place = {p.name for p in parameters if p.kind is p.POSITIONAL_ONLY}
    own = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return {n: v for n, v in data.items() if (takes_all or n in own) and n not in by_place}


def named(
    function: Callable[..., Any], inputs: tuple[Any, ...], data: Collection[str] = ()
) -> dict[str, Any]:
    """Return the inputs by the names of the function's arguments, those of data excepted."""
    by_place, rest = _arguments(function)
    by_place = [name for name in by_place if name not in data]
    further = [f"{rest}[{i}]" for i in range(len(inputs) - len(by_place))]
    return dict(zip([*by_place, *further], inputs, strict=False))


def accepts(function: Callable[..., Any], count: int) -> bool:
    """Return whether a function can be called with so many positional arguments."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True


def takes_cache_first(backward: Callable[..., Any]) -> bool | None:
    """Return whether the order is ``backward(cache, dout)``, as in JAX; None if no name tells."""
    by_place, _ = _arguments(backward)
    if len(by_place) < 2:
        return False if by_place and by_place[0] in UPSTREAM else None
    first, second = by_place[0] in CACHE, by_place[1] in UPSTREAM
    if by_place[0] in UPSTREAM:
        return False
    return True if first or second else None


def _arguments(function: Callable[..., Any]) -> tuple[list[str], str]:
    """Return the names of the positional arguments, and that of ``*args``."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    by_place = [
        p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "inputs")
    return by_place, rest
