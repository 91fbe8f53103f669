"""The numbers in sight of a pair: what a factor may be, and what a penalty's strength."""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.params.tree import children_of
from pytest_gradcheck.problem.problem import Problem
from pytest_gradcheck.problem.randomness import PENALTIES
from pytest_gradcheck.problem.regularization import Penalty

__all__ = ["Dimension", "Sizes", "in_sight", "is_count", "named_factor", "named_strength"]

TIGHT = 1e-6
"""The same for a factor of one component, which nothing else confirms."""

EXACT = 1e-5
"""A factor is a number in sight when it is off by no more than this part of it."""

TELLING = 5

ENTRIES = 20
"""Entries of a container in the data that are looked at."""

DEEP = 3
"""Calls of functions by functions through which names of arrays are followed."""


@dataclass(frozen=True)
class Dimension:
    """One axis of an array."""

    size: int
    array: str
    axis: int
    of_params: bool


@dataclass(frozen=True)
class Sizes:
    """Dimensions of arrays, those of the data before those of the params; and plain numbers."""

    dimensions: tuple[Dimension, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)

    def said(self, size: int) -> str | None:
        """Return what a number of things is the number of, or None."""
        mine = [d for d in self.dimensions if d.size == size]
        if not mine:
            names = [name for name, number in self.numbers.items() if number == size]
            return names[0] if names else None
        arrays = {d.array for d in mine if not d.of_params}
        first = mine[0]
        if len(arrays) > 1 and not any(d.of_params for d in mine):
            return f"the number of examples in {first.array}"
        return f"{first.array}.shape[{first.axis}]"

    def counts(self) -> list[int]:
        """Return the sizes in sight, each once, in the order of preference."""
        sizes = [d.size for d in self.dimensions]
        sizes += [int(n) for n in self.numbers.values() if n == int(n) and n > 1]
        return [size for size in dict.fromkeys(sizes) if size > 1]

    def telling(self) -> list[int]:
        """Return the sizes of data that are large enough to be recognized in a product or a ratio.

        Almost any small factor is made up of small sizes.
        """
        sizes = [d.size for d in self.dimensions if not d.of_params]
        return [size for size in dict.fromkeys(sizes) if size >= TELLING]


def in_sight(problem: Problem, data: Mapping[str, Any] | None, penalty: Any, theta: Theta) -> Sizes:
    """Return the sizes of everything that a pair names: data, arguments, closures, params."""
    dimensions: list[Dimension] = []
    numbers: dict[str, float] = {}
    for name, value in _named_values(problem, data):
        shape = getattr(value, "shape", None)
        if isinstance(value, (int, float, np.integer, np.floating)):
            if not isinstance(value, bool) and math.isfinite(value):
                numbers.setdefault(name, float(value))
        elif isinstance(shape, tuple) and all(isinstance(n, int) for n in shape):
            dimensions += [Dimension(n, name, axis, False) for axis, n in enumerate(shape)]
    if isinstance(penalty, Penalty):
        numbers |= {"lambd": float(penalty.lambd), "m": float(penalty.m)}
    for parameter in theta.parameters:
        own = enumerate(parameter.shape)
        dimensions += [Dimension(n, parameter.name, axis, True) for axis, n in own]
    return Sizes(tuple(dict.fromkeys(dimensions)), numbers)


def _named_values(problem: Problem, data: Mapping[str, Any] | None) -> Iterator[tuple[str, Any]]:
    """Yield what a pair's functions can see, by name."""
    given = dict(data or {})
    if problem.args:
        given |= dict(zip(_argument_names(problem.cost), problem.args, strict=False))
    for name, value in given.items():
        yield name, value
        for key, item in (children_of(value) or [])[:ENTRIES]:
            yield f"{name}{'' if key.text(False)[0] in '.[' else '.'}{key.text(False)}", item
    seen: set[int] = set()
    for function in (problem.cost, problem.grad):
        yield from _seen_by(function, seen, DEEP)


def _argument_names(function: Any) -> list[str]:
    """Return the names of the arguments after the first, which takes the params."""
    try:
        return list(inspect.signature(function).parameters)[1:]
    except (TypeError, ValueError):
        return []


def _seen_by(function: Any, seen: set[int], depth: int) -> Iterator[tuple[str, Any]]:
    """Yield the names that a function uses and does not define: closures, globals, its object."""
    if id(function) in seen or depth == 0:
        return
    seen.add(id(function))
    if isinstance(function, functools.partial):
        names = _argument_names(function.func)
        yield from zip(names, function.args[1:], strict=False)
        yield from function.keywords.items()
        yield from _seen_by(function.func, seen, depth)
        return
    if isinstance(function, types.MethodType):
        yield from getattr(function.__self__, "__dict__", {}).items()
        function = function.__func__
    if not isinstance(function, types.FunctionType):
        return
    for name, value in _outer_names(function):
        if isinstance(value, (types.FunctionType, types.MethodType, functools.partial)):
            if getattr(value, "__module__", function.__module__) == function.__module__:
                yield from _seen_by(value, seen, depth - 1)
        else:
            yield name, value


