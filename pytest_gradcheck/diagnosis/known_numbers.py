"""The numbers in sight of a pair, which may be factors or strengths of penalties.

A factor of 20 says little; "20 is the number of examples in X" says which mean is missing. So the
arrays and numbers that the pair's functions can read are collected: their data and arguments, the
defaults of these, and the closures and globals that their code names, a few calls deep. This is
safe: it reads references that the functions themselves read at every call, and never calls, copies
or changes anything.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.params.tree import children_of
from pytest_gradcheck.problem.problem import Problem
from pytest_gradcheck.problem.randomness import PENALTIES
from pytest_gradcheck.problem.regularization import Penalty

__all__ = ["Dimension", "KnownNumbers", "named_strength", "numbers_in_sight"]

EXACT = 1e-5
"""The relative tolerance within which a strength is a number in sight."""

TELLING = 5
"""Sizes of axes below this do not count: almost any small factor is a product of small sizes."""

MOST = 100_000
"""Entries of an array of indices that are counted."""

ENTRIES = 20
"""Entries of a container in the data that are read."""

DEEP = 3
"""Depth of nested functions through which names are followed."""

COUNTS = re.compile("^[mnNM]$|batch|n_samples|num_examples")
"""Names of numbers of examples."""

FACTORS = re.compile(
    "lr|rate|^eta$|alpha|beta|gamma|keep|dropout|temp|^tau$|^T$|scale|sigma|std|weight|^d[tx]$|^h$|moment"
)
"""Names of globals that may be factors."""


STRENGTH = re.compile("lam|reg|decay|^l[12]$|alpha|pen|ridge|shrink|^mu$|^wd$", re.IGNORECASE)
"""Names of the strengths of penalties."""


@dataclass(frozen=True)
class Dimension:
    """One axis of an array."""

    size: int
    array: str
    axis: int
    of_params: bool


@dataclass(frozen=True)
class KnownNumbers:
    """Dimensions of arrays, those of the data before those of the params; and plain numbers.

    Attributes
    ----------
    axes : tuple of Dimension
    numbers : mapping of str to float
    given : frozenset of str
        Names of the numbers that are arguments.
    indices : mapping of str to array
        Arrays of integers, which may be indices into a parameter.
    arrays : mapping of str to array
        Arrays of floats with two axes or more.
    """

    axes: tuple[Dimension, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    indices: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Any] = field(default_factory=dict)

    def said(self, size: int) -> str:
        """Name the count that a number is."""
        mine = self._of_size.get(size)
        if not mine:
            names = [name for name, number in self.numbers.items() if number == size]
            return names[0] if names else "in sight"
        arrays = {d.array for d in mine if not d.of_params}
        if len(arrays) > 1 and size in self.examples:
            return f"the number of examples in {mine[0].array}"
        return f"{mine[0].array}.shape[{mine[0].axis}]"

    @cached_property
    def _of_size(self) -> dict[int, list[Dimension]]:
        found: dict[int, list[Dimension]] = {}
        for dimension in self.axes:
            found.setdefault(dimension.size, []).append(dimension)
        return found

    @cached_property
    def examples(self) -> list[int]:
        """Return possible numbers of examples, the likeliest first.

        These are axes that several arrays of the data share, or that no parameter has: numbers of
        features, units and classes are sizes of params as well.
        """
        data = [d for d in self.axes if not d.of_params and d.size > 1]
        own = {d.size for d in self.axes if d.of_params}
        arrays = {
            size: {d.array for d in data if d.size == size} for size in {d.size for d in data}
        }
        shared = [d.size for d in data if len(arrays[d.size]) > 1]
        alone = [d.size for d in data if d.size not in own]
        named = [
            int(v) for k, v in self.numbers.items() if COUNTS.search(k) and v == int(v) and v > 1
        ]
        likely = [size for size in shared if size not in own]
        return list(dict.fromkeys([*likely, *named, *([] if likely else [*shared, *alone])]))

    @cached_property
    def entries(self) -> list[tuple[int, str]]:
        """Return the numbers of entries of arrays of the data, and of some of their axes."""
        arrays: dict[str, list[Dimension]] = {}
        for axis in self.axes:
            if not axis.of_params:
                arrays.setdefault(axis.array, []).append(axis)
        found: dict[int, str] = {}
        for mine in arrays.values():
            for count in range(min(len(mine), 4), 1, -1):
                for some in itertools.combinations(mine, count):
                    said = " x ".join(f"{d.array}.shape[{d.axis}]" for d in some)
                    found.setdefault(math.prod(d.size for d in some), said)
        return [(size, said) for size, said in found.items() if size >= TELLING]

    @cached_property
    def dimensions(self) -> list[int]:
        """Return the sizes of axes that are large enough to be recognized."""
        sizes = [d.size for d in self.axes if d.size >= TELLING]
        return [size for size in dict.fromkeys(sizes) if size not in self.examples]

    @cached_property
    def counts(self) -> list[int]:
        """Return all sizes of axes and whole numbers, each once, in the order of preference."""
        sizes = [d.size for d in self.axes]
        sizes += [int(n) for n in self.numbers.values() if n == int(n) and n > 1]
        return [size for size in dict.fromkeys(sizes) if size > 1]

    def may_be_examples(self, count: int) -> bool:
        """Return whether so many examples are likely: two arrays of the data have such an axis."""
        data = [d for d in self.axes if not d.of_params]
        arrays = {d.array for d in data}
        having = {d.array for d in data if d.size == count}
        return bool(arrays) and len(having) >= min(2, len(arrays))

    @cached_property
    def factors(self) -> list[tuple[str, float]]:
        """Return the numbers that may be factors: arguments, and those with a factor's name."""
        return [
            (name, number)
            for name, number in self.numbers.items()
            if number not in (0.0, 1.0, -1.0)
            and (name in self.given or FACTORS.search(name.rsplit(".", 1)[-1]))
        ]


