"""What a pair of the accuracy benchmark is: somebody else's function and derivative, and faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Pair", "Pairs", "after", "elementwise", "item", "points"]

Array = npt.NDArray[np.float64]
Gradient = Callable[[Array], Any]
NO_FAULTS: Mapping[str, Gradient] = {}


class Pair(NamedTuple):
    """A library's function of one vector, with the library's gradient of it.

    Attributes
    ----------
    name : str
        Where it comes from.
    cost, grad : callable
    x : array
        Where they are compared.
    faults : mapping
        Gradients that are wrong by what they leave out or mistake, besides those that are made of
        the right one: the penalty left out, another activation's derivative.
    shape : tuple of int or None
        That of the matrix which part of the vector is, where there is one; to transpose it.
    exact : callable or None
        The derivative of one term of the cost at one component, in more digits than a float has.
    """

    name: str
    cost: Callable[[Array], Any]
    grad: Gradient
    x: Array
    faults: Mapping[str, Gradient] = NO_FAULTS
    shape: tuple[int, int] | None = None
    exact: Callable[[float], float] | None = None


Pairs = Iterator[Pair]


def elementwise(
    name: str,
    function: Callable[[Array], Any],
    derivative: Gradient,
    x: Array,
    exact: Callable[[float], float] | None = None,
) -> Pair:
    """Return a function of one number as a cost: the sum of its values at several."""
    return Pair(name, lambda x: np.sum(function(x)), derivative, x, exact=exact)


def after(function: Callable[..., Any], *before: Any, **more: Any) -> Callable[[Any], Any]:
    """Return a function of the argument that comes after those given here."""
    return lambda x: function(*before, x, **more)


def item(function: Callable[[Any], Any], number: int, factor: float = 1.0) -> Callable[[Any], Any]:
    """Return one of the values that a function returns, times a factor."""
    return lambda x: function(x)[number] * factor


def points(low: float, high: float, count: int = 8) -> Array:
    """Return so many numbers between two, at random but always the same."""
    rng = np.random.default_rng([count, abs(int(1e6 * low)), abs(int(1e6 * high))])
    return np.sort(rng.uniform(low, high, count))