def _outer_names(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a name that has no value yet
            continue
    inner = [const for const in code.co_consts if isinstance(const, types.CodeType)]
    for name in dict.fromkeys(name for one in (code, *inner) for name in one.co_names):
        if name in function.__globals__:
            yield name, function.__globals__[name]


def named_factor(factor: float, sizes: Sizes) -> str | None:
    """Return what a factor is and what usually does that, or None where nothing in sight is it."""
    size = abs(factor)
    if _is(size, 2.0):
        return "the 2 of a derivative too often, or a 1/2 of the cost left out"
    if _is(size, 0.5):
        return "the 2 of a square's derivative is missing, or a 1/2 too many"
    for count in sizes.counts():
        said = sizes.said(count)
        if _is(size, count):
            return f"{count} is {said}: a mean (1/m) is missing"
        if _is(size, 1 / count):
            return f"1/{count}, and {count} is {said}: a mean (1/m) too many"
    for count in sizes.telling():
        said = sizes.said(count)
        for text, value, why in (
            (f"2 x {count}", 2 * count, "a mean (1/m) and a 1/2 are missing"),
            (f"{count} / 2", count / 2, "a mean (1/m) is missing, and a 2"),
            (f"1 / (2 x {count})", 0.5 / count, "1/(2m) too many"),
            (f"2 / {count}", 2 / count, "a mean (1/m) and a 2 too many"),
            (f"{count} / {count - 1}", count / (count - 1), "m - 1 in the place of m"),
            (f"{count - 1} / {count}", (count - 1) / count, "m in the place of m - 1"),
        ):
            if _is(size, value):
                return f"{text}, and {count} is {said}: {why}"
    return _product(size, sizes) or _ratio(size, sizes) or _number(size, sizes)


def _product(size: float, sizes: Sizes) -> str | None:
    """Return which axes of one array a factor is the size of, where a mean was taken over them."""
    arrays: dict[str, list[Dimension]] = {}
    for dimension in sizes.dimensions:
        if not dimension.of_params:
            arrays.setdefault(dimension.array, []).append(dimension)
    for mine in arrays.values():
        for count in range(2, min(len(mine), 4) + 1):
            for some in itertools.combinations(mine, count):
                product = math.prod(d.size for d in some)
                said = " x ".join(f"{d.array}.shape[{d.axis}]" for d in some)
                if product >= TELLING and _is(size, product):
                    return f"{product} is {said}: a mean is missing"
                if product >= TELLING and _is(size, 1 / product):
                    return f"1/{product}, and {product} is {said}: a mean too many"
    return None


def _ratio(size: float, sizes: Sizes) -> str | None:
    counts = sizes.telling()
    for above in counts:
        for below in counts:
            if above != below and _is(size, above / below):
                return f"{above} / {below}: a mean over {sizes.said(below)} for {sizes.said(above)}"
    return None


def _number(size: float, sizes: Sizes) -> str | None:
    for name, number in sizes.numbers.items():
        if number and _is(size, abs(number)):
            return f"it is {name}, once too often (or 1/{name} is missing)"
        if number and _is(size, 1 / abs(number)):
            return f"it is 1/{name}, once too often (or {name} is missing)"
    return None


def named_strength(strength: float, sizes: Sizes) -> str | None:
    """Return how a penalty's strength is made up of the numbers in sight, or None."""
    for name, number in sizes.numbers.items():
        if number and (number != int(number) or name in PENALTIES):
            for text, value in _shares(name, number, sizes):
                if _is(abs(strength), abs(value)):
                    return text
    return None


def _shares(name: str, number: float, sizes: Sizes) -> Iterator[tuple[str, float]]:
    yield name, number
    yield f"2 {name}", 2 * number
    yield f"{name} / 2", number / 2
    for count in sizes.counts():
        yield f"{name} / {count}", number / count
        yield f"{name} / (2 x {count})", number / (2 * count)
        yield f"2 {name} / {count}", 2 * number / count
        yield f"{name} - {name} / {count}", number - number / count


def is_count(factor: float, sizes: Sizes) -> bool:
    """Return whether a factor is 2, a number of things in sight, or one over it, very nearly."""
    return any(_is(factor, n, TIGHT) or _is(factor, 1 / n, TIGHT) for n in (2, *sizes.counts()))


def _is(value: float, number: float, within: float = EXACT) -> bool:
    return abs(value - number) <= within * number