def numbers_in_sight(
    problem: Problem, data: Mapping[str, Any] | None, penalty: Any, theta: Theta
) -> KnownNumbers:
    """Return the numbers and sizes in data, arguments, closures and params of a pair."""
    axes: list[Dimension] = []
    numbers: dict[str, float] = {}
    indices: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for name, value in _named_values(problem, data):
        shape = getattr(value, "shape", None)
        if isinstance(value, (int, float, np.integer, np.floating)):
            if not isinstance(value, bool) and math.isfinite(value):
                numbers.setdefault(name, float(value))
        elif isinstance(shape, tuple) and all(isinstance(n, int) for n in shape):
            axes += [Dimension(n, name, axis, False) for axis, n in enumerate(shape)]
            if isinstance(value, np.ndarray) and value.size <= MOST:
                kept = indices if value.dtype.kind in "iu" else arrays
                kept.setdefault(name, value)
    given = frozenset(_given(problem, data))
    if isinstance(penalty, Penalty):
        numbers |= {"lambd": float(penalty.lambd), "m": float(penalty.m)}
    for parameter in theta.parameters:
        own = enumerate(parameter.shape)
        axes += [Dimension(n, parameter.name, axis, True) for axis, n in own]
    return KnownNumbers(tuple(dict.fromkeys(axes)), numbers, given, indices, arrays)


def _named_values(problem: Problem, data: Mapping[str, Any] | None) -> Iterator[tuple[str, Any]]:
    """Yield the values that a pair's functions can read, by name."""
    for name, value in _given(problem, data).items():
        yield name, value
        for key, item in (children_of(value) or [])[:ENTRIES]:
            yield f"{name}{'' if key.text(False)[0] in '.[' else '.'}{key.text(False)}", item
    seen: set[int] = set()
    for function in (problem.cost, problem.grad, *problem.details.get("functions", ())):
        yield from _seen_by(function, seen, DEEP)


def _given(problem: Problem, data: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the arguments of a pair beside the params, by name."""
    given = dict(data or {})
    if problem.args:
        given |= dict(zip(_argument_names(problem.cost)[1:], problem.args, strict=False))
    return given


def _argument_names(function: Any) -> list[str]:
    """Return the names of a function's arguments."""
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def _seen_by(function: Any, seen: set[int], depth: int) -> Iterator[tuple[str, Any]]:
    """Yield the names that a function uses and does not define: closures, globals, its object."""
    if id(function) in seen or depth == 0:
        return
    seen.add(id(function))
    if isinstance(function, functools.partial):
        yield from zip(_argument_names(function.func), function.args, strict=False)
        yield from function.keywords.items()
        yield from _seen_by(function.func, seen, depth)
        return
    if isinstance(function, types.MethodType):
        yield from getattr(function.__self__, "__dict__", {}).items()
        function = function.__func__
    if not isinstance(function, types.FunctionType):
        return
    for name, value in itertools.chain(_defaults(function), _outer_names(function)):
        if isinstance(value, (types.FunctionType, types.MethodType, functools.partial)):
            if _module_of(value) in (None, function.__module__):
                yield from _seen_by(value, seen, depth - 1)
        else:
            yield name, value


def _module_of(function: Any) -> str | None:
    """Return the name of the module of a function, or of what a partial calls."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__module__", None)


def _defaults(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield arguments with default values: `def cost(params, X=X)`."""
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            yield name, parameter.default


def _outer_names(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:  # a name without a value yet
            continue
    inner = [const for const in code.co_consts if isinstance(const, types.CodeType)]
    for name in dict.fromkeys(name for one in (code, *inner) for name in one.co_names):
        if name in function.__globals__:
            yield name, function.__globals__[name]


def named_strength(strength: float, numbers: KnownNumbers) -> str | None:
    """Return a penalty's strength as an expression of numbers in sight, or None."""
    for name, number in numbers.numbers.items():
        likely = name in PENALTIES or STRENGTH.search(name.rsplit(".", 1)[-1])
        if number and (likely or (name in numbers.given and number != int(number))):
            for text, value in _shares(name, number, numbers):
                if abs(abs(strength) - abs(value)) <= EXACT * abs(value):
                    return text
    return None


def _shares(name: str, number: float, numbers: KnownNumbers) -> Iterator[tuple[str, float]]:
    """Yield expressions of a strength, the likeliest first: averages are over examples."""
    yield name, number
    yield f"2 {name}", 2 * number
    examples = [count for count in numbers.counts if count in numbers.examples]
    others = [count for count in numbers.counts if count not in numbers.examples]
    for counts in (examples, others):
        for count in counts:
            yield f"{name} / {count}", number / count
        for count in counts:
            yield f"2 {name} / {count}", 2 * number / count
            yield f"{name} / (2 x {count})", number / (2 * count)
            yield f"{name} - {name} / {count}", number - number / count
        yield f"{name} / 2", number / 2
